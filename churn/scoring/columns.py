"""Arrow record batches as the columns that a scorer reads: text becomes codes, without an object for each value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..model.frame import Column, FloatArray, Kind, as_numbers, canonical_text

__all__ = ["coded_columns"]


def coded_columns(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> dict[str, Column]:
    """Return those of the named columns that the batch has, as `churn.model.frame.columns_of` would spell them.

    Args:
        batch: Text may be plain or dictionary-encoded; whatever type a column has, it is read as its kind.
        kinds: How each column is computed on.
    """
    present = set(batch.schema.names)
    return {
        name: _numbers(batch.column(name)) if kind == "numeric" else _texts(batch.column(name))
        for name, kind in kinds.items()
        if name in present
    }


def _numbers(values: pa.Array) -> FloatArray:
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return as_numbers(values.to_pandas())
    numbers: FloatArray = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _texts(values: pa.Array) -> pd.Categorical:
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    known: dict[str, int] = {}
    # Two spellings of one value become one; the last entry is the code of a value that is missing.
    codes: npt.NDArray[np.int32] = np.array(
        [*(_code(value, known) for value in coded.dictionary.to_pylist()), -1], np.int32
    )
    theirs = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = pd.Index(list(known), dtype=object)
    return pd.Categorical.from_codes(codes[theirs], dtype=pd.CategoricalDtype(categories))


def _code(value: str | float | None, known: dict[str, int]) -> int:
    text = "" if pd.isna(value) else canonical_text(value)
    return known.setdefault(text, len(known)) if text else -1
