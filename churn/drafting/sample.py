"""The columns of an unknown table: whether each holds numbers, categories, times, or nothing a model can use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd

from ..core.errors import ContractError
from ..data.contract import snake_case
from ..model.frame import as_strings

__all__ = ["SampledColumn", "read_columns"]

Content = Literal["integer", "number", "categorical", "time", "formatted numbers", "nested"]
"""What a column holds; `formatted numbers` are text such as $1,200, `nested` are lists and structures."""

SAMPLE_ROWS = 200_000
"""Rows of a larger table that are read, evenly spaced."""
READABLE = 0.99
"""The share of a column's values that must be numbers, or times, for it to be a column of them."""
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_MISSING_WORDS = ("nan", "null", "none", "na", "n/a")


@dataclass(frozen=True)
class SampledColumn:
    """One column of a sample.

    Attributes:
        source: The name that the source gives it.
        name: The name that the tables give it.
        content: What it holds.
        text: Its values as text, None where missing, of shape `(n_rows,)`.
        values: Its values as float64 numbers or as UTC times where it holds those, otherwise its text.
        format: How its times are written, where that is not ISO 8601.
        ambiguous: Whether day and month of its times could be the other way round.
    """

    source: str
    name: str
    content: Content
    text: pd.Series
    values: pd.Series
    format: str | None = None
    ambiguous: bool = False

    @cached_property
    def missing(self) -> int:
        """How many values are missing."""
        return int(self.values.isna().sum())

    @cached_property
    def distinct(self) -> int:
        """How many different values there are beside missing ones."""
        return int(self.text.nunique())

    @property
    def unique(self) -> bool:
        """Whether no value occurs twice."""
        return self.distinct == len(self.text)

    @property
    def different(self) -> list[str]:
        """Its different values as text, sorted."""
        return sorted(self.text.dropna().unique())


def read_columns(frame: pd.DataFrame) -> list[SampledColumn]:
    """Return what each column of a sample holds.

    Raises:
        ContractError: the table has no rows or no columns, or two columns have one name once normalised.
    """
    if frame.empty:
        raise ContractError("The table is empty: a contract is drafted from a line of names and rows of customers.")
    sources = [str(source) for source in frame.columns]
    names = [snake_case(source) for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        clashing = [source for source, name in zip(sources, names, strict=True) if name in repeated]
        raise ContractError(f"The columns {clashing} are all {repeated} once normalised: rename or remove one of each.")
    sample = frame.iloc[:: -(-len(frame) // SAMPLE_ROWS)].reset_index(drop=True)
    return [
        _sampled(source, name, sample.iloc[:, at]) for at, (source, name) in enumerate(zip(sources, names, strict=True))
    ]


def _sampled(source: str, name: str, raw: pd.Series) -> SampledColumn:
    try:
        text = pd.Series(as_strings(raw), dtype=object)
    except TypeError:  # lists and structures have no canonical text
        nothing = pd.Series([None] * len(raw), dtype=object)
        return SampledColumn(source, name, "nested", nothing, nothing)
    if pd.api.types.is_datetime64_any_dtype(raw):
        return SampledColumn(source, name, "time", text, pd.to_datetime(raw, utc=True))
    text = text.mask(text.str.lower().isin(_MISSING_WORDS), None)
    present = text.dropna()
    if present.empty or pd.api.types.is_bool_dtype(raw):
        return SampledColumn(source, name, "categorical", text, text)
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64).replace([np.inf, -np.inf], np.nan)
    if numbers.notna().sum() >= READABLE * len(present):
        whole = bool((numbers.dropna() % 1 == 0).all())
        return SampledColumn(source, name, "integer" if whole else "number", text, numbers)
    if present.head(100).str.match(r"\d{1,4}[-/.]\d{1,2}\b").all():
        return _times(source, name, text)
    bare = present.head(1000).str.replace(r"[\s$€£¥%,']", "", regex=True)
    written = bool(pd.to_numeric(bare, errors="coerce").notna().mean() >= READABLE)
    return SampledColumn(source, name, "formatted numbers" if written else "categorical", text, text)


def _times(source: str, name: str, text: pd.Series) -> SampledColumn:
    present = text.dropna()
    reads: dict[str, pd.Series] = {}
    for written in ("ISO8601", *(day + clock for day, clock in product(_DAYS, _CLOCKS))):
        times = pd.to_datetime(present, errors="coerce", utc=True, format=written)
        if times.notna().mean() >= READABLE:
            reads[written] = times
    if not reads:
        return SampledColumn(source, name, "categorical", text, text)
    written, times = next(iter(reads.items()))
    iso = written == "ISO8601"
    return SampledColumn(
        source, name, "time", text, times.reindex(text.index), None if iso else written, not iso and len(reads) > 1
    )
