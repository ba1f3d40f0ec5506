from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from churn.model.symmetric import SymmetricTrees

TREES: dict[str, Any] = {
    "numbers": ((0, 1.5),),
    "categories": ((1, (0, -1)),),
    "levels": ((0, 1),),
    "values": ((1.0, 2.0, 4.0, 8.0),),
    "covers": ((1.0, 1.0, 1.0, 1.0),),
    "bias": 0.25,
}
MATRIX = np.array([[1.5, 1], [1.6, 1], [1.5, 0], [2, 0], [np.nan, np.nan], [2, 7]], dtype=np.float32)


def test_answers_from_the_first_level_on_number_the_leaf() -> None:
    trees = SymmetricTrees(**TREES)
    np.testing.assert_array_equal(trees.logit(MATRIX), 0.25 + np.array([1, 2, 4, 8, 4, 2]))
    one_by_one = [trees.logit(MATRIX[row : row + 1])[0] for row in range(len(MATRIX))]
    np.testing.assert_array_equal(one_by_one, trees.logit(MATRIX))


def test_contributions_are_shapley_values_against_the_training_rows() -> None:
    found = SymmetricTrees(**TREES).contributions(MATRIX)
    np.testing.assert_allclose(found.sum(axis=1), np.array([1, 2, 4, 8, 4, 2]) - 3.75)
    # Of a row in the last leaf: half of what the number adds alone (5 - 3.75), half of what it adds last (8 - 6).
    np.testing.assert_allclose(found[3], [(1.25 + 2) / 2, (2.25 + 3) / 2])


def test_a_feature_that_is_asked_twice_is_one_player() -> None:
    twice = {**TREES, "numbers": ((0, 1.5), (0, 3.0)), "categories": (), "values": ((1.0, 2.0, 9.0, 4.0),)}
    found = SymmetricTrees(**{**twice, "covers": ((1.0, 1.0, 0.0, 2.0),)}).contributions(np.array([[2.0]], np.float32))
    np.testing.assert_allclose(found, [[2 - (1 + 2 + 2 * 4) / 4]])


def test_no_trees_add_nothing() -> None:
    none = SymmetricTrees(**{**TREES, "levels": (), "values": (), "covers": ()})
    np.testing.assert_array_equal(none.logit(MATRIX), np.full(6, 0.25))
    np.testing.assert_array_equal(none.contributions(MATRIX), np.zeros((6, 2)))
    assert none.explanation_cost == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"levels": ((0, 2),)}, "do not fit together"),
        ({"values": ((1.0, 2.0),)}, "do not fit together"),
        ({"covers": ()}, "do not fit together|each tree needs"),
        ({"levels": ((0, 1), (0, 1))}, "each tree needs questions, values and covers"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        SymmetricTrees(**{**TREES, **change})
