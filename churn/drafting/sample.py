"""The columns of an unknown table: whether each holds numbers, categories, times, or nothing a model can use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd

from ..core.errors import ContractError
from ..data.contract import snake_case
from ..data.file_format import FileFormat
from ..data.ingest import EPOCHS, epoch_times
from ..model.frame import as_numbers, as_strings, without_missing_words
from .number_format import CURRENCIES
from .words import is_key, time_of_row, words_of

__all__ = ["FEW_VALUES", "SampledColumn", "read_columns"]

Content = Literal[
    "integer",
    "number",
    "categorical",
    "time",
    "formatted numbers",
    "numbers with a unit",
    "durations",
    "numbers and words",
    "unread times",
    "nested",
]
"""What a column holds; `formatted numbers` are text such as $1,200, `nested` are lists and structures."""

SAMPLE_ROWS = 200_000
"""Rows of a larger table that are read, evenly spaced."""
FEW_VALUES = 20
"""A column with so few different values groups its rows, however few rows there are."""
READABLE = 0.99
"""The share of a column's values that must be numbers, or times, for it to be a column of them."""
MOSTLY = 0.95
"""The share of numbers from which a column is one of numbers even if the others are set aside."""
SOME = 0.5
"""The share of numbers below which a column is text in which numbers occur."""
_DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %b %Y"),
    *("%b %d, %Y", "%d-%b-%y", "%d/%m/%y", "%m/%d/%y", "%m/%Y", "%b-%y", "%b %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_DATE = (
    r"\d{1,4}([-/.])\d{1,2}(\1\d{1,4}([T ].*)?)?$|\d{1,2}[- ][A-Za-z]{3}[- ]\d{2,4}|[A-Za-z]{3}[- ]\d{1,2},? ?\d{2,4}$"
)
_DIGITS = {8: "%Y%m%d", 6: "%Y%m", 14: "%Y%m%d%H%M%S"}
"""How dates are written in digits alone, by their number."""
_COUNTED = [["at"], ["on"], ["created"], ["updated"], ["ts"], ["timestamp"], ["date"], ["time"]]
"""Last words of the names of times that may be counted from 1970."""
_EPOCH_FROM, _EPOCH_UNTIL = (pd.Timestamp(f"{year}-01-01", tz="UTC") for year in (2000, 2100))
_NO_DATE = {"0", "-1", "00000000", "99999999", "99991231", "19000101", "999999", "999912"}
"""Digits that stand where a date is missing."""
_SIGNS = re.compile(rf"(?:^|(?<=-))({CURRENCIES})\s?(?=[\d-])|[\s',]|\s?({CURRENCIES})$|\.(?=\d{{3}}([.,]|$))")
_STRUCTURE = re.compile(r"\s*(\{.*\}|\[.*\])\s*", re.DOTALL)
"""Lists and structures as text, of JSON or Python."""
_UNIT = re.compile(r"^[+-]?\d[\d.,\s]*?\s?([%‰]|[A-Za-z°µ/]{1,10}\.?)$")
_UNITS_TOGETHER = re.compile(
    r"[kmgt]?b|[kmgt]bps|ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|mo|months?|y|yrs?|years?|"
    r"[kmb]n?|mio|k",
    re.IGNORECASE,
)
"""Units of which several may stand in one column."""


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
        units: The units of its numbers, of a category too whose values are such numbers.
        odd: Values that are no numbers, or no times, in a column of them: how many rows hold each, most first.
    """

    source: str
    name: str
    content: Content
    text: pd.Series
    values: pd.Series
    format: str | None = None
    ambiguous: bool = False
    units: tuple[str, ...] = ()
    odd: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def missing(self) -> int:
        """How many values are missing."""
        return int(self.text.isna().sum())

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

    @property
    def is_numeric(self) -> bool:
        """Whether a contract may declare it as numbers."""
        return self.content in ("integer", "number")


def read_columns(frame: pd.DataFrame, written: FileFormat) -> list[SampledColumn]:
    """Return what each column of a sample holds, its numbers read as `written` says.

    Raises:
        ContractError: the table has no rows or no columns, or two columns have one name once normalised.
    """
    if frame.empty:
        raise ContractError("The table is empty: a contract is drafted from a line of names and rows of customers.")
    sources = [str(source) for source in frame.columns]
    if len(sources) == 1:
        raise ContractError(
            f"The table has one column, {sources[0][:80]!r}, and a contract needs a key, an outcome and an input. "
            "Values of a CSV are parted by one of , ; | or tabs."
        )
    names = [snake_case(source) for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        clashing = [source for source, name in zip(sources, names, strict=True) if name in repeated]
        raise ContractError(f"The columns {clashing} are all {repeated} once normalised: rename or remove one of each.")
    sample = frame.iloc[:: -(-len(frame) // SAMPLE_ROWS)].reset_index(drop=True)
    return [
        _sampled(source, name, sample.iloc[:, at], written)
        for at, (source, name) in enumerate(zip(sources, names, strict=True))
    ]


def _sampled(source: str, name: str, raw: pd.Series, written: FileFormat) -> SampledColumn:
    try:
        text = pd.Series(as_strings(raw), dtype=object)
    except TypeError:  # lists and structures have no canonical text
        empty = pd.Series([None] * len(raw), dtype=object)
        return SampledColumn(source, name, "nested", empty, empty)
    if text.notna().any() and text.str.fullmatch(_STRUCTURE).mean() >= READABLE:
        return SampledColumn(source, name, "nested", text, text)
    if pd.api.types.is_datetime64_any_dtype(raw):
        return SampledColumn(source, name, "time", text, pd.to_datetime(raw, utc=True))
    if without_missing_words(text).isna().all() or pd.api.types.is_bool_dtype(raw):
        return SampledColumn(source, name, "categorical", text, text)
    return _numbers(source, name, text, pd.Series(written.numbers(raw))) or _worded(source, name, text)


def _numbers(source: str, name: str, category: pd.Series, numbers: pd.Series) -> SampledColumn | None:
    """Return a column of numbers, also where words stand among them; None where it is text."""
    text = without_missing_words(category)
    readable = numbers.notna().sum() / text.notna().sum()
    if readable < SOME:
        return None
    few, odd = text.nunique() <= FEW_VALUES, _counts(text[numbers.isna()])
    if readable >= READABLE or (readable >= MOSTLY and not few):
        whole = bool((numbers.dropna() % 1 == 0).all())
        column = SampledColumn(source, name, "integer" if whole else "number", text, numbers, odd=odd)
        return _dates_in_digits(source, name, text) or column
    return SampledColumn(source, name, "categorical" if few else "numbers and words", category, category, odd=odd)


def _worded(source: str, name: str, text: pd.Series) -> SampledColumn:
    """Return a column of text, unless times or numbers are written in it."""
    present = without_missing_words(text)
    head, few = present.dropna().head(1000), text.nunique() <= FEW_VALUES
    if head.head(100).str.match(_DATE).all():
        return _times(source, name, present)
    bare = head.str.replace(_SIGNS, "", regex=True)
    if not few and np.isfinite(as_numbers(bare)).mean() >= READABLE and bare.ne(head).any():
        return SampledColumn(source, name, "formatted numbers", text, text)
    if not few and head.str.match(r"^\d{1,4}:\d{2}(:\d{2})?$").mean() >= READABLE:
        return SampledColumn(source, name, "durations", text, text)
    units = head.str.extract(_UNIT.pattern, expand=False)
    if units.notna().mean() >= READABLE:
        names = tuple(sorted(units.dropna().unique()))
        together = all(_UNITS_TOGETHER.fullmatch(unit) or unit == "%" for unit in names)
        if together or (len(names) == 1 and not few):
            content: Content = "categorical" if few else "numbers with a unit"
            return SampledColumn(source, name, content, text, text, units=names)
    return SampledColumn(source, name, "categorical", text, text)


def _dates_in_digits(source: str, name: str, text: pd.Series) -> SampledColumn | None:
    """Return a column of dates such as 20170131 or 201701; None where the numbers are none."""
    if (counted := _since_1970(source, name, text)) is not None:
        return counted
    dated = text.where(~text.isin(_NO_DATE)).dropna()
    if dated.nunique() < (1 if time_of_row(source) > 0 else 2):
        return None
    written = _DIGITS.get(int(dated.str.len().mode().iloc[0]))
    if written is None:
        return None
    times = pd.to_datetime(dated.where(dated.str.fullmatch(r"(19|20)\d+")), format=written, errors="coerce", utc=True)
    if times.notna().mean() < READABLE:
        return None
    odd = _counts(text[~text.index.isin(times.dropna().index)])
    return SampledColumn(source, name, "time", text, times.reindex(text.index), format=written, odd=odd)


def _since_1970(source: str, name: str, text: pd.Series) -> SampledColumn | None:
    """Return a column of seconds or milliseconds since 1970, of 2000 and later; None where it is called otherwise."""
    if is_key(source) or not (time_of_row(source) > 0 or words_of(source)[-1:] in _COUNTED):
        return None
    for written in EPOCHS:
        times = epoch_times(pd.Series(as_numbers(text)), written)
        if times.between(_EPOCH_FROM, _EPOCH_UNTIL).sum() >= READABLE * text.notna().sum():
            odd = _counts(text[text.notna() & times.isna()])
            return SampledColumn(source, name, "time", text, times, format=written, odd=odd)
    return None


def _times(source: str, name: str, text: pd.Series) -> SampledColumn:
    present = text.dropna()
    reads: dict[str, pd.Series] = {}
    for written in ("ISO8601", *(day + clock for day, clock in product(_DAYS, _CLOCKS))):
        times = pd.to_datetime(present, errors="coerce", utc=True, format=written)
        if times.notna().mean() >= READABLE:
            reads[written] = times
    if not reads:
        few = present.nunique() <= FEW_VALUES
        return SampledColumn(source, name, "categorical" if few else "unread times", text, text)
    written, times = next(iter(reads.items()))
    iso = written == "ISO8601"
    return SampledColumn(
        source,
        name,
        "time",
        text,
        times.reindex(text.index),
        None if iso else written,
        not iso and len(reads) > 1,
        odd=_counts(text[times.reindex(text.index).isna()]),
    )


def _counts(text: pd.Series) -> dict[str, int]:
    return {str(value): int(count) for value, count in text.value_counts().items()}
