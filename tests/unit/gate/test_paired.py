"""One model's metrics under many weightings at once."""

from __future__ import annotations

import numpy as np
import pytest

from churn.core.errors import DataError
from churn.evaluation.bootstrap import customer_weights
from churn.evaluation.holdout import Holdout, HoldoutStatistic
from churn.gate.paired import BlockMetrics, PairedRows, Predictions, weight_blocks
from churn.model.money import CustomerValue, MoneySettings, expected_value
from tests.fakes.data.paired_predictions import paired_rows

MONEY = MoneySettings()
ROWS = paired_rows(700)


def holdout(rows: PairedRows = ROWS, money: MoneySettings = MONEY) -> Holdout:
    return rows.holdout(rows.champion, money)


def test_the_metrics_are_those_of_an_evaluation() -> None:
    weights = np.random.default_rng(0).integers(0, 3, (5, 700)).astype(float)
    found = BlockMetrics(holdout(), None)(weights)
    reference = HoldoutStatistic(holdout(), calibration_bins=10, literature=MONEY)
    for draw, weight in enumerate(weights):
        expected = reference.metrics(weight)
        expected["f1"] = expected["f1_at_f1"]
        assert {name: values[draw] for name, values in found.items()} == pytest.approx(
            {name: expected[name] for name in found}
        )


def test_blocks_are_the_draws_of_the_bootstrap() -> None:
    entity = np.repeat([f"c{number}" for number in range(20_000)], 2)
    blocks = list(weight_blocks(entity, resamples=13, seed=3))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), list(customer_weights(entity, resamples=13, seed=3)))


def brute_force(rows: PairedRows, customers: int) -> float:
    """What the first so many customers by expected value earn, as far as it pays, per customer of all."""
    best = np.argsort(-expected_value(rows.champion.probability, rows.value, MONEY), kind="stable")[:customers]
    pays = best[expected_value(rows.champion.probability, rows.value, MONEY)[best] > 0]
    return float(np.sum(expected_value(rows.label, rows.value, MONEY)[pays]) / len(rows.champion.probability))


@pytest.mark.parametrize("share", [0.02, 0.1, 1.0])
def test_at_capacity_the_best_customers_are_contacted(share: float) -> None:
    found = BlockMetrics(holdout(), share)(np.ones((1, 700)))
    assert found["profit_at_capacity"][0] == pytest.approx(brute_force(ROWS, round(share * 700)))


def test_with_room_for_everybody_capacity_costs_nothing() -> None:
    found = BlockMetrics(holdout(), 1.0)(np.random.default_rng(0).integers(0, 3, (4, 700)).astype(float))
    np.testing.assert_allclose(found["profit_at_capacity"], found["profit_per_customer"])


def test_every_draw_contacts_no_more_than_its_share() -> None:
    value = CustomerValue(amount=10_000)  # everybody pays
    money = MONEY.model_copy(update={"customer_value": value})
    rows = PairedRows(**vars(ROWS) | {"value": np.full(700, 10_000.0), "label": np.ones(700)})
    weights = np.random.default_rng(0).integers(0, 3, (6, 700)).astype(float)
    found = BlockMetrics(holdout(rows, money), 0.1)(weights)
    each = expected_value(1.0, 10_000, money)  # what any contact earns where everybody churns
    np.testing.assert_allclose(found["profit_at_capacity"], 0.1 * each)


def test_f1_is_zero_where_nothing_is_called_and_nobody_churned() -> None:
    rows = PairedRows(**vars(ROWS) | {"label": np.zeros(700), "champion": Predictions(np.full(700, 0.2), 0.9)})
    found = BlockMetrics(rows.holdout(rows.champion, MONEY), None)(np.ones((1, 700)))
    assert found["f1"][0] == 0.0
    assert np.isnan(found["roc_auc"][0])


def test_a_probability_out_of_range_is_refused() -> None:
    rows = PairedRows(**vars(ROWS) | {"champion": Predictions(np.full(700, 1.2), 0.5)})
    with pytest.raises(DataError, match="`probability` must be between 0 and 1"):
        holdout(rows)
