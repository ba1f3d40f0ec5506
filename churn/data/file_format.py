"""How a data set's files are written: encoding, number format, sheet of a workbook."""

from __future__ import annotations

import codecs
import math
import re
from functools import cached_property
from typing import Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from ..core.frozen import Frozen
from ..model.frame import FloatArray, as_numbers, visible_text

__all__ = ["FileFormat"]


class FileFormat(Frozen):
    """How text in a delivered file is read; values that a file holds as numbers need none of it."""

    encoding: str = Field(
        default="utf-8", description="Of CSV and JSON lines: utf-8, utf-16, cp1252 (Western Windows) or another."
    )
    decimal: Literal[".", ","] = Field(default=".", description="What parts the fraction of a number.")
    thousands: Literal[".", ",", " ", "'"] | None = Field(
        default=None, description="What groups the digits of a number; null: nothing does."
    )
    currency: str | None = Field(
        default=None, min_length=1, description="The sign or word before or after amounts: $, €, EUR."
    )
    sheet: str | None = Field(default=None, description="The sheet of an Excel workbook; null: its first.")

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError(f"Python knows no encoding {value!r}; utf-8, utf-16 and cp1252 are common") from error
        return value

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"`decimal` and `thousands` are both {self.decimal!r}")
        return self

    def numbers(self, values: pd.Series) -> FloatArray:
        """Return values as float64, shape `(n_rows,)`; NaN where a value is missing or is not written as a number.

        Args:
            values: Text as the file writes it, such as `€ 1.234,56`, `-$5`, `(12)` or `12-`; numbers are taken as
                they are.
        """
        if not pd.api.types.is_object_dtype(values) and not pd.api.types.is_string_dtype(values):
            return as_numbers(values)
        codes, uniques = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
        written_plainly = (self.decimal, self.thousands, self.currency) == (".", None, None)
        numbers = [value if written_plainly or not isinstance(value, str) else None for value in uniques]
        parsed = as_numbers(pd.Series([*numbers, None], dtype=object))
        for position in np.flatnonzero(np.isnan(parsed[:-1])):
            if isinstance(uniques[position], str):
                parsed[position] = self._read(uniques[position])
        return np.asarray(parsed[codes], dtype=np.float64)

    def _read(self, text: str) -> float:
        number = visible_text(text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("\N{MINUS SIGN}", "-")
        if self.currency is not None:
            number = number.replace(self.currency, "", 1).strip()
        if negative := re.fullmatch(r"\((.+)\)|(.+)-|-\s*(.+)", number):
            number = next(part for part in negative.groups() if part).strip()
        if not self._written.fullmatch(number):
            return math.nan
        plain = number.replace(self.thousands, "") if self.thousands else number
        size = float(plain.replace(self.decimal, "."))
        return math.nan if math.isinf(size) else -size if negative else size

    @cached_property
    def _written(self) -> re.Pattern[str]:
        decimal, thousands = re.escape(self.decimal), re.escape(self.thousands or "")
        grouped = rf"\d{{1,3}}(?:{thousands}\d{{2,3}})*{thousands}\d{{3}}|" if thousands else ""
        return re.compile(rf"\+?(?:(?:{grouped}\d+)(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?")
