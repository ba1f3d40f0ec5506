"""Numbers as people read them."""

from __future__ import annotations

import datetime as dt

import pytest

from churn.core.estimate import Estimate
from churn.core.wording import Named, amount, interval, moment, number, percent, plain, spoken, times

ESTIMATE = Estimate(point=0.8472, lower=0.8311, upper=0.8618, se=0.008)


def test_numbers_are_rounded_and_grouped() -> None:
    assert number(0.8472) == "0.847"
    assert number(12345.678, 1) == "12,345.7"


def test_a_zero_has_no_sign() -> None:
    assert number(-0.0004) == "0.000"
    assert number(-0.0006) == "-0.001"


def test_times_are_utc_to_the_minute() -> None:
    east = dt.timezone(dt.timedelta(hours=2))
    assert moment(dt.datetime(2025, 6, 1, 0, 30, 59, tzinfo=east)) == "2025-05-31 22:30 UTC"


def test_shares_are_percentages() -> None:
    assert percent(0.1642) == "16.4%"
    assert percent(1, 0) == "100%"


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (9.678, "9.68 USD"),
        (10.0, "10 USD"),
        (-0.5, "-0.50 USD"),
        (99.99, "99.99 USD"),
        (100.4, "100 USD"),
        (96785.2, "96,785 USD"),
    ],
)
def test_amounts_show_cents_where_they_matter(money: float, text: str) -> None:
    assert amount(money, "USD") == text


def test_contributions_are_factors_of_the_odds() -> None:
    assert (times(0.918), times(-0.2), times(0)) == ("×2.50", "×0.82", "×1.00")


@pytest.mark.parametrize(
    ("value", "text"),
    [(51234, "51,234"), (3.0, "3"), (12345.6, "12,346"), (0.16418, "0.1642"), (3.21e-6, "3.21e-06"), (-2.5, "-2.5")],
)
def test_any_number_is_written_with_the_digits_it_bears(value: float, text: str) -> None:
    assert plain(value) == text


def test_an_interval_follows_its_number() -> None:
    assert interval(ESTIMATE) == "0.847 (0.831 to 0.862)"
    assert interval(ESTIMATE, percent) == "84.7% (83.1% to 86.2%)"


def test_the_unit_stands_once() -> None:
    assert interval(ESTIMATE, lambda value: number(value, 2), "USD") == "0.85 USD (0.83 to 0.86)"


def test_names_are_spoken() -> None:
    assert (spoken("f1"), spoken("best_f1")) == ("F1", "best f1")


AUC = Named("ROC AUC")
PROFIT = Named("profit per customer and month", "money", 2)
ERROR = Named("calibration error", "%", 1)
LOST = Named("calibration error saved", "pp", 2)


@pytest.mark.parametrize(
    ("quantity", "text", "text_with_interval"),
    [
        (AUC, "0.847", "0.847 (0.831 to 0.862)"),
        (PROFIT, "0.85 USD", "0.85 USD (0.83 to 0.86)"),
        (ERROR, "84.7%", "84.7% (83.1% to 86.2%)"),
        (LOST, "84.72 pp", "84.72 pp (83.11 to 86.18)"),
        (Named("size", "MB", 1), "0.8 MB", "0.8 MB (0.8 to 0.9)"),
    ],
)
def test_a_named_quantity_is_written_with_its_unit_and_its_digits(
    quantity: Named, text: str, text_with_interval: str
) -> None:
    assert quantity.text(ESTIMATE.point, "USD") == text
    assert quantity.interval(ESTIMATE, "USD") == text_with_interval
    assert text_with_interval.endswith(f"({quantity.span(ESTIMATE)})")


def test_the_head_of_a_column_holds_the_unit_that_its_cells_leave_out() -> None:
    assert (PROFIT.column("USD"), PROFIT.number(9.434)) == ("profit per customer and month, USD", "9.43")
    assert (AUC.column("USD"), AUC.heading) == ("ROC AUC", "ROC AUC")
    assert PROFIT.heading == "Profit per customer and month"
    assert ERROR.column() == "calibration error"
