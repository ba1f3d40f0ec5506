"""Columns as NumPy arrays, with NaN or None where a value is missing."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "MISSING_WORDS",
    "CodedColumns",
    "Column",
    "Columns",
    "FloatArray",
    "IntArray",
    "Kind",
    "as_numbers",
    "as_strings",
    "canonical_text",
    "columns_of",
    "missing_values",
    "n_rows",
    "uncoded",
    "visible_text",
    "without_missing_words",
]

Kind = Literal["categorical", "numeric"]
"""How a column is computed on: text with None for missing, or float64 with NaN for missing."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Columns = Mapping[str, npt.NDArray[np.generic]]
"""Column name to an array of shape `(n_rows,)`: float64 for numeric columns, object (str or None) for the others."""
Column = npt.NDArray[np.generic] | pd.Categorical
"""An array as in `Columns`, or text as codes into its distinct values, in their canonical spelling, -1 for missing."""
CodedColumns = Mapping[str, Column]
"""`Columns` in which text may be coded: a table read in bulk then needs no Python object for each of its values."""

MISSING_WORDS = frozenset({"nan", "null", "none", "na", "n/a", "#n/a", "<na>", "nat"})
"""Words, in lower case, that are missing values in ids, numbers, times and outcomes; a category may be called so."""
_TRUTH = ("true", "false")
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.(?:0{1,2}|0{4,}|(?<=\d{4}\.)000)|-?\d(?:\.\d+)?[eE]\+\d+")
"""How programs write a whole number that they hold as a float; 1.000 is not among them: it may be a thousand."""


_HUGE_EXPONENT = re.compile(r"[eE][+-]?\d{5}")
"""No float64 has such an exponent, and on some beyond 32 bits pandas' parser ends the process; codes are written so."""


def n_rows(columns: CodedColumns) -> int:
    """Return the number of rows the columns have in common (0 where there is no column)."""
    return len(next(iter(columns.values()))) if columns else 0


def uncoded(values: Column) -> npt.NDArray[np.generic]:
    """Return a column as an array, text as object with None for missing."""
    if not isinstance(values, pd.Categorical):
        return values
    texts: npt.NDArray[np.object_] = np.array([*values.categories, None], dtype=object)
    array: npt.NDArray[np.object_] = texts[values.codes]
    return array


def as_numbers(values: pd.Series) -> FloatArray:
    """Return `values` as float64 of shape `(n_rows,)`; what is not a finite number becomes NaN."""
    if not pd.api.types.is_numeric_dtype(values):
        values = values.mask(values.astype(str).str.contains(_HUGE_EXPONENT))
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def canonical_text(value: object) -> str:
    """Return the one text of a key or category, whatever type or file it comes from.

    `1`, `1.0`, `"1.0"` and `" 1"` agree, and so do `True` and `"TRUE"`, a day and its midnight, and texts that differ
    by characters which nobody sees.
    """
    if isinstance(value, str) and value.isalnum() and value.isascii():  # most of them
        return value.lower() if value.lower() in _TRUTH else value
    if isinstance(value, float | np.floating | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    text = visible_text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
    if text.lower() in _TRUTH:
        return text.lower()
    whole = _WHOLE.fullmatch(text) if "." in text or "+" in text else None
    if whole is not None and math.isfinite(number := float(text)) and number.is_integer():
        return str(int(whole[1] or number))
    return text


def visible_text(text: str) -> str:
    """Return text without control and format characters, its spaces plain, each accented letter one character."""
    if text.isascii() and text.isprintable():
        return text.strip()
    letters = (letter for letter in text if letter in "\n\r\t" or unicodedata.category(letter) not in ("Cc", "Cf"))
    plain = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in letters)
    return unicodedata.normalize("NFC", plain).strip()


def without_missing_words(texts: pd.Series, keep: Collection[str] = ()) -> pd.Series:
    """Return canonical texts, None where one is a word for a missing value and is not in `keep`."""
    return texts.mask(texts.str.lower().isin(MISSING_WORDS) & ~texts.isin(keep), None)


def as_strings(values: pd.Series) -> npt.NDArray[np.object_]:
    """Return `values` as text of shape `(n_rows,)` in its canonical spelling; missing and blank values become None."""
    objects = values.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(objects, skipna=True).startswith("mixed"):  # where 1 and True would be one value
        texts = [
            None if missing else canonical_text(value) or None
            for value, missing in zip(objects, pd.isna(objects), strict=True)
        ]
        return np.array(texts, dtype=object)
    codes, uniques = pd.factorize(objects, use_na_sentinel=True)
    distinct = np.array([*(canonical_text(value) or None for value in uniques), None], dtype=object)
    return distinct[codes]


def columns_of(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, npt.NDArray[np.generic]]:
    """Return the named columns of a pandas frame as `Columns`; a column the frame lacks is missing in every row."""
    return {
        name: (as_numbers if kind == "numeric" else as_strings)(frame[name])
        if name in frame
        else missing_values(kind, len(frame))
        for name, kind in kinds.items()
    }


def missing_values(kind: Kind, rows: int) -> npt.NDArray[np.generic]:
    """Return a column of which nothing is known, shape `(rows,)`."""
    return np.full(rows, np.nan) if kind == "numeric" else np.full(rows, None, dtype=object)
