"""What a model is worth, in the words of somebody who has to decide: the headline and the money section."""

from __future__ import annotations

from functools import partial

from churn.core.wording import amount, interval, number, percent, spoken
from churn.evaluation.evaluate import Evaluation
from churn.model.money import MoneySettings

from . import charts
from .page import Cell, Figure, Section, Table, Text

__all__ = ["money_section"]

_cents = partial(number, digits=2)
_whole = partial(number, digits=0)


def money_section(evaluation: Evaluation) -> Section:
    """Return the economics in words, every way to decide with what it earns, and the profit curve."""
    earned = f"{evaluation.currency} per customer"
    right = ["treated", "churners reached", "churners among them", "F1", earned, "by cost matrix"]
    blocks = [
        Table(["who is treated", *right], _policies(evaluation), right=right),
        Text(_cost_matrix(evaluation.money)),
        Figure(
            charts.profit(evaluation),
            "Where the lines agree, the model's own forecast of its profit can be trusted.",
        ),
        Figure(charts.score_distribution(evaluation), "Each rule treats the customers to the right of its line."),
    ]
    return Section("Money", blocks, _economics(evaluation.money))


def _policies(evaluation: Evaluation) -> list[list[Cell]]:
    metrics, matrix = evaluation.metrics, evaluation.money.cost_matrix
    rules = {"profit": "expected value above 0", "cost_matrix": f"above {percent(matrix.threshold)}, the cost matrix"}
    for name, threshold in evaluation.thresholds.items():
        rules[name] = f"from {percent(threshold)}, the {spoken(name)} threshold"
    everybody = [interval(metrics[name], _cents) for name in ("profit_if_all", "cost_matrix_profit_if_all")]
    nobody = ["0.00", interval(metrics["cost_matrix_profit_if_none"], _cents)]
    return [
        *([words, *_policy(evaluation, rule)] for rule, words in rules.items()),
        ["everybody", "100.0%", "100.0%", percent(metrics["churn_share"].point), None, *everybody],
        ["nobody", "0.0%", "0.0%", None, None, *nobody],
    ]


def _policy(evaluation: Evaluation, rule: str) -> list[Cell]:
    metrics = evaluation.metrics
    shares = [metrics.get(f"{metric}_at_{rule}") for metric in ("share", "recall", "precision")]
    earned = [metrics[f"{metric}_at_{rule}"] for metric in ("profit", "cost_matrix_profit")]
    return [
        *(None if share is None else percent(share.point) for share in shares),
        interval(metrics[f"f1_at_{rule}"]),
        *(interval(each, _cents) for each in earned),
    ]


def _economics(money: MoneySettings) -> str:
    value, write = money.customer_value, partial(amount, currency=money.currency)
    worth = write(value.amount)
    if value.margin is not None and value.months is not None:
        worth = (
            f"{percent(value.margin, 0)} of the monthly revenue for {value.months:g} months "
            f"({worth} where the revenue is not known)"
        )
    return (
        f"A customer who is kept is worth {worth}. An accepted offer costs {write(money.incentive_cost)}, a contact "
        f"{write(money.contact_cost)}, and {percent(money.acceptance.mean, 0)} of churners accept. The model treats "
        "those from whom that is expected to earn something."
    )


def _cost_matrix(money: MoneySettings) -> str:
    matrix, write = money.cost_matrix, partial(amount, currency=money.currency)
    return (
        f"The last column counts by the fixed cost matrix instead: a churner treated {write(matrix.tp)}, a churner "
        f"missed {write(matrix.fn)}, a customer treated who stays anyway {write(matrix.fp)}, one left alone "
        f"{write(matrix.tn)}."
    )
