"""The page and the lines of a simulated year: every figure with its interval, missed goals said, the story in order."""

from __future__ import annotations

import datetime as dt

import pytest

from churn.core.estimate import Estimate
from churn.lifecycle.year_result import Month, PolicyYear, YearResult
from reports.year_report import year_headline, year_lines, year_page


def estimate(point: float, reach: float = 0.0) -> Estimate:
    return Estimate(point=point, lower=point - reach, upper=point + reach, se=reach / 1.96)


def policy(name: str, profit: float, *happened: str, trainings: int = 0, against: float = 0.0) -> PolicyYear:
    months = [
        Month(
            start=dt.datetime(2026, number, 1, tzinfo=dt.UTC),
            profit=profit / 3,
            contacted=40,
            kept=5,
            left=60,
            happened=tuple(sentence for sentence in happened if number == 2),
        )
        for number in (1, 2, 3)
    ]
    return PolicyYear(
        name=name,
        label=f"the policy {name}",
        profit=estimate(profit, 50),
        share=estimate(profit / 1000, 0.01),
        against_loop=estimate(against, 9),
        trainings=trainings,
        promotions=trainings,
        months=tuple(months),
    )


def year(loop: float = 970, monthly: float = 0.0) -> YearResult:
    return YearResult(
        dataset="telco_simulated",
        scenario="price-rise",
        description="all prices rise by 10% in month 3",
        customers=4000,
        currency="USD",
        confidence=0.95,
        control_share=0.1,
        control_cost=123.0,
        policies=(
            policy("loop", loop, "Retrained; the new version goes live: it is better.", trainings=1),
            policy("never", 900, against=-70),
            policy("monthly", 968, trainings=2, against=monthly),
            policy("demo", 900, against=-70),
        ),
        optimum=policy("optimum", 1000, against=30),
        seconds=61.4,
    )


def test_the_headline_gives_the_share_with_its_interval_and_the_goals() -> None:
    assert year_headline(year()) == (
        "The loop earned 970 USD, 97.0% of what could be earned (96.0% to 98.0%), with 1 training after the first "
        "(the policy never 90.0% with 0; the policy monthly 96.8% with 2). Every goal was reached."
    )
    assert "Missed: at least 95% of the reachable profit." in year_headline(year(940))
    assert "Missed: not worse than retraining every month" in year_headline(year(monthly=10))


def test_the_lines_hold_every_policy_and_what_happened() -> None:
    lines = "\n".join(year_lines(year()))
    for said in (
        "the policy never",
        "-70 (-79 to -61)",
        "the policy optimum",
        "Goal    reached: at least 95%",
        "Loop    2026-02: Retrained; the new version goes live: it is better.",
        "costs 123 USD, which no policy could earn",
    ):
        assert said in lines, said
    assert "Goal    MISSED: at least 95%" in "\n".join(year_lines(year(940)))


def test_a_loop_that_did_nothing_is_said_to_have_had_no_reason() -> None:
    idle = year().model_copy(update={"policies": (policy("loop", 970), policy("never", 970))})
    assert "Loop    found no reason to act" in year_lines(idle)
    assert "The loop found no reason to act." in year_page(idle)


@pytest.mark.slow
def test_the_page_says_what_the_lines_say_and_needs_nothing_else() -> None:
    html = year_page(year())
    for said in (
        "97.0%",
        "the policy monthly",
        "Retrained; the new version goes live",
        "Earned more than the loop",
        "<svg",
    ):
        assert said in html, said
    assert "<script" not in html
    assert year_page(year()) == html
