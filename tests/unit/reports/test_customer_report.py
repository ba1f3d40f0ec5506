"""What is said of one customer, on a page and on a screen."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from churn.scoring.customer import CustomerAnswer, FeaturePart
from churn.scoring.what_if import Change
from reports.customer_report import customer_lines, customer_page

WHEN = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
FLIP = Change(
    column="contract",
    description="length of the contract",
    before="Month-to-month",
    after="Two year",
    probability=0.05,
    expected_value=-7.5,
    decision="leave",
    flips=True,
)
LOWER = FLIP.model_copy(
    update={"description": "monthly charges", "before": 100.4, "after": 80.0, "probability": 0.4, "flips": False}
)


def said(**changes: Any) -> CustomerAnswer:
    facts: dict[str, Any] = {
        "customer": "7590-VHVEG",
        "model": "churn_telco",
        "version": 7,
        "window_days": 90,
        "as_of": WHEN,
        "true_at": WHEN - dt.timedelta(days=3),
        "known_at": WHEN - dt.timedelta(days=2),
        "currency": "EUR",
        "probability": 0.5,
        "decision": "treat",
        "expected_value": 22.5,
        "customer_value": 200.0,
        "threshold": 0.164,
        "base": -1.0,
        "starting_point": 0.269,
        "parts": (
            FeaturePart(words="length of the contract: Month-to-month", added=1.2, actionable=True),
            FeaturePart(words="months as a customer: 60", added=-0.2, actionable=False),
            FeaturePart(words="gender: Male", added=0.004, actionable=False),
        ),
        "changes": (FLIP, LOWER),
    }
    return CustomerAnswer.model_validate(facts | changes)


def test_the_screen_says_facts_risk_decision_reasons_and_changes() -> None:
    assert customer_lines(said()) == [
        "Customer 7590-VHVEG, by churn_telco version 7 (@Champion)",
        "Facts    true at 2025-05-29 00:00 UTC, known since 2025-05-30 00:00 UTC",
        "Risk     50.0% within 90 days; the model starts from 26.9%",
        "Decision treat: an offer is expected to earn 22.50 EUR; the customer is worth 200 EUR, so that an offer pays "
        "above 16.4%.",
        "Raising  odds ×3.32  length of the contract: Month-to-month",
        "Lowering odds ×0.82  months as a customer: 60",
        "Change   length of the contract: Month-to-month → Two year, then 5.0%: leave",
        "         monthly charges: 100.4 → 80, then 40.0%",
        "         (what the model says of such a customer, not the effect of changing it)",
    ]


def test_a_customer_who_is_left_alone_is_told_what_an_offer_would_lose() -> None:
    (line,) = [
        line for line in customer_lines(said(decision="leave", expected_value=-4.3)) if line.startswith("Decision")
    ]
    assert line.startswith("Decision leave alone: an offer is expected to lose 4.30 EUR;")


@pytest.mark.parametrize("threshold", [1.0, float("inf")])
def test_a_customer_whom_no_risk_makes_worth_an_offer_is_told_so(threshold: float) -> None:
    lines = customer_lines(said(decision="leave", threshold=threshold, customer_value=5.0))
    assert "Decision leave: the customer is worth 5 EUR, too little to repay an offer at any risk." in lines


def test_a_decision_that_nothing_flips_is_told_on_both() -> None:
    unmoved = said(changes=(LOWER,))
    assert "Change   no single actionable value flips the decision" in customer_lines(unmoved)
    assert "No change of a single value that the business can act on flips the decision." in customer_page(unmoved)


def test_the_page_shows_every_part_the_waterfall_and_that_nothing_of_it_is_causal() -> None:
    page = customer_page(said())
    assert '<h1>Customer <span class="unbroken">7590-VHVEG</span></h1>' in page
    assert "From the model&#x27;s starting point of 26.9% to this customer" in page
    assert "It is not the effect of changing it" in page
    for part in said().parts:
        assert part.words in page
    assert re.findall(r"""\b(?:src|href)=["'](?!#)[^"']*""", page) == []


def test_what_comes_from_the_data_is_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    part = FeaturePart(words=hostile, added=1.0, actionable=True)
    change = FLIP.model_copy(update={"after": hostile})
    assert "<script" not in customer_page(said(customer=hostile, parts=(part,), changes=(change,)))
