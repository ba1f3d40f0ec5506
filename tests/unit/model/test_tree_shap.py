from __future__ import annotations

import numpy as np
import pytest
import xgboost

from churn.model.tree_shap import MAX_DEPTH, TreeTables, cost_bound, explanation_costs

TYPES = ["float", "float", "float", "c", "c"]


def rows(count: int = 1500, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(count, 5)).astype(np.float32)
    matrix[:, 3], matrix[:, 4] = random.integers(0, 3, count), random.integers(0, 40, count)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    return matrix


def grown(depth: int, rounds: int = 12, **options: object) -> xgboost.Booster:
    matrix = rows()
    known = np.nan_to_num(matrix)
    logit = np.sign(known[:, 0] * known[:, 1]) + known[:, 2] + (known[:, 3] == 1) + (known[:, 4] % 3 == 0) * known[:, 0]
    label = np.random.default_rng(1).random(len(matrix)) < 1 / (1 + np.exp(-logit))
    data = xgboost.DMatrix(matrix, label, feature_types=TYPES)
    settings = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "nthread": 1, **options}
    return xgboost.train(settings, data, rounds)


def reference(booster: xgboost.Booster, matrix: np.ndarray) -> np.ndarray:
    return booster.predict(xgboost.DMatrix(matrix, feature_types=TYPES), pred_contribs=True)[:, :-1]


def of(booster: xgboost.Booster, matrix: np.ndarray) -> np.ndarray:
    tables = TreeTables.of(booster)
    assert tables is not None
    return tables.contributions(matrix)


@pytest.mark.slow
@pytest.mark.parametrize("depth", range(1, MAX_DEPTH + 1))
@pytest.mark.parametrize("options", [{}, {"num_parallel_tree": 3, "subsample": 0.5}, {"max_cat_to_onehot": 1}])
def test_the_tables_give_the_shap_values_of_xgboost(depth: int, options: dict[str, object]) -> None:
    booster, matrix = grown(depth, **options), rows(700, seed=2)
    np.testing.assert_allclose(of(booster, matrix), reference(booster, matrix), atol=3e-6)


def test_values_on_a_threshold_and_categories_that_no_tree_knows_go_where_xgboost_sends_them() -> None:
    booster = grown(4)
    thresholds = booster.trees_to_dataframe().query("Feature == 'f0'")["Split"].to_numpy()
    assert len(thresholds) > 3
    matrix = rows(len(thresholds), seed=3)
    matrix[:, 0], matrix[:, 4] = thresholds, 60
    np.testing.assert_allclose(of(booster, matrix), reference(booster, matrix), atol=3e-6)


def test_one_row_is_explained_as_among_others_and_no_row_is_no_fault() -> None:
    booster, matrix = grown(5), rows(600, seed=4)
    whole = of(booster, matrix)
    np.testing.assert_allclose(of(booster, matrix[599:]), whole[599:], atol=1e-6)
    assert of(booster, matrix[:0]).shape == (0, 5)


def test_trees_without_a_split_add_nothing() -> None:
    booster = grown(3, gamma=1e9)
    np.testing.assert_array_equal(of(booster, rows(4)), np.zeros((4, 5)))


def test_deeper_trees_have_no_tables() -> None:
    assert TreeTables.of(grown(MAX_DEPTH + 1, min_child_weight=0.1)) is None


@pytest.mark.parametrize("depth", [1, 2, 6, 7, 9])
def test_the_cost_grows_with_each_tree_and_no_tree_costs_more_than_a_full_one(depth: int) -> None:
    booster = grown(depth, min_child_weight=0)
    costs = explanation_costs(booster)
    assert len(costs) == 12
    assert np.all(np.diff(costs) >= 0)
    assert costs[-1] <= cost_bound(depth, 12)
    assert np.all(np.diff(costs) <= cost_bound(depth, 2) - cost_bound(depth, 1) + 1e-9)


def test_trees_too_deep_for_tables_cost_many_times_as_much() -> None:
    assert explanation_costs(grown(7))[-1] > 5 * explanation_costs(grown(6))[-1]
