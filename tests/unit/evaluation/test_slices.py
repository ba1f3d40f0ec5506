"""How columns fall into slices."""

from __future__ import annotations

import numpy as np

from churn.evaluation.slices import MAX_VALUES, slice_masks


def names(values: object) -> list[str]:
    return [name for _, name, _ in slice_masks({"column": np.asarray(values)})]


def sizes(values: object) -> dict[str, int]:
    return {name: int(rows.sum()) for _, name, rows in slice_masks({"column": np.asarray(values)})}


def test_text_falls_into_its_values_in_alphabetical_order() -> None:
    assert sizes(np.array(["b", "a", "b"], dtype=object)) == {"a": 1, "b": 2}


def test_numbers_keep_their_order_and_lose_their_point_zero() -> None:
    assert names([10.0, 9.0, 1.0]) == ["1", "9", "10"]


def test_missing_values_are_a_slice_that_comes_last() -> None:
    assert sizes(np.array(["a", None, "z", None], dtype=object)) == {"a": 1, "z": 1, "(missing)": 2}
    assert sizes([1.0, np.nan]) == {"1": 1, "(missing)": 1}


def test_a_column_without_any_value_is_one_slice() -> None:
    assert sizes(np.array([None, None], dtype=object)) == {"(missing)": 2}
    assert sizes([np.nan, np.nan]) == {"(missing)": 2}


def test_as_many_values_as_allowed_stay_apart() -> None:
    assert len(names([f"v{i:02}" for i in range(MAX_VALUES)])) == MAX_VALUES
    assert len(names(np.arange(float(MAX_VALUES)))) == MAX_VALUES


def test_rare_words_beyond_that_are_put_together() -> None:
    words = [f"v{i:02}" for i in range(MAX_VALUES + 1)] + ["v07"] * 5
    found = sizes(np.array(words, dtype=object))
    assert len(found) == MAX_VALUES
    assert found["v07"] == 6
    assert found["(other values)"] == 2
    assert sum(found.values()) == len(words)


def test_many_numbers_fall_into_quarters() -> None:
    assert sizes([*np.arange(1.0, 101.0), np.nan]) == {
        "up to 25.75": 25,
        "over 25.75 to 50.5": 25,
        "over 50.5 to 75.25": 25,
        "over 75.25": 25,
        "(missing)": 1,
    }


def test_quarters_that_coincide_are_one_slice() -> None:
    found = sizes([0.0] * 90 + list(range(1, 14)))
    assert found == {"up to 0": 90, "over 0": 13}
