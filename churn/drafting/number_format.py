"""Detects the number format of a table: decimal comma, grouped digits, currency signs."""

from __future__ import annotations

import re

import pandas as pd

from ..data.file_format import FileFormat
from ..model.frame import as_strings, without_missing_words

__all__ = ["CURRENCIES", "number_format"]

CURRENCIES = (
    r"AED|ARS|AUD|BDT|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|GHS|HKD|HUF|IDR|ILS|INR|ISK|JPY|KES|KRW|KZT|"
    r"LKR|MAD|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR|"
    r"R\$|[$€£¥₹₺₽₩₦₫₱฿₴₪]|Rs\.?|kr\.?|zł|Kč|Ft|lei"
)
"""What amounts are written with; other letters before digits are of a code, such as SUB0001."""

_MARKS = ((".", None), (".", ","), (",", None), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
_CURRENCY = re.compile(rf"^-?\s?({CURRENCIES})\s?[-\d]|\d\s?({CURRENCIES})$")
_VALUES = 2000
_READABLE = 0.99


def number_format(frame: pd.DataFrame, written: FileFormat) -> tuple[FileFormat, str | None]:
    """Return the format in which most columns of text are numbers, and what is to be checked about it.

    Args:
        frame: The table; values may be text.
        written: What is known of its file; marks and a currency that it names are taken as they are.
    """
    if (written.decimal, written.thousands, written.currency) != (".", None, None):
        return written, None
    columns = _columns_with_digits(frame)
    signs = {sign for values in columns.values() if (sign := _currency(values)) is not None}
    formats = [
        written.model_copy(update={"decimal": decimal, "thousands": thousands, "currency": currency})
        for currency in (None, *sorted(signs))
        for decimal, thousands in _MARKS
    ]
    best = max(formats, key=lambda tried: sum(_reads(tried, values) for values in columns.values()))
    gained = [name for name, values in columns.items() if _reads(best, values) and not _reads(written, values)]
    if not gained:
        return written, None
    name = gained[0]
    value = next(value for value in columns[name] if not _reads(written, pd.Series([value])))
    number = best.numbers(pd.Series([value]))[0]
    return best, f"numbers are not written plainly: {value!r} in {name} is read as {number:,g}."


def _columns_with_digits(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Return some different values of each column of text in which most hold a digit, by its name."""
    columns = {}
    for position, name in enumerate(frame.columns):
        values = frame.iloc[:, position].dropna()
        if values.empty or not isinstance(values.iloc[0], str):
            continue
        texts = without_missing_words(pd.Series(as_strings(values.drop_duplicates().head(_VALUES)), dtype=object))
        texts = texts.dropna().astype(str)
        if len(texts) and texts.str.contains(r"\d").mean() >= _READABLE:
            columns[str(name)] = texts
    return columns


def _currency(values: pd.Series) -> str | None:
    """Return the one currency that stands with all values; None where there is none, or several."""
    before_or_after = values.str.extract(_CURRENCY.pattern)
    signs = before_or_after[0].where(before_or_after[0].notna(), before_or_after[1])
    return str(signs.iloc[0]) if signs.nunique() == 1 and signs.notna().mean() >= _READABLE else None


def _reads(written: FileFormat, values: pd.Series) -> bool:
    return bool((~pd.isna(written.numbers(values.astype(object)))).mean() >= _READABLE)
