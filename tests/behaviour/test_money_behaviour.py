"""What the money must do, whatever the formulas: a missed churner costs, a better model earns more, and so on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.model.money import CostMatrix, MoneySettings, optimal_threshold, treatment_pays
from tests.fakes.data.predictions import Predictions, empc, predictions

MONEY = MoneySettings()


def earned(sample: Predictions, money: MoneySettings = MONEY, value: object = 200.0) -> Evaluation:
    return evaluate(
        sample.label,
        sample.probability,
        sample.entity,
        thresholds={"half": 0.5},
        money=money,
        value=value,
        slices={},
        settings=EvaluationSettings(resamples=100),
        seed=1,
    )


def test_a_missed_churner_costs() -> None:
    treated = np.array([True, True])
    missed = np.array([False, True])
    assert CostMatrix().profit([1, 0], missed).sum() < CostMatrix().profit([1, 0], treated).sum()


def test_predicting_nobody_loses_and_a_perfect_model_gains() -> None:
    label = predictions(1000).label
    matrix = CostMatrix()
    nobody, perfect = matrix.profit(label, np.zeros(1000)).sum(), matrix.profit(label, label).sum()
    assert nobody < 0 < perfect


def test_the_demos_sign_would_reward_missing_every_churner() -> None:
    label = predictions(1000).label
    demo = {"tp": 1500, "fp": -500, "fn": 2000, "tn": 0}
    nobody, perfect = demo["fn"] * label.sum(), demo["tp"] * label.sum()
    assert nobody > perfect
    with pytest.raises(ValueError, match="missing a churner would pay"):
        CostMatrix(**demo)


def test_treating_by_expected_value_beats_treating_everybody_nobody_and_the_half() -> None:
    metrics = earned(predictions(4000)).metrics
    ours = metrics["profit_per_customer"].point
    assert ours > max(0.0, metrics["profit_if_all"].point, metrics["profit_at_half"].point)
    assert metrics["profit_over_all"].lower > 0


def test_a_better_model_earns_more() -> None:
    exact, blurred, blind = (earned(predictions(4000, noise=noise)) for noise in (0.0, 1.5, 50.0))
    profits = [each.metrics["profit_per_customer"].point for each in (exact, blurred, blind)]
    assert profits == sorted(profits, reverse=True)
    assert [each.metrics["empc"].point for each in (exact, blurred, blind)] == sorted(
        (each.metrics["empc"].point for each in (exact, blurred, blind)), reverse=True
    )


@pytest.mark.parametrize(
    ("cheaper", "dearer"),
    [({"incentive_cost": 5}, {"incentive_cost": 40}), ({"contact_cost": 0}, {"contact_cost": 20})],
)
def test_the_dearer_the_offer_the_fewer_are_treated(cheaper: dict[str, float], dearer: dict[str, float]) -> None:
    probability = predictions(2000).probability
    many, few = (treatment_pays(probability, 200, MoneySettings(**costs)).sum() for costs in (cheaper, dearer))
    assert 0 < few < many


def test_the_more_churners_accept_the_more_are_treated() -> None:
    probability = predictions(2000).probability
    rates = [MoneySettings.model_validate({"acceptance": {"alpha": a, "beta": 20 - a}}) for a in (4, 6, 12)]
    treated = [int(treatment_pays(probability, 200, money).sum()) for money in rates]
    assert treated == sorted(set(treated))


def test_the_more_a_customer_is_worth_the_smaller_a_risk_is_enough() -> None:
    thresholds = optimal_threshold(np.array([50.0, 200.0, 1000.0]), MONEY)
    assert (np.diff(thresholds) < 0).all()


def test_knowing_what_each_customer_is_worth_earns_more_than_their_average() -> None:
    sample = predictions(6000)
    value = np.random.default_rng(0).lognormal(np.log(150), 1.0, 6000)
    by_value = earned(sample, value=value).metrics["profit_per_customer"].point
    treated = treatment_pays(sample.probability, value.mean(), MONEY)
    by_average = np.sum((sample.label * 0.3 * (value - 10) - (1 - sample.label) * 10 - 1)[treated]) / 6000
    assert by_value > by_average


def test_changing_the_currency_scales_the_money_and_changes_no_decision() -> None:
    sample = predictions(1000)
    yen = MoneySettings.model_validate(
        {"currency": "JPY", "customer_value": {"amount": 30_000}, "incentive_cost": 1500, "contact_cost": 150}
    )
    assert (treatment_pays(sample.probability, 30_000, yen) == treatment_pays(sample.probability, 200, MONEY)).all()
    assert empc(sample.label, sample.probability, yen).profit == pytest.approx(
        150 * empc(sample.label, sample.probability, MONEY).profit
    )


def test_the_campaigns_forecast_holds_for_a_calibrated_model() -> None:
    campaign = earned(predictions(6000)).campaign
    assert campaign.profit.lower < campaign.expected_profit < campaign.profit.upper


def test_on_telco_the_threshold_is_worth_more_than_any_model(telco_csv: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    table = pd.read_csv(telco_csv)
    inputs = pd.get_dummies(table[["Contract", "InternetService", "PaymentMethod", "PaperlessBilling", "TechSupport"]])
    inputs = pd.concat([inputs, table[["tenure", "MonthlyCharges"]] / 100], axis=1).to_numpy(dtype=float)
    label = (table["Churn"] == "Yes").to_numpy(dtype=int)
    probability = cross_val_predict(LogisticRegression(max_iter=1000), inputs, label, cv=5, method="predict_proba")[
        :, 1
    ]
    metrics = earned(Predictions(label, probability, probability, table["customerID"].to_numpy())).metrics
    assert metrics["roc_auc"].point > 0.83
    assert metrics["cost_matrix_profit"].point > 120
    assert metrics["cost_matrix_profit_at_half"].point < 0
    assert metrics["profit_per_customer"].lower > metrics["profit_at_half"].upper
