from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from churn.model.frame import (
    as_numbers,
    as_strings,
    canonical_text,
    columns_of,
    n_rows,
    without_missing_words,
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1", [1, 1.0, np.float32(1), "1", "1.0", "1.00", "1.0000", " 1 ", Decimal("1.000")]),
        ("1000000", [1_000_000, 1e6, "1000000.0", "1000000.000", "1e+06", "1E+6"]),
        (str(2**60), [2**60, float(2**60), "1.152921504606847e+18", f"{2**60}.0"]),
        ("0", [0, -0.0, "-0.0"]),
        ("true", [True, np.True_, "True", "TRUE", "true "]),
        ("false", [False, "False"]),
        ("2024-01-01", ["2024-01-01", dt.date(2024, 1, 1), dt.datetime(2024, 1, 1), pd.Timestamp("2024-01-01")]),
        ("20240101", [20240101, 20240101.0, "20240101.0"]),
        ("C1", ["C1", "C\x001", "\ufeffC1", "C\u200b1\u00a0", b"C1"]),
        ("C 1", ["C 1", "C\u00a01", "C\u202f1"]),
        ("ann\u00e9e", ["ann\u00e9e", "anne\u0301e"]),
    ],
)
def test_a_value_has_one_text_whatever_type_or_file_it_comes_from(text: str, values: list[object]) -> None:
    assert {canonical_text(value) for value in values} == {text}


@pytest.mark.parametrize(
    "text", ["Yes", "007", "007.0", "1.5", "2.50", "1.000", "1e5", "12e45678", "None", "a\nb", "v1.0"]
)
def test_text_that_may_mean_something_else_stays_as_it_is(text: str) -> None:
    assert canonical_text(text) == text


def test_words_for_a_missing_value_are_missing_where_they_are_not_kept() -> None:
    words = pd.Series(["None", "NA", "N/A", "null", "nan", "#N/A", "<NA>", "NaT", "Nancy", None], dtype=object)
    assert without_missing_words(words).dropna().tolist() == ["Nancy"]
    assert without_missing_words(words, keep=("None",)).dropna().tolist() == ["None", "Nancy"]


def test_blank_and_missing_texts_are_missing() -> None:
    assert as_strings(pd.Series(["a", "", "  ", None, np.nan], dtype=object)).tolist() == ["a", None, None, None, None]


def test_what_is_no_finite_number_is_missing() -> None:
    numbers = as_numbers(pd.Series(["1", " 2.5 ", "x", None, np.inf, -np.inf, "1e400"], dtype=object))
    np.testing.assert_array_equal(numbers, [1, 2.5, np.nan, np.nan, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("code", ["5e2147483648", "1E-99999999999", "24e011", "5e2147483648ab", "-4e4294967296"])
def test_a_code_with_a_huge_exponent_is_no_number(code: str) -> None:
    for kind in (object, "string", "category"):
        numbers = as_numbers(pd.Series([code, "7", None], dtype=kind))
        expected = 24e11 if code == "24e011" else np.nan
        np.testing.assert_array_equal(numbers, [expected, 7, np.nan])


def test_a_column_that_a_frame_lacks_is_missing_in_every_row() -> None:
    columns = columns_of(pd.DataFrame({"a": [1, 2]}), {"a": "numeric", "b": "numeric", "c": "categorical"})
    assert n_rows(columns) == 2
    assert np.isnan(columns["b"]).all()
    assert columns["c"].tolist() == [None, None]


def test_values_that_python_takes_for_one_are_told_apart() -> None:
    values = pd.Series([1, True, "x", None, 0.0, False], dtype=object)
    assert as_strings(values).tolist() == ["1", "true", "x", None, "0", "false"]
