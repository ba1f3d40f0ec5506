"""Events that do not fit the business or the simulated time are refused, with the remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from churn.core.errors import ConfigError
from churn.simulation.simulate import SimulationSettings, simulate

RISE = {"kind": "price_rise", "month": 3, "share": 0.1}
ODDS = {"kind": "changed_odds", "month": 3, "odds": 3}
SALE = {"kind": "new_product", "month": 3, "share": 0.1}


def settings_with(event: dict[str, Any]) -> SimulationSettings:
    return SimulationSettings.model_validate({"customers": 50, "months": 10, "events": [event]})


def feed(**fault: object) -> dict[str, Any]:
    return {"kind": "broken_feed", "month": 3, "fault": fault}


@pytest.mark.parametrize(
    ("name", "event", "message"),
    [
        ("telco", RISE | {"month": 11}, "'price_rise' of month 11 would start after the last simulated month, 10"),
        ("telco", RISE | {"only": {"internet": ["DSL"]}}, "column 'internet', which is not there; did you mean"),
        ("telco", RISE | {"only": {"internet_service": ["Fibre optic"]}}, "did you mean 'Fiber optic'"),
        ("telco", RISE | {"only": {"internet_service": []}}, "limited to no internet_service at all"),
        (
            "telco",
            ODDS | {"only": {"internet_service": ["Fibre"]}},
            "'changed_odds' of month 3 is limited by the .*'Fibre'",
        ),
        ("telco", RISE | {"only": {"contract": ["One year"]}}, "changes by chance within the outcome window"),
        ("saas", RISE | {"only": {"seats": ["4"]}}, "column 'seats', which is not there: choose one of plan"),
        ("telco", SALE | {"column": "gender", "value": "Male"}, "sells the column 'gender', which is not there"),
        ("telco", SALE | {"column": "tech_support", "value": "No internet service"}, "choose one of No, Yes"),
        (
            "telco",
            SALE | {"column": "internet_service", "value": "5G"},
            "name in `like` which of DSL, Fiber optic costs",
        ),
        (
            "telco",
            SALE | {"column": "internet_service", "value": "5G", "like": "No"},
            "is like the internet_service 'No'",
        ),
        (
            "saas",
            SALE | {"column": "plan", "value": "Team", "like": "Starter"},
            "plan has that value: leave out `like`",
        ),
        ("telco", feed(kind="nulls", column="tenur", share=0.1), "breaks the column 'tenur'.*did you mean 'tenure'"),
        ("telco", feed(kind="unit_change", column="contract", factor=2), "'contract', which is not a number"),
        ("saas", feed(kind="renamed_category", column="mrr", value="1", becomes="2"), "'mrr', which has no categories"),
        ("saas", feed(kind="renamed_category", column="plan", value="Pro", becomes="P"), "renames the plan 'Pro'"),
        ("saas", feed(kind="renamed_category", column="plan", value="Team", becomes="Team"), "'Team' to itself"),
    ],
)
def test_an_event_that_does_not_fit_the_business_is_refused(name: str, event: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(name, settings_with(event))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (RISE | {"month": 0}, "greater than or equal to 1"),
        (RISE | {"share": 0}, "greater than 0"),
        (RISE | {"share": 1.01}, "less than or equal to 1"),
        ({"kind": "seasonality", "month": 1, "amplitude": 1}, "less than 1"),
        ({"kind": "seasonality", "month": 1, "amplitude": 0.5, "peak": 13}, "less than or equal to 12"),
        ({"kind": "late_labels", "month": 1, "share": 0.5, "days": 0}, "greater than or equal to 1"),
        (feed(kind="unit_change", column="tenure", factor=0), "greater than 0"),
        (feed(kind="unit_change", column="tenure", factor=float("inf")), "less than or equal to 1000000"),
        (feed(kind="upside_down", column="tenure"), "does not match any of the expected tags"),
    ],
)
def test_an_event_beyond_its_bounds_is_refused(event: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings_with(event)


def test_an_event_may_start_in_the_last_month() -> None:
    assert simulate("telco", settings_with(RISE | {"month": 10})).num_rows == 500
