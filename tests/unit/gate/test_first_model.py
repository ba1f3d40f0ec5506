"""The bars of a first champion, each tried with a model that does and one that does not clear it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from churn.core.estimate import Estimate
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.evaluation.holdout import Holdout
from churn.gate.first_model import (
    Campaigns,
    beats_chance,
    beats_everybody,
    beats_nobody,
    beats_prior,
    first_model_checks,
)
from churn.gate.report import Check
from churn.gate.settings import GateSettings
from churn.model.money import MoneySettings
from tests.fakes.data.predictions import Predictions, predictions

pytestmark = pytest.mark.slow

MONEY = MoneySettings()
QUICK = GateSettings(resamples=400)
CHEAP = MoneySettings(incentive_cost=0, contact_cost=0.01)
"""Under these costs treating everybody pays."""
NAMES = ["better_than_nobody", "better_than_everybody", "better_than_prior", "better_than_chance", "calibration"]


def holdout_of(sample: Predictions, *, times: Any = 1, weight: Any = None) -> Holdout:
    rows = (np.repeat(values, times) for values in (sample.label, sample.probability, sample.entity))
    return Holdout.of(*rows, thresholds={"f1": 0.5}, money=MONEY, value=200.0, weight=weight)


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


def held_out(sample: Predictions, probability: np.ndarray, money: MoneySettings = MONEY) -> Holdout:
    value = money.customer_value.amount
    return Holdout.of(sample.label, probability, sample.entity, thresholds={"f1": 0.3}, money=money, value=value)


def verdicts(probability: np.ndarray, money: MoneySettings = MONEY, **changes: Any) -> dict[str, Check]:
    options: dict[str, Any] = {
        "churn_rate": float(SAMPLE.label.mean()),
        "customers": 1200,
        "settings": QUICK,
        "seed": 1,
    } | changes
    checks = first_model_checks(evaluated(SAMPLE, probability, money), held_out(SAMPLE, probability, money), **options)
    return {check.name: check for check in checks}


def campaigns(
    sample: Predictions, probability: np.ndarray, money: MoneySettings = MONEY, share: float = 1.0
) -> Campaigns:
    return Campaigns.of(held_out(sample, probability, money), share, QUICK, seed=1)


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
    found = beats_nobody(campaigns(replace(SAMPLE, label=rare), coin), "USD", 0.05)
    assert found.verdict == "fail"
    assert "Do without the model, or train a better one." in found.sentence


def test_giving_everybody_the_churn_rate_is_not_better_than_giving_everybody_the_churn_rate() -> None:
    rate = float(SAMPLE.label.mean())
    found = verdicts(np.full(1200, rate))
    assert found["better_than_prior"].value == 0.0
    assert not found["better_than_prior"].passed
    assert not found["better_than_chance"].passed


def test_where_treating_everybody_pays_a_first_champion_is_possible() -> None:
    found = verdicts(np.maximum(SAMPLE.probability, 0.01), CHEAP)
    assert {name: check.verdict for name, check in found.items()} == dict.fromkeys(NAMES, "pass")
    sentence = found["better_than_everybody"].sentence
    assert "Treating everybody pays, and the model treats 100.0% of the customers" in sentence


def test_a_model_that_leaves_out_a_few_where_treating_everybody_pays_may_lose_no_more_than_the_margin() -> None:
    few_left = np.where(np.arange(1200) % 50 == 0, 1e-9, np.maximum(SAMPLE.probability, 0.01))
    found = verdicts(few_left, CHEAP)["better_than_everybody"]
    campaign = campaigns(SAMPLE, few_left, CHEAP)
    assert 0.95 < campaign.treated < 1
    assert campaign.gain.point < 0
    assert found.passed
    assert found.threshold == pytest.approx(-0.05 * campaign.everybody)
    half_left = np.where(np.arange(1200) % 2 == 0, 1e-9, np.maximum(SAMPLE.probability, 0.01))
    assert not verdicts(half_left, CHEAP)["better_than_everybody"].passed


def test_within_a_capacity_the_model_must_beat_as_many_customers_drawn_at_random() -> None:
    tight = GateSettings(resamples=400, capacity=120)
    good, coin = SAMPLE.probability, np.random.default_rng(0).beta(3, 7, 1200)
    by_rank, by_chance = (verdicts(scores, CHEAP, settings=tight)["better_than_everybody"] for scores in (good, coin))
    assert (by_rank.verdict, by_chance.verdict) == ("pass", "fail")
    assert "as many customers drawn at random" in by_rank.sentence
    within = campaigns(SAMPLE, good, CHEAP, share=0.1)
    everybody = campaigns(SAMPLE, good, CHEAP)
    assert within.everybody == pytest.approx(0.1 * everybody.everybody)
    assert 0 < within.model.point < everybody.model.point


def test_the_capacity_is_a_share_of_the_customers_whom_a_campaign_chooses_from() -> None:
    tight = GateSettings(resamples=400, capacity=120)
    scarce, roomy = (verdicts(SAMPLE.probability, settings=tight, customers=n) for n in (12_000, 120))
    assert scarce["better_than_nobody"].value < roomy["better_than_nobody"].value  # type: ignore[operator]
    assert roomy == verdicts(SAMPLE.probability)


def profit(point: float, se: float) -> Estimate:
    return Estimate(point=point, lower=point - 1, upper=point + 1, se=se)


def with_auc(point: float, se: float) -> Evaluation:
    found = evaluated(SAMPLE, SAMPLE.probability)
    return found.model_copy(update={"metrics": {**found.metrics, "roc_auc": profit(point, se)}})


def with_profit(gain: Estimate, treated: float = 0.5) -> Campaigns:
    return Campaigns(gain, 10.0, gain, treated, capacity_share=1.0)


@pytest.mark.parametrize(
    ("check", "bar"),
    [
        (lambda point, se: beats_nobody(with_profit(profit(point, se)), "USD", 0.05), 0.0),
        (lambda point, se: beats_everybody(with_profit(profit(point, se)), "USD", QUICK), 0.0),
        (lambda point, se: beats_chance(with_auc(point, se), 0.05), 0.5),
    ],
    ids=["nobody", "everybody", "chance"],
)
def test_the_lower_bound_of_the_one_sided_interval_must_lie_above_the_bar(check: Any, bar: float) -> None:
    just, not_quite = (check(bar + z * 0.01, 0.01) for z in (1.645, 1.644))
    assert (just.verdict, not_quite.verdict) == ("pass", "fail")
    assert just.threshold == bar
    assert just.value == pytest.approx(bar, abs=1e-5)
    assert check(bar, 0.0).verdict == "fail"


@pytest.mark.parametrize(("loss", "verdict"), [(0.5, "pass"), (0.5001, "fail")])
def test_where_everybody_is_treated_the_margin_is_the_bar(loss: float, verdict: str) -> None:
    found = beats_everybody(with_profit(profit(-loss, 0.0), treated=1.0), "USD", QUICK)
    assert (found.verdict, found.threshold) == (verdict, -0.5)


def test_the_gain_over_the_churn_rate_is_paired_by_row() -> None:
    label = SAMPLE.label
    check = beats_prior(holdout_of(SAMPLE), 0.3, 0.05)
    p = SAMPLE.probability
    model = -np.where(label == 1, np.log(p), np.log(1 - p))
    gaps = -np.where(label == 1, np.log(0.3), np.log(0.7)) - model
    bound = gaps.mean() - 1.645 * gaps.std(ddof=1) / np.sqrt(1200)
    assert check.value == pytest.approx(bound, abs=1e-4)
    assert "giving everybody the 30.0% that churned in training" in check.sentence


def test_rows_that_repeat_a_customer_add_no_certainty() -> None:
    sample = predictions(150)
    once = beats_prior(holdout_of(sample), 0.3, 0.05)
    often = beats_prior(holdout_of(sample, times=9), 0.3, 0.05)
    assert often.value == pytest.approx(once.value)


def test_a_row_that_stands_for_nine_counts_as_nine_rows_of_its_customer() -> None:
    sample = predictions(150)
    weight = np.random.default_rng(0).integers(1, 10, 150)
    weighted = beats_prior(holdout_of(sample, weight=weight.astype(float)), 0.3, 0.05)
    assert weighted.value == pytest.approx(beats_prior(holdout_of(sample, times=weight), 0.3, 0.05).value)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_churn_rate_that_cannot_be_is_an_error_and_the_others_are_still_asked(rate: float) -> None:
    found = verdicts(SAMPLE.probability, churn_rate=rate)
    assert [name for name, check in found.items() if check.verdict == "error"] == ["better_than_prior"]
    assert "must lie between 0 and 1" in found["better_than_prior"].sentence


def test_a_metric_that_does_not_exist_is_an_error() -> None:
    without = evaluated(SAMPLE, SAMPLE.probability).model_copy(update={"metrics": {}})
    checks = first_model_checks(
        without, held_out(SAMPLE, SAMPLE.probability), churn_rate=0.3, customers=1200, settings=QUICK, seed=1
    )
    assert [check.verdict for check in checks] == ["pass", "pass", "pass", "error", "error"]
