"""What would change a decision: changes of one value that lower the risk, the greatest fall first; none raises it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from churn.model.money import MoneySettings, optimal_threshold
from churn.model.scorer import ScoringSettings
from churn.scoring.facts import Alike
from churn.scoring.what_if import Change, what_if
from tests.fakes.data.explained import CONTRACT, customer, explaining_scorer

EVERY = ("Month-to-month", "One year", "Two year")
OTHERS = Alike({"contract": EVERY}, {"monthly_charges": (20.0, 90.0)})
LOYAL = {"contract": "Two year", "tenure": 60.0, "monthly_charges": 48.0, "total_charges": 2880.0}
"""Log-odds -1 - 0.5 + 0.7 - 1.2 = -2, and 0.1 more for each unit of price above 48: not worth an offer."""

DEARER = {"contract": "One year", "tenure": 80.0, "monthly_charges": 45.0, "total_charges": 3200.0}
"""Log-odds -1 + 0.25 + 0.7 - 1.6 = -1.65, which is not worth an offer, and 0.5 for a rise of 5: worth one."""


def asked(others: Alike = OTHERS, settings: ScoringSettings | None = None, **values: object) -> list[Change]:
    return list(what_if(explaining_scorer(settings), customer(**values), CONTRACT, others))


def of(changes: list[Change], column: str) -> list[Change]:
    return [change for change in changes if change.column == column]


def test_of_a_number_the_nearest_value_that_flips_the_decision_is_found() -> None:
    lowest, change = of(asked(**DEARER), "monthly_charges")
    threshold = float(optimal_threshold(200, MoneySettings()))
    assert (change.before, change.decision, change.flips) == (45.0, "leave", True)
    assert isinstance(change.after, float)
    assert 40 < change.after < 45
    assert change.probability == pytest.approx(threshold, abs=0.0002)
    assert change.expected_value < 0
    assert lowest.probability < change.probability


def test_of_texts_the_one_that_moves_the_model_least_and_the_one_that_lowers_the_risk_most_are_told() -> None:
    # Without a term -1 + 0.9 - 0.5; one year, which training did not know, 0.25 for 0.9; two years -0.5.
    changes = of(asked(tenure=60.0, monthly_charges=48.0, total_charges=2880.0), "contract")
    assert [(change.after, change.flips) for change in changes] == [("Two year", True)]
    changes = of(asked(tenure=80.0, monthly_charges=40.0, total_charges=3200.0), "contract")
    assert [(change.after, change.flips, change.decision) for change in changes] == [
        ("Two year", True, "leave"),
        ("One year", True, "leave"),
    ]


def test_a_change_that_does_not_flip_is_told_where_it_lowers_the_risk() -> None:
    changes = asked()
    assert [(change.column, change.after, change.flips) for change in changes] == [
        ("contract", "Two year", False),
        ("monthly_charges", pytest.approx(48.0, abs=0.35), False),
    ]
    assert changes[0].probability == pytest.approx(1 / (1 + math.exp(1 + 0.5 - 0.5 - 0.2)))


def test_of_changes_that_lower_the_risk_alike_the_smallest_is_told() -> None:
    # Below 48 the price is no rise any more: nothing is won by going on to 20.
    (change,) = of(asked(), "monthly_charges")
    assert isinstance(change.after, float)
    assert 47 < change.after <= 48.01


@pytest.mark.parametrize("values", [{}, LOYAL, {"contract": "One year"}, {"monthly_charges": 40.0, "tenure": 80.0}])
def test_the_greatest_fall_of_the_risk_comes_first_and_nothing_that_raises_it_is_offered(
    values: dict[str, object],
) -> None:
    now = explaining_scorer().predict(customer(**values), explain="none").probability[0]
    risks = [change.probability for change in asked(**values)]
    assert risks == sorted(risks)
    assert all(risk <= now for risk in risks)


def test_a_loyal_customer_is_left_as_they_are() -> None:
    assert asked(**LOYAL) == []


def test_a_value_is_changed_only_to_what_occurs_and_is_allowed() -> None:
    assert {change.after for change in asked(Alike({"contract": (*EVERY, "Lifetime")}, {}))} == {"Two year"}
    assert asked(Alike({"contract": ("Month-to-month",)}, {})) == []
    assert asked(Alike({}, {})) == []
    beyond = asked(Alike({}, {"monthly_charges": (-500.0, 10.0)}))
    assert [change.after for change in beyond] == [10.0]
    assert asked(Alike({}, {"monthly_charges": (-500.0, -1.0)})) == []


def test_what_is_not_actionable_is_never_changed() -> None:
    everything = Alike({"contract": EVERY}, dict.fromkeys(("tenure", "total_charges"), (0.0, 100.0)))
    assert {change.column for change in asked(everything)} == {"contract"}


def test_a_value_that_is_not_known_may_become_known() -> None:
    changes = asked(contract=None, monthly_charges=np.nan)
    assert {change.before for change in changes} == {None}
    assert "contract" in {change.column for change in changes}


def test_a_price_that_changes_what_a_customer_is_worth_changes_the_decision() -> None:
    money = MoneySettings.model_validate(
        {"contact_cost": 30, "customer_value": {"amount": 200, "margin": 0.3, "months": 24}}
    )
    settings = ScoringSettings(money=money, monthly_revenue="monthly_charges")
    (change,) = [each for each in of(asked(settings=settings), "monthly_charges") if each.flips]
    assert change.decision == "leave"
    assert isinstance(change.after, float)
    assert 20 < change.after < 48
