from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.data.file_format import FileFormat

EURO = {"decimal": ",", "thousands": ".", "currency": "€"}
DOLLAR = {"thousands": ",", "currency": "$"}


@pytest.mark.parametrize(
    ("written", "text", "number"),
    [
        ({}, "47.71", 47.71),
        ({}, " 5\u00a0", 5),
        ({}, "\N{MINUS SIGN}5", -5),
        ({}, "1e3", 1000),
        (EURO, "1.234.567,89 €", 1234567.89),
        (EURO, "€ 1.234,56", 1234.56),
        (EURO, "1234,5", 1234.5),
        (EURO, "1.000", 1000),
        (DOLLAR, "$1,908.40", 1908.4),
        (DOLLAR, "-$5", -5),
        (DOLLAR, "$-5", -5),
        (DOLLAR, "($1,200.50)", -1200.5),
        (DOLLAR, "12,34,567.5", 1234567.5),
        (DOLLAR, "1,200.50-", -1200.5),
        ({"thousands": " "}, "1\u202f234.5", 1234.5),
        ({"thousands": "'"}, "1\u2019234.5", 1234.5),
        ({"currency": "EUR"}, "EUR 12", 12),
    ],
)
def test_a_number_is_read_as_the_file_writes_it(written: dict[str, Any], text: str, number: float) -> None:
    assert FileFormat.model_validate(written).numbers(pd.Series([text, None])).tolist()[0] == pytest.approx(number)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ({}, "1,234"),
        ({}, "$5"),
        ({}, "inf"),
        ({}, "1e400"),
        ({}, ""),
        ({}, "-"),
        (EURO, "47.71"),
        (EURO, "1.23,4"),
        (EURO, "$5"),
        (DOLLAR, "1,2,3"),
        (DOLLAR, "1e400"),
    ],
)
def test_text_that_the_format_does_not_write_is_no_number(written: dict[str, Any], text: str) -> None:
    assert np.isnan(FileFormat.model_validate(written).numbers(pd.Series([text]))).all()


def test_values_that_are_numbers_already_need_no_format() -> None:
    euro = FileFormat.model_validate(EURO)
    assert euro.numbers(pd.Series([1.5, 2.0])).tolist() == [1.5, 2.0]
    assert euro.numbers(pd.Series([1.5, 2, "2,5"], dtype=object)).tolist() == [1.5, 2.0, 2.5]
