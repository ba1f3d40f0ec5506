"""The headline of an evaluation in two sentences, with the population that it is about."""

from __future__ import annotations

from ..core.wording import percent
from .evaluate import Evaluation
from .metrics import METRICS

__all__ = ["A_CUSTOMER_MONTH", "campaign_of", "headline", "represented_in_words", "rows_in_words"]

A_CUSTOMER_MONTH = "A customer-month is one customer scored on one date."


def headline(evaluation: Evaluation) -> str:
    """Return what the model is worth, in two sentences: one campaign date where there is one, else all rows."""
    treated, customers, unit = _who(evaluation)
    lowest, highest = (percent(threshold) for threshold in evaluation.campaign.threshold)
    above = lowest if lowest == highest else f"their own break-even ({lowest} to {highest}, by what each is worth)"
    when = campaign_of(evaluation)
    when = f"On {when}, " if when else "Over all dates, " if unit == "customer-months" else ""
    if treated == 0:
        return _sentence(
            f"{when}nobody is worth treating: none of {customers:,} {unit} has a churn probability above {above}."
        )
    who = f"the {treated:,} of {customers:,} {unit} whose churn probability is above {above}"
    who = f"all {customers:,} {unit}" if treated == customers else who
    return _sentence(f"{when}treating {who} would have earned {_earned(evaluation)}")


def campaign_of(evaluation: Evaluation) -> str:
    """Return the date of the campaign that is reported, such as `2025-09-01`; empty where there is none."""
    date = evaluation.campaign_date
    if date is None:
        return ""
    return " to ".join(dict.fromkeys(f"{when:%Y-%m-%d}" for when in (date.since, date.until)))


def rows_in_words(rows: int, customers: int, churners: int, churned_customers: int | None) -> str:
    """Return how many customers were scored and how many of them churned: `1,669 customers, 412 of whom churned`.

    Args:
        rows: Rows scored: customers, or customer-months where a customer has several.
        customers: Customers they are of.
        churners: Rows whose customer churned.
        churned_customers: Customers with such a row; None where it is not on record.
    """
    if rows == customers:
        return f"{customers:,} customers, {churners:,} of whom churned"
    scored = f"{rows:,} customer-months"
    if churned_customers is None:
        return f"{scored} of {customers:,} customers; {churners:,} of these rows ended in churn"
    return f"{scored} of {customers:,} customers, {churned_customers:,} of whom churned"


def represented_in_words(evaluation: Evaluation) -> str:
    """Return what rows that stand for contacted ones too are worth; empty where each stands for itself alone."""
    if evaluation.represented is None or evaluation.effective_rows is None:
        return ""
    return (
        f"Outcomes of contacted customers are left out: these rows stand for {evaluation.represented:,}, and count as "
        f"much as {evaluation.effective_rows:,.0f} rows of equal weight."
    )


def _who(evaluation: Evaluation) -> tuple[int, int, str]:
    """Return how many are treated, of how many, and what they are."""
    date = evaluation.campaign_date
    if date is not None:
        return date.treated, date.customers, "customers"
    return evaluation.campaign.treated, evaluation.represented or evaluation.rows, evaluation.unit


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _earned(evaluation: Evaluation) -> str:
    """Return what was earned per 1,000, and how that compares with treating everybody."""
    metrics = evaluation.metrics
    names = ("campaign_profit", "campaign_profit_over_all", "campaign_profit_if_all")
    per, factor = "per 1,000 customers", 1
    if evaluation.campaign_date is None or not set(names) <= metrics.keys():
        names, factor = ("profit_per_customer", "profit_over_all", "profit_if_all"), 1000
        per = per if evaluation.unit == "customers" else "per 1,000 customers and month"
    profit, gain, everybody = (metrics[name].scaled(factor) for name in names)
    money, currency = METRICS["campaign_profit"], evaluation.currency
    earned = f"{money.text(profit.point, currency)} {per} ({money.span(profit)})"
    others = f"Treating everybody would have earned {money.text(everybody.point, currency)}"
    difference = money.interval(gain, currency)
    if gain.lower > 0:
        return f"{earned}. {others}: {difference} less."
    if gain.upper < 0:
        return f"{earned}. {others}, which is more: the difference is {difference}."
    return f"{earned}. {others}, no different within the margin of error: {difference}."
