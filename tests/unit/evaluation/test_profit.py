"""EMPC against two oracles, and the profit curve."""

from __future__ import annotations

import numpy as np
import pytest
from empulse.metrics import empc_score
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import beta as beta_distribution

from churn.evaluation.profit import ProfitRanking
from churn.model.money import MoneySettings, expected_value, treatment_pays
from tests.fakes.data.predictions import empc, predictions

pytestmark = pytest.mark.slow  # empulse takes two seconds to import

MONEY = MoneySettings()
samples = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def economics(amount: float, incentive: float, contact: float, alpha: float = 6, beta: float = 14) -> MoneySettings:
    return MoneySettings.model_validate(
        {
            "customer_value": {"amount": amount},
            "incentive_cost": incentive,
            "contact_cost": contact,
            "acceptance": {"alpha": alpha, "beta": beta},
        }
    )


@settings(max_examples=150, deadline=None)
@given(samples, st.floats(50, 500), st.floats(0, 20), st.floats(0, 5), st.floats(1, 20), st.floats(1, 20))
def test_empc_equals_empulse(rows, amount, incentive, contact, alpha, beta) -> None:  # type: ignore[no-untyped-def]
    assume(alpha / (alpha + beta) * (amount - incentive) > contact)
    ours = economics(amount, incentive, contact, alpha, beta)
    label, score = (np.array(column) for column in zip(*rows, strict=True))
    parameters = {"clv": amount, "incentive_cost": incentive, "contact_cost": contact, "alpha": alpha, "beta": beta}
    found = empc(label, score / 12, ours)
    assert found.profit == pytest.approx(empc_score(label, score / 12, **parameters), abs=1e-7)
    assert found.share == pytest.approx(empc_score.optimal_rate(label, score / 12, **parameters), abs=1e-6)


def test_empc_is_the_best_cut_averaged_over_acceptance() -> None:
    sample = predictions(300)
    order = np.argsort(-sample.probability)
    churners, others = np.cumsum(sample.label[order]) / 300, np.cumsum(1 - sample.label[order]) / 300
    rates = (np.arange(4000) + 0.5) / 4000
    profit = rates[:, None] * 190 * churners - 1 * churners - 11 * others
    best = np.maximum(profit.max(axis=1), 0)
    expected = np.average(best, weights=beta_distribution(6, 14).pdf(rates))
    assert empc(sample.label, sample.probability, MONEY).profit == pytest.approx(expected, abs=1e-4)


def test_weights_count_as_repeated_rows() -> None:
    sample = predictions(200)
    weights = np.random.default_rng(3).integers(0, 4, 200)
    repeated = empc(np.repeat(sample.label, weights), np.repeat(sample.probability, weights), MONEY)
    assert empc(sample.label, sample.probability, MONEY, weights.astype(float)) == pytest.approx(repeated)


def test_empc_looks_at_the_order_alone() -> None:
    sample = predictions(200)
    assert empc(sample.label, sample.probability**3, MONEY) == empc(sample.label, sample.probability, MONEY)


def test_without_churners_nobody_is_contacted() -> None:
    assert empc(np.zeros(5), np.linspace(0, 1, 5), MONEY) == (0, 0)


def test_with_churners_alone_a_free_contact_reaches_everybody() -> None:
    assert empc(np.ones(5), np.linspace(0, 1, 5), economics(200, 10, 0)) == pytest.approx((0.3 * 190, 1))


def test_customers_worth_less_than_the_incentive_earn_nothing() -> None:
    by_revenue = MoneySettings.model_validate({"customer_value": {"amount": 5, "margin": 0.3, "months": 12}})
    assert empc([0, 1], [0.1, 0.9], by_revenue) == (0, 0)


def test_the_profit_curve_runs_from_nobody_to_everybody() -> None:
    sample = predictions(500)
    value = np.full(500, 200.0)
    curve = ProfitRanking.of(sample.label, sample.probability, value, MONEY).curve()
    assert (curve.share[0], curve.realised[0], curve.expected[0]) == (0, 0, 0)
    assert curve.share[-1] == 1
    assert curve.realised[-1] == pytest.approx(expected_value(sample.label, value, MONEY).mean())
    assert curve.expected[-1] == pytest.approx(expected_value(sample.probability, value, MONEY).mean())


def test_the_expected_profit_is_greatest_where_the_decision_rule_stops() -> None:
    sample = predictions(500)
    value = np.random.default_rng(1).uniform(20, 600, 500)
    curve = ProfitRanking.of(sample.label, sample.probability, value, MONEY).curve()
    treated = treatment_pays(sample.probability, value, MONEY)
    assert curve.share[np.argmax(curve.expected)] == pytest.approx(treated.mean())


def test_the_profit_curve_at_the_treated_share_is_what_the_treated_earn() -> None:
    sample = predictions(500)
    value = np.random.default_rng(1).uniform(20, 600, 500)
    treated = treatment_pays(sample.probability, value, MONEY)
    realised, expected = (
        ProfitRanking.of(sample.label, sample.probability, value, MONEY).curve().at(np.array([treated.mean()]))
    )
    assert realised[0] == pytest.approx(np.sum(expected_value(sample.label, value, MONEY)[treated]) / 500)
    assert expected[0] == pytest.approx(np.sum(expected_value(sample.probability, value, MONEY)[treated]) / 500)


def test_a_profit_curve_under_weights_is_that_of_repeated_rows() -> None:
    sample = predictions(100)
    value, weights = np.full(100, 200.0), np.random.default_rng(3).integers(0, 4, 100)
    shares = np.linspace(0, 1, 11)
    weighted = ProfitRanking.of(sample.label, sample.probability, value, MONEY).curve(weights.astype(float)).at(shares)
    label, probability, worth = (np.repeat(each, weights) for each in (sample.label, sample.probability, value))
    repeated = ProfitRanking.of(label, probability, worth, MONEY).curve().at(shares)
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)
