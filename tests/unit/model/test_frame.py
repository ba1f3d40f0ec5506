from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from churn.model.frame import as_numbers, as_strings, canonical_text, columns_of, n_rows


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.0, "1"), (np.float64(1.0), "1"), (" 1 ", "1"), (1.5, "1.5"), (True, "true"), ("Yes", "Yes")],
)
def test_a_value_has_one_spelling(value: object, text: str) -> None:
    assert canonical_text(value) == text


def test_blank_and_missing_texts_are_missing() -> None:
    assert as_strings(pd.Series(["a", "", "  ", None, np.nan], dtype=object)).tolist() == ["a", None, None, None, None]


def test_what_is_no_finite_number_is_missing() -> None:
    numbers = as_numbers(pd.Series(["1", " 2.5 ", "x", None, np.inf, -np.inf, "1e400"], dtype=object))
    np.testing.assert_array_equal(numbers, [1, 2.5, np.nan, np.nan, np.nan, np.nan, np.nan])


def test_a_column_that_a_frame_lacks_is_missing_in_every_row() -> None:
    columns = columns_of(pd.DataFrame({"a": [1, 2]}), {"a": "numeric", "b": "numeric", "c": "categorical"})
    assert n_rows(columns) == 2
    assert np.isnan(columns["b"]).all()
    assert columns["c"].tolist() == [None, None]
