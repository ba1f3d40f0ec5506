"""Rows that stand for others: a weight of 3 is three rows, and weights of 1 are none at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from catboost import CatBoost, Pool

from churn.core.errors import DataError
from churn.data.training_set import TrainingData, effective_rows
from churn.evaluation.ranking import logit_losses
from churn.model.model import sigmoid
from churn.model.money import MoneySettings
from churn.training import symmetric
from churn.training.blending import choose_blend, paired_difference
from churn.training.boosting import BoostingParams
from churn.training.calibration import best_f1_threshold, calibrate, fit_platt, score_calibration
from churn.training.search import TuningSettings, tune
from churn.training.train import Candidate, ModelSettings, train
from tests.fakes.data.customers import CONTRACT, customers, raw_columns, true_logit
from tests.fakes.ports.studies import InMemoryStudies

pytestmark = pytest.mark.slow

FAST = BoostingParams(max_rounds=60)
SETTINGS = ModelSettings(boosting=FAST, deep_boosting=FAST.model_copy(update={"max_depth": 5}))
RANDOM = np.random.default_rng(0)
ROWS = 400
LOGIT = RANDOM.normal(-1, 1.5, ROWS)
LABEL = (RANDOM.random(ROWS) < sigmoid(LOGIT)).astype(np.int8)
WEIGHT = RANDOM.integers(1, 8, ROWS)
CUSTOMER, FOLD = np.arange(ROWS) // 2, np.arange(ROWS) // 2 % 5


def thinned(rows: int = 4000, share: float = 0.5) -> TrainingData:
    """Customers of whom every other churner is not there, and one that is there stands for it."""
    data = customers(rows)
    churned = data.label == 1
    kept = ~churned | (np.random.default_rng(3).random(rows) < share)
    columns = {name: values[kept] for name, values in data.columns.items()}
    return TrainingData(columns, data.label[kept], data.entity[kept], np.where(churned, 1 / share, 1.0)[kept])


def test_weights_of_one_give_the_same_model_bit_for_bit() -> None:
    data = customers(800)
    plain, ones = (train(each, CONTRACT, SETTINGS, seed=0) for each in (data, replace(data, weight=np.ones(800))))
    assert ones.model.digest == plain.model.digest
    assert ones.report.model_dump(exclude={"seconds", "cpu_seconds"}) == plain.report.model_dump(
        exclude={"seconds", "cpu_seconds"}
    )
    assert plain.report.effective_rows is None


@pytest.mark.parametrize("name", ["additive", "boosting", "deep_boosting", "symmetric"])
def test_every_candidate_learns_the_churn_of_those_who_are_stood_for(name: Candidate) -> None:
    settings = SETTINGS.model_copy(update={"candidates": (name,)})
    new = raw_columns(20_000, seed=50)
    truth, data = sigmoid(true_logit(new)).mean(), thinned()
    found = train(data, CONTRACT, settings, seed=0)
    assert found.model.probability(new).mean() == pytest.approx(truth, abs=0.03)
    assert found.report.churn_rate == pytest.approx(np.average(data.label, weights=data.weight))
    assert found.report.effective_rows == pytest.approx(effective_rows(np.asarray(data.weight)))
    assert data.label.mean() < truth - 0.05


def test_a_weight_is_a_number_above_zero_for_each_row() -> None:
    data = customers(60)
    with pytest.raises(DataError, match="A training weight is not a number above 0"):
        replace(data, weight=np.zeros(60))
    with pytest.raises(DataError, match="'weight' does not have one value for each of the 60 labels"):
        replace(data, weight=np.ones(59))


def test_losses_and_their_errors_count_each_row_as_often_as_it_stands_for_others() -> None:
    often = np.repeat(np.arange(ROWS), WEIGHT)
    losses = logit_losses(LABEL, LOGIT), logit_losses(LABEL, 0.5 * LOGIT)
    weighted = paired_difference(*losses, CUSTOMER, WEIGHT.astype(float))
    assert weighted == pytest.approx(paired_difference(*(loss[often] for loss in losses), CUSTOMER[often]))


def test_a_blend_is_chosen_by_what_rows_stand_for() -> None:
    right, wrong = 2 * LABEL - 1.0, 1.0 - 2 * LABEL
    good_on_first = np.where(np.arange(ROWS) < 40, right, wrong)
    oof = {"a": -good_on_first, "b": good_on_first}
    weight = np.where(np.arange(ROWS) < 40, 100.0, 1.0)
    assert choose_blend(oof, LABEL, CUSTOMER, ("a", "b"))[0] == ("a",)
    assert choose_blend(oof, LABEL, CUSTOMER, ("a", "b"), weight=weight)[0] == ("b",)


def test_calibration_and_threshold_count_each_row_as_often_as_it_stands_for_others() -> None:
    often, weight = np.repeat(np.arange(ROWS), WEIGHT), WEIGHT.astype(float)
    wrong = 0.4 * LOGIT + 1
    assert fit_platt(wrong, LABEL, weight) == pytest.approx(fit_platt(wrong[often], LABEL[often]))
    assert best_f1_threshold(sigmoid(LOGIT), LABEL, weight) == best_f1_threshold(sigmoid(LOGIT[often]), LABEL[often])
    scores = [
        score_calibration(wrong, LABEL, CUSTOMER, weight),
        score_calibration(wrong[often], LABEL[often], CUSTOMER[often]),
    ]
    one, other = (score.model_dump(exclude={"ece", "ece_by_chance"}) for score in scores)
    assert one == pytest.approx(other)
    lines = [
        calibrate(wrong, LABEL, FOLD, CUSTOMER, weight),
        calibrate(wrong[often], LABEL[often], FOLD[often], CUSTOMER[often]),
    ]
    for name in ("slope", "intercept", "gain", "gain_se"):
        assert getattr(lines[0], name) == pytest.approx(getattr(lines[1], name)), name


def test_weighted_symmetric_trees_are_catboosts(monkeypatch: pytest.MonkeyPatch) -> None:
    grown: list[CatBoost] = []
    pools: list[Pool] = []
    fit = CatBoost.fit

    def remembered(booster: CatBoost, pool: Pool, **options: object) -> CatBoost:
        grown.append(booster)
        pools.append(pool)
        return fit(booster, pool, **options)

    monkeypatch.setattr(CatBoost, "fit", remembered)
    city = RANDOM.integers(0, 30, ROWS).astype(np.int32)
    trees = symmetric.grow_symmetric(
        {"x": LOGIT, "city": city},
        {"city": tuple(f"c{code:02d}" for code in range(30))},
        LABEL,
        rounds=20,
        seed=3,
        weight=WEIGHT.astype(float),
    )
    matrix = np.column_stack([LOGIT, city]).astype(np.float32)
    np.testing.assert_allclose(trees.logit(matrix), grown[0].predict(pools[0], "RawFormulaVal"), atol=1e-12)


def test_the_search_judges_by_weighted_loss_and_weighted_money() -> None:
    model = ModelSettings(candidates=("boosting",), folds=3, boosting=BoostingParams(max_rounds=10))
    data = thinned(1500)
    found = {}
    for objective in ("log_loss", "profit"):
        settings = TuningSettings(mode="on", max_trials=2, min_trials=2, objective=objective)
        for weight in (data.weight, None):
            result = tune(
                replace(data, weight=weight),
                CONTRACT,
                model,
                settings,
                seed=0,
                storage=InMemoryStudies().storage(),
                study="s",
                profit=lambda probability: probability * MoneySettings().incentive_cost,
            )
            found[objective, weight is None] = result.trials[0].value
    assert found["log_loss", True] != pytest.approx(found["log_loss", False], rel=1e-3)
    assert found["profit", True] != pytest.approx(found["profit", False], rel=1e-3)
