from __future__ import annotations

import numpy as np
import pytest
from catboost import CatBoost, FeaturesData, Pool

from churn.model.encoding import Encoder
from churn.training.symmetric import fit_symmetric_folds, grow_symmetric

pytestmark = pytest.mark.slow

ROWS, ROUNDS = 900, 25
RANDOM = np.random.default_rng(0)
CITY = RANDOM.integers(-1, 30, ROWS)
PLAN = RANDOM.integers(0, 2, ROWS)
X = RANDOM.normal(size=(3, ROWS)).astype(np.float32).astype(np.float64)
X[1, RANDOM.random(ROWS) < 0.1] = np.nan
LABEL = (RANDOM.random(ROWS) < 1 / (1 + np.exp(1 - 2 * X[0] * X[2] - (CITY % 5 == 0) - PLAN))).astype(np.int8)
ENCODED = {"a": X[0], "b": X[1], "city": CITY.astype(np.int32), "c": X[2], "plan": PLAN.astype(np.int32)}
CATEGORIES = {"city": tuple(f"c{code:02d}" for code in range(30)), "plan": ("no", "yes")}
MATRIX = Encoder(CATEGORIES).matrix(ENCODED)


@pytest.fixture(scope="module")
def reference() -> tuple[CatBoost, Pool]:
    """CatBoost's own model, by the same options on the same rows."""
    numbers = np.column_stack([X[0], X[1], X[2], PLAN == 1]).astype(np.float32)
    rows = Pool(FeaturesData(numbers, CITY.astype("S").astype(object)[:, None]), LABEL)
    options = {"iterations": ROUNDS, "depth": 6, "learning_rate": 0.06, "one_hot_max_size": 1, "max_ctr_complexity": 1}
    ctr = {"simple_ctr": ["Borders"], "combinations_ctr": ["Borders"]}
    quiet = {"logging_level": "Silent", "allow_writing_files": False, "thread_count": 1}
    return CatBoost({"loss_function": "Logloss", "random_seed": 3, **options, **ctr, **quiet}).fit(rows), rows


def test_the_log_odds_are_catboosts_on_every_row(reference: tuple[CatBoost, Pool]) -> None:
    booster, rows = reference
    trees = grow_symmetric(ENCODED, CATEGORIES, LABEL, rounds=ROUNDS, seed=3)
    np.testing.assert_allclose(trees.logit(MATRIX), booster.predict(rows, "RawFormulaVal"), atol=1e-12)


def test_the_contributions_are_catboosts_shap_values_on_every_row(reference: tuple[CatBoost, Pool]) -> None:
    booster, rows = reference
    trees = grow_symmetric(ENCODED, CATEGORIES, LABEL, rounds=ROUNDS, seed=3)
    shap = booster.get_feature_importance(rows, type="ShapValues", thread_count=1)
    np.testing.assert_allclose(trees.contributions(MATRIX), shap[:, [0, 1, 4, 2, 3]], atol=2e-6)


def test_a_weight_scales_log_odds_and_contributions() -> None:
    trees = grow_symmetric(ENCODED, CATEGORIES, LABEL, rounds=5, seed=3)
    whole = trees.logit(MATRIX)
    half = trees.scaled(0.5)
    np.testing.assert_allclose(half.logit(MATRIX), 0.5 * whole)
    np.testing.assert_allclose(half.contributions(MATRIX), 0.5 * trees.contributions(MATRIX), atol=1e-6)


def test_a_category_that_training_did_not_know_is_scored_as_a_missing_one() -> None:
    trees = grow_symmetric(ENCODED, CATEGORIES, LABEL, rounds=5, seed=3)
    unknown = Encoder(CATEGORIES).matrix({**ENCODED, "city": np.full(ROWS, -1)})
    assert np.isnan(unknown[:, 2]).all()
    assert np.isfinite(trees.logit(unknown)).all()
    np.testing.assert_array_equal(trees.logit(unknown)[CITY == -1], trees.logit(MATRIX)[CITY == -1])


def test_the_number_of_threads_changes_nothing_and_rows_are_predicted_by_the_others() -> None:
    fold = np.arange(ROWS) % 3
    one, two = (fit_symmetric_folds(ENCODED, CATEGORIES, LABEL, fold, seed=0, threads=threads) for threads in (1, 2))
    assert one.rounds == two.rounds
    np.testing.assert_array_equal(one.oof, two.oof)
    flipped = np.where(fold == 1, 1 - LABEL, LABEL).astype(np.int8)
    told = fit_symmetric_folds(ENCODED, CATEGORIES, flipped, fold, seed=0, threads=1)
    assert np.corrcoef(told.oof[fold == 1], flipped[fold == 1])[0, 1] < 0.1
