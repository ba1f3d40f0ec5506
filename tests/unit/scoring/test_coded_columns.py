"""Arrow columns are read as pandas columns are: the same text, the same numbers, the same missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.model.frame import columns_of, uncoded
from churn.scoring.rows import coded_columns

TEXTS = [
    pa.array(["Yes", " Yes", "", "  ", None, "No", "Yes"]),
    pa.array(["a", None, "b", "a"]).dictionary_encode(),
    pa.array([1, 2, None, 1]),
    pa.array([1.0, 2.5, None, float("nan")]),
    pa.array([True, False, None]),
    pa.array([None, None], pa.string()),
    pa.array([], pa.string()),
    pa.array(["x", "y", "z"]).slice(1, 2),
    pa.array(["1", "1.0", "1"]),
]
NUMBERS = [
    pa.array([1, 2, None]),
    pa.array([1.5, float("nan"), float("inf"), float("-inf"), None]),
    pa.array(["1", " 2.5", "many", None]),
    pa.array(["7", None]).dictionary_encode(),
    pa.array([True, False, None]),
    pa.array([2**53 + 1], pa.int64()),
    pa.array([], pa.float64()),
    pa.array([None], pa.null()),
    pa.array([1, 2, 3], pa.uint8()).slice(1),
]


def read(values: pa.Array, kind: Any) -> tuple[Any, Any]:
    """Return a column as it is read from Arrow and from pandas."""
    batch = pa.RecordBatch.from_arrays([values], names=["x"])
    return coded_columns(batch, {"x": kind})["x"], columns_of(batch.to_pandas(), {"x": kind})["x"]


@pytest.mark.parametrize("values", TEXTS, ids=str)
def test_text_is_that_of_a_pandas_column(values: pa.Array) -> None:
    coded, plain = read(values, "categorical")
    assert isinstance(coded, pd.Categorical)
    assert uncoded(coded).tolist() == plain.tolist()


@pytest.mark.parametrize("values", NUMBERS, ids=str)
def test_numbers_are_those_of_a_pandas_column(values: pa.Array) -> None:
    numbers, plain = read(values, "numeric")
    np.testing.assert_array_equal(numbers, plain)
    assert numbers.dtype == np.float64


def test_a_column_that_is_not_there_is_left_out() -> None:
    batch = pa.RecordBatch.from_pydict({"x": ["a"], "other": [1]})
    assert list(coded_columns(batch, {"x": "categorical", "y": "numeric"})) == ["x"]
