"""Expected value, threshold and decision, and the settings that make no sense."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.core.errors import ConfigError
from churn.core.yaml_files import parse_model
from churn.model.money import (
    CostMatrix,
    CustomerValue,
    MoneySettings,
    expected_value,
    optimal_threshold,
    treatment_pays,
)

COIN = {
    "acceptance": {"alpha": 1, "beta": 1},
    "incentive_cost": 25,
    "contact_cost": 0,
    "customer_value": {"amount": 100},
}
"""Half of the churners accept: 0.4 · 0.5 · 75 - 0.6 · 25 = 0, so that treating breaks even at exactly 0.4."""

economics = st.builds(
    lambda amount, incentive, contact, alpha, beta: {
        "customer_value": {"amount": amount, "margin": 0.5, "months": 1},
        "incentive_cost": incentive,
        "contact_cost": contact,
        "acceptance": {"alpha": alpha, "beta": beta},
    },
    st.floats(0, 1e4),
    st.floats(0, 1e3),
    st.floats(0.01, 100),
    st.floats(0.1, 50),
    st.floats(0.1, 50),
)


def money(**settings: object) -> MoneySettings:
    return parse_model(MoneySettings, settings, "base.yaml", ConfigError)


def test_expected_value_is_the_worked_example_of_the_docs() -> None:
    assert expected_value([0.1, 0.5, 1.0], 200, MoneySettings()) == pytest.approx([-4.3, 22.5, 56.0])


def test_the_literature_breaks_even_at_eleven_sixtysevenths() -> None:
    assert optimal_threshold(200, MoneySettings()) == pytest.approx(11 / 67)


def test_a_customer_is_treated_above_the_threshold_and_not_at_it() -> None:
    coin = money(**COIN)
    assert optimal_threshold(100, coin) == 0.4
    assert treatment_pays([0.4, np.nextafter(0.4, 1)], 100, coin).tolist() == [False, True]


@given(economics, st.floats(0, 1e4))
def test_expected_value_is_zero_at_the_threshold_and_rises_through_it(
    settings: dict[str, object], value: float
) -> None:
    ours = money(**settings)
    threshold = float(optimal_threshold(value, ours))
    if np.isfinite(threshold) and threshold < 1e6:
        step = 1e-3 * (1 + threshold)
        at, above, below = expected_value([threshold, threshold + step, threshold - step], value, ours)
        assert at == pytest.approx(0, abs=1e-6 * (1 + value))
        assert below < above


@given(economics, st.floats(0, 1e4), st.floats(0, 1))
def test_deciding_by_threshold_and_by_expected_value_agree(settings: dict[str, object], value: float, p: float) -> None:
    ours = money(**settings)
    threshold = float(optimal_threshold(value, ours))
    if abs(p - threshold) > 1e-9 * (1 + threshold):
        assert bool(treatment_pays(p, value, ours)) == (p > threshold)


def test_a_customer_worth_less_than_the_incentive_is_never_treated() -> None:
    ours = money(customer_value={"amount": 0, "margin": 0.3, "months": 24})
    assert not treatment_pays([0.0, 0.5, 1.0], 9.0, ours).any()
    assert optimal_threshold([9.0, 0.0], ours).min() > 1


def test_a_customer_whose_loss_would_be_a_gain_has_an_infinite_threshold() -> None:
    assert optimal_threshold(-1000.0, MoneySettings()) == np.inf


def test_a_missing_probability_is_not_treated() -> None:
    assert not treatment_pays(np.nan, 200, MoneySettings())


def test_expected_value_has_the_shape_of_its_inputs() -> None:
    assert expected_value(0.5, 200, MoneySettings()).shape == ()
    assert expected_value(np.full(3, 0.5), np.array([100.0, 200.0, 300.0]), MoneySettings()).shape == (3,)


def test_value_by_revenue_is_margin_times_months_of_revenue() -> None:
    value = CustomerValue(amount=100, margin=0.25, months=12)
    assert value.values(2, np.array([20.0, 0.0])).tolist() == [60.0, 0.0]


def test_unknown_revenue_falls_back_to_the_amount() -> None:
    value = CustomerValue(amount=100, margin=0.25, months=12)
    assert value.values(3, np.array([np.nan, np.inf, 40.0])).tolist() == [100.0, 100.0, 120.0]


def test_a_negative_revenue_makes_a_customer_worth_nothing() -> None:
    value = CustomerValue(margin=0.5, months=4.0)
    assert value.values(3, np.array([-36.0, -1e-9, 0.0])).tolist() == [0.0, 0.0, 0.0]


def test_a_constant_value_ignores_revenue() -> None:
    assert CustomerValue(amount=70).values(2, np.array([1.0, 2.0])).tolist() == [70.0, 70.0]


def test_value_by_revenue_without_a_revenue_column_says_how_to_go_on() -> None:
    with pytest.raises(ConfigError, match=r"name its column there as `monthly_revenue`, or set both to null"):
        CustomerValue(margin=0.25, months=12).values(2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"incentive_cost": -1}, r"`incentive_cost`: .*greater than or equal to 0, got -1"),
        ({"contact_cost": float("nan")}, r"`contact_cost`: .*finite number"),
        ({"currency": "usd"}, r"`currency`: .*pattern"),
        ({"acceptance": {"alpha": 0}}, r"`acceptance.alpha`: .*greater than 0"),
        ({"customer_value": {"margin": 0.3}}, r"both `margin` and `months`"),
        ({"customer_value": {"margin": 1.01, "months": 12}}, r"`customer_value.margin`: .*less than or equal to 1"),
        ({"incentive_cost": 300}, r"nobody should be treated.*lower `incentive_cost` 300"),
        ({"incentive_costs": 3}, r"unknown key `incentive_costs`; did you mean 'incentive_cost'"),
        ({"cost_matrix": {"fn": 2000}}, r"missing a churner would pay at least as much as treating one"),
        ({"cost_matrix": {"fp": 500}}, r"`fp` 500 is not below `tn` 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        money(**settings)


def test_a_certain_churner_must_be_worth_more_than_the_contact() -> None:
    # Half of the churners accept and are worth 75 more than the incentive: 37.5 by expectation.
    assert money(**COIN | {"contact_cost": 37.49}).contact_cost == 37.49
    with pytest.raises(ConfigError, match="nobody should be treated"):
        money(**COIN | {"contact_cost": 37.5})


def test_settings_survive_json() -> None:
    ours = money(**COIN)
    assert MoneySettings.model_validate_json(ours.model_dump_json()) == ours


def test_the_demos_costs_with_the_right_sign_break_even_at_an_eighth() -> None:
    assert CostMatrix().threshold == 0.125


def test_the_cost_matrix_pays_each_outcome() -> None:
    label, treated = [1, 0, 1, 0], [True, True, False, False]
    assert CostMatrix().profit(label, treated).tolist() == [1500, -500, -2000, 0]


def test_at_its_threshold_a_cost_matrix_does_not_care() -> None:
    matrix = CostMatrix(tp=70, fp=-13, fn=-250, tn=3)
    p = matrix.threshold
    assert matrix.profit(p, True) == pytest.approx(matrix.profit(p, False))


@pytest.mark.parametrize("cell", [{"fn": 1500}, {"fp": 0}])
def test_a_cost_matrix_where_two_outcomes_pay_the_same_is_refused(cell: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not below"):
        CostMatrix(**cell)


def test_the_examples_of_the_docs_hold() -> None:
    page = Path(__file__).parents[3] / "docs" / "money.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 10
    assert failed == 0
