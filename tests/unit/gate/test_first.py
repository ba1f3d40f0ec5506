"""The bars of a first champion, each tried with a model that does and one that does not clear it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from churn.core.estimate import Estimate
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.gate.checks import Check
from churn.gate.first import beats_chance, beats_everybody, beats_nobody, beats_prior, first_checks
from churn.gate.settings import GateSettings
from churn.model.money import CustomerValue, MoneySettings
from tests.fakes.data.predictions import Predictions, predictions

MONEY = MoneySettings()
NAMES = ["better_than_nobody", "better_than_everybody", "better_than_prior", "better_than_chance", "calibration"]


def evaluated(sample: Predictions, probability: np.ndarray, money: MoneySettings = MONEY) -> Evaluation:
    return evaluate(
        sample.label,
        probability,
        sample.entity,
        thresholds={},
        money=money,
        value=money.customer_value.amount,
        slices={},
        settings=EvaluationSettings(resamples=100),
        seed=1,
    )


def verdicts(probability: np.ndarray, money: MoneySettings = MONEY, **changes: Any) -> dict[str, Check]:
    options: dict[str, Any] = {"churn_rate": float(SAMPLE.label.mean()), "settings": GateSettings()} | changes
    found = first_checks(evaluated(SAMPLE, probability, money), SAMPLE.label, probability, SAMPLE.entity, **options)
    return {check.name: check for check in found}


SAMPLE = predictions(1200)


def test_a_good_model_clears_every_bar() -> None:
    found = verdicts(SAMPLE.probability)
    assert list(found) == NAMES
    assert all(check.passed for check in found.values())


def test_a_coin_does_no_better_than_treating_everybody_whom_it_cannot_tell_apart() -> None:
    found = verdicts(np.random.default_rng(0).beta(3, 7, 1200))
    assert [name for name in NAMES[:4] if found[name].passed] == ["better_than_nobody"]


def test_where_few_churn_a_coin_loses_money() -> None:
    rare = SAMPLE.label * (np.arange(1200) % 3 == 0)
    coin = np.random.default_rng(0).beta(3, 7, 1200)
    found = beats_nobody(evaluated(replace(SAMPLE, label=rare), coin), 0.05)
    assert found.verdict == "fail"
    assert "Do without the model, or train a better one." in found.sentence


def test_giving_everybody_the_churn_rate_is_not_better_than_giving_everybody_the_churn_rate() -> None:
    rate = float(SAMPLE.label.mean())
    found = verdicts(np.full(1200, rate))
    assert found["better_than_prior"].value == 0.0
    assert not found["better_than_prior"].passed
    assert not found["better_than_chance"].passed


def test_where_everybody_is_worth_treating_no_model_is_needed() -> None:
    rich = MONEY.model_copy(update={"customer_value": CustomerValue(amount=100_000)})
    found = verdicts(np.maximum(SAMPLE.probability, 0.01), rich)
    assert found["better_than_nobody"].passed
    assert not found["better_than_everybody"].passed


def with_metric(name: str, point: float, se: float) -> Evaluation:
    found = evaluated(SAMPLE, SAMPLE.probability)
    estimate = Estimate(point=point, lower=point - 1, upper=point + 1, se=se)
    return found.model_copy(update={"metrics": {**found.metrics, name: estimate}})


@pytest.mark.parametrize(
    ("check", "metric", "bar"),
    [
        (beats_nobody, "profit_per_customer", 0.0),
        (beats_everybody, "profit_over_all", 0.0),
        (beats_chance, "roc_auc", 0.5),
    ],
)
def test_the_lower_bound_of_the_one_sided_interval_must_lie_above_the_bar(check: Any, metric: str, bar: float) -> None:
    just, not_quite = (check(with_metric(metric, bar + z * 0.01, 0.01), 0.05) for z in (1.645, 1.644))
    assert (just.verdict, not_quite.verdict) == ("pass", "fail")
    assert just.threshold == bar
    assert just.value == pytest.approx(bar, abs=1e-5)
    assert check(with_metric(metric, bar, 0.0), 0.05).verdict == "fail"


def test_the_gain_over_the_churn_rate_is_paired_by_row() -> None:
    label, entity = SAMPLE.label, SAMPLE.entity
    check = beats_prior(label, SAMPLE.probability, entity, 0.3, 0.05)
    p = SAMPLE.probability
    model = -np.where(label == 1, np.log(p), np.log(1 - p))
    gaps = -np.where(label == 1, np.log(0.3), np.log(0.7)) - model
    bound = gaps.mean() - 1.645 * gaps.std(ddof=1) / np.sqrt(1200)
    assert check.value == pytest.approx(bound, abs=1e-4)
    assert "giving everybody the 30.0% that churned in training" in check.sentence


def test_rows_that_repeat_a_customer_add_no_certainty() -> None:
    sample = predictions(150)
    once = beats_prior(sample.label, sample.probability, sample.entity, 0.3, 0.05)
    often = beats_prior(*(np.tile(x, 9) for x in (sample.label, sample.probability, sample.entity)), 0.3, 0.05)
    assert often.value == pytest.approx(once.value)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_churn_rate_that_cannot_be_is_an_error_and_the_others_are_still_asked(rate: float) -> None:
    found = verdicts(SAMPLE.probability, churn_rate=rate)
    assert [name for name, check in found.items() if check.verdict == "error"] == ["better_than_prior"]
    assert "must lie between 0 and 1" in found["better_than_prior"].sentence


def test_a_metric_that_does_not_exist_is_an_error() -> None:
    found = evaluated(SAMPLE, SAMPLE.probability)
    without = found.model_copy(update={"metrics": {}})
    checks = first_checks(
        without, SAMPLE.label, SAMPLE.probability, SAMPLE.entity, churn_rate=0.3, settings=GateSettings()
    )
    assert [check.verdict for check in checks] == ["error", "error", "pass", "error", "error"]
