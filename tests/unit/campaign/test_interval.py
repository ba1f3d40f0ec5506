"""Expected profit and cost, and their intervals, against what a simulation of customers gives."""

from __future__ import annotations

import numpy as np
import pytest

from churn.campaign.candidates import expected_cost
from churn.campaign.interval import ProfitInterval, profit_interval
from churn.model.money import Acceptance, MoneySettings, expected_value
from tests.fakes.data.campaigns import candidates_of

MONEY = MoneySettings()


def interval_of(probability: np.ndarray, value: np.ndarray, money: MoneySettings, confidence: float) -> ProfitInterval:
    candidates = candidates_of(probability, value, money)
    return profit_interval(candidates, np.ones(len(candidates), dtype=bool), money, confidence)


def drawn(
    probability: np.ndarray, value: np.ndarray, money: MoneySettings, worlds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Profit and cost of treating everybody in many worlds."""
    random = np.random.default_rng(5)
    rate = random.beta(money.acceptance.alpha, money.acceptance.beta, worlds)[:, None]
    churns = random.random((worlds, len(probability))) < probability
    accepts = random.random((worlds, len(probability))) < rate
    taken = ~churns | accepts
    cost = money.contact_cost * len(probability) + money.incentive_cost * taken.sum(axis=1)
    return (value * (churns & accepts)).sum(axis=1) - cost, cost


@pytest.mark.parametrize("acceptance", [Acceptance(), Acceptance(alpha=600, beta=1400)])
def test_the_intervals_are_those_of_simulated_worlds(acceptance: Acceptance) -> None:
    random = np.random.default_rng(1)
    probability, value = random.beta(2, 4, 300), random.uniform(50, 500, 300)
    money = MoneySettings(acceptance=acceptance)
    found = interval_of(probability, value, money, 0.9)
    assert len(found) == 2
    for estimate, worlds in zip(found, drawn(probability, value, money, 20_000), strict=True):
        width = estimate.upper - estimate.lower
        assert estimate.point == pytest.approx(worlds.mean(), abs=0.02 * width)
        assert [estimate.lower, estimate.upper] == pytest.approx(np.quantile(worlds, [0.05, 0.95]), abs=0.03 * width)
        assert estimate.se == pytest.approx(worlds.std(), rel=0.03)


def test_the_points_are_the_sums_of_what_each_customer_is_expected_to_bring() -> None:
    probability, value = np.array([0.1, 0.5, 0.9]), np.array([100.0, 200.0, 300.0])
    found = interval_of(probability, value, MONEY, 0.95)
    assert found.profit.point == pytest.approx(expected_value(probability, value, MONEY).sum())
    assert found.cost.point == pytest.approx(expected_cost(probability, MONEY).sum())


def test_a_cost_is_the_contact_and_the_incentive_of_those_who_take_it() -> None:
    assert expected_cost(np.array([0.0, 0.5, 1.0]), MONEY).tolist() == pytest.approx(
        [11.0, 1 + 10 * 0.65, 1 + 10 * 0.3]
    )


def test_nobody_earns_and_costs_nothing() -> None:
    found = interval_of(np.empty(0), np.empty(0), MONEY, 0.95)
    assert found.profit == found.cost
    assert (found.profit.point, found.profit.lower, found.profit.upper) == (0, 0, 0)


def test_what_is_certain_has_no_interval() -> None:
    money = MoneySettings(incentive_cost=0)
    cost = interval_of(np.array([0.3, 0.6]), np.array([200.0, 200.0]), money, 0.95).cost
    assert (cost.lower, cost.point, cost.upper) == (2.0, 2.0, 2.0)


def test_an_acceptance_rate_that_is_known_better_gives_a_narrower_interval() -> None:
    probability, value = np.full(2000, 0.4), np.full(2000, 200.0)
    unsure, sure = (
        interval_of(
            probability, value, MoneySettings(acceptance=Acceptance(alpha=scale * 6, beta=scale * 14)), 0.95
        ).profit
        for scale in (1, 100)
    )
    assert sure.point == pytest.approx(unsure.point)
    assert (sure.upper - sure.lower) < 0.25 * (unsure.upper - unsure.lower)
