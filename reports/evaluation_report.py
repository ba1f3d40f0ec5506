"""An evaluation as sections of a page: profit, ranking, calibration, slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from churn.core.wording import amount, interval, percent, spoken
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.headline import A_CUSTOMER_MONTH, campaign_of, represented_in_words, rows_in_words
from churn.evaluation.metrics import METRICS
from churn.evaluation.oracle import Reachable
from churn.evaluation.slices import SLICE_METRICS, Slice
from churn.model.money import CostMatrix, MoneySettings

from . import charts, model_charts
from .page import Block, Callout, Card, Cards, Cell, Figure, Section, Table, Text

__all__ = ["evaluation_sections", "money_section"]

_QUALITY = (
    "roc_auc",
    "average_precision",
    "top_decile_lift",
    "log_loss",
    "brier",
    "ece",
    "calibration_ratio",
    "calibration_slope",
    "empc",
)
_POLICY = ("share", "recall", "precision", "f1", "profit", "cost_matrix_profit")


def evaluation_sections(evaluation: Evaluation) -> tuple[Section, ...]:
    """Return what a holdout says of a model, for a training report or for a page of its own."""
    sections = [_glance(evaluation), money_section(evaluation), _quality(evaluation)]
    sections += [_by_date(evaluation)] if len(evaluation.periods) > 1 else []
    sections += [_slices(evaluation)] if evaluation.slices else []
    sections += [_reachable(evaluation.reachable, evaluation.currency)] if evaluation.reachable else []
    return tuple(sections)


def _glance(evaluation: Evaluation) -> Section:
    metrics = evaluation.metrics
    everybody = METRICS["profit_if_all"].text(metrics["profit_if_all"].point, evaluation.currency)
    treated = METRICS["share_at_profit"].text(metrics["share_at_profit"].point)
    chance = METRICS["ece"].text(evaluation.calibration_noise.mean)
    notes = (
        ("campaign_profit", _one_campaign(evaluation)),
        ("profit_per_customer", f"; by treating everybody {everybody}"),
        ("recall_at_profit", f"; {treated} of the {evaluation.unit} are treated"),
        ("roc_auc", "; chance is 0.5"),
        ("top_decile_lift", " times the average churn rate"),
        ("ece", f"; chance alone gives {chance}"),
    )
    good = {
        "campaign_profit": "campaign_profit_over_all" in metrics and metrics["campaign_profit_over_all"].lower > 0,
        "profit_per_customer": metrics["profit_over_all"].lower > 0,
        "ece": _is_calibrated(evaluation),
    }
    cards = [
        Card(
            METRICS[name].heading,
            METRICS[name].text(metrics[name].point, evaluation.currency),
            f"{METRICS[name].span(metrics[name])}{note}",
            "plain" if name not in good else "good" if good[name] else "warn",
        )
        for name, note in notes
        if name in metrics
    ]
    scored = rows_in_words(evaluation.rows, evaluation.customers, evaluation.churners, evaluation.churned_customers)
    what = "" if evaluation.unit == "customers" else f" {A_CUSTOMER_MONTH}"
    lead = (
        f"{scored}; no part of training saw them.{what} "
        f"Ranges are {percent(evaluation.confidence, 0)} intervals from {evaluation.resamples:,} resamples of the "
        f"customers. {represented_in_words(evaluation)}"
    ).rstrip()
    return Section("At a glance", [Cards(cards)], lead)


def _one_campaign(evaluation: Evaluation) -> str:
    """Return of which date and customers the profit of one campaign is."""
    date, everybody = evaluation.campaign_date, evaluation.metrics.get("campaign_profit_if_all")
    if date is None or everybody is None:
        return ""
    words = METRICS["campaign_profit_if_all"].text(everybody.point, evaluation.currency)
    return f"; {date.customers:,} customers on {campaign_of(evaluation)}; by treating everybody {words}"


def _is_calibrated(evaluation: Evaluation) -> bool:
    """Whether chance alone would give such a calibration error more than once in twenty times."""
    return evaluation.metrics["ece"].point <= evaluation.calibration_noise.upper


def money_section(evaluation: Evaluation) -> Section:
    """Return the economics in words, every decision rule with what it earns, and the profit curve."""
    shown = _POLICY if _has_matrix(evaluation.money) else _POLICY[:-1]
    heads = [METRICS[name].column(evaluation.currency) for name in shown]
    means = "; ".join(f"{METRICS[name].label}: {METRICS[name].meaning}" for name in _POLICY[:4])
    blocks = [
        Table(["who is treated", *heads], _policies(evaluation, shown), f"{means}.", right=heads),
        *([Text(_cost_matrix(evaluation.money))] if _has_matrix(evaluation.money) else []),
        Figure(
            charts.profit(evaluation),
            "Where the lines agree, the model's own forecast of its profit can be trusted.",
        ),
        Figure(charts.score_distribution(evaluation), "Each rule treats the customers to the right of its line."),
    ]
    pooled = "" if evaluation.unit == "customers" else " All dates of the holdout are pooled: each amount is for one "
    pooled += "customer on one date." if pooled else ""
    return Section("Money", blocks, f"{_economics(evaluation.money)}{pooled}")


def _has_matrix(money: MoneySettings) -> bool:
    """Whether a cost matrix of one's own is set; figures of the one that stands there by default mislead."""
    return money.cost_matrix != CostMatrix()


def _policies(evaluation: Evaluation, shown: Sequence[str]) -> list[list[Cell]]:
    metrics, matrix = evaluation.metrics, evaluation.money.cost_matrix
    rules = {"profit": "expected value above 0"}
    if _has_matrix(evaluation.money):
        rules["cost_matrix"] = f"above {percent(matrix.threshold)}, the cost matrix"
    for name, threshold in evaluation.thresholds.items():
        rules[name] = f"from {percent(threshold)}, the {spoken(name)} threshold"
    everybody, nobody = (METRICS["share"].text(share) for share in (1.0, 0.0))
    churned = METRICS["precision"].text(metrics["churn_share"].point)
    applied: list[list[Cell]] = [
        [words, *(_measured(evaluation, f"{name}_at_{rule}") for name in shown)] for rule, words in rules.items()
    ]
    all_of_them: list[Cell] = ["everybody", everybody, everybody, churned, None, _measured(evaluation, "profit_if_all")]
    none: list[Cell] = ["nobody", nobody, nobody, None, None, METRICS["profit"].number(0.0)]
    if _has_matrix(evaluation.money):
        all_of_them.append(_measured(evaluation, "cost_matrix_profit_if_all"))
        none.append(_measured(evaluation, "cost_matrix_profit_if_none"))
    return [*applied, all_of_them, none]


def _measured(evaluation: Evaluation, name: str) -> str | None:
    """Return a metric for a column that names its unit: with its interval, or alone where it is a percentage."""
    metric, estimate = METRICS[name], evaluation.metrics.get(name)
    if estimate is None:
        return None
    return metric.number(estimate.point) if metric.unit == "%" else interval(estimate, metric.number)


def _economics(money: MoneySettings) -> str:
    value, write = money.customer_value, partial(amount, currency=money.currency)
    value_kept = write(value.amount)
    if value.margin is not None and value.months is not None:
        value_kept = (
            f"{percent(value.margin, 0)} of the monthly revenue for {value.months:g} months "
            f"({value_kept} where the revenue is not known)"
        )
    return (
        f"Keeping a customer is worth {value_kept}. An accepted offer costs {write(money.incentive_cost)}, a contact "
        f"{write(money.contact_cost)}, and {percent(money.acceptance.mean, 0)} of churners accept. The model treats "
        "the customers whose expected value, after these costs, is above 0."
    )


def _cost_matrix(money: MoneySettings) -> str:
    matrix, write = money.cost_matrix, partial(amount, currency=money.currency)
    return (
        f"The last column counts by the fixed cost matrix instead: a churner treated {write(matrix.tp)}, a churner "
        f"missed {write(matrix.fn)}, a customer treated who stays anyway {write(matrix.fp)}, one left alone "
        f"{write(matrix.tn)}."
    )


def _quality(evaluation: Evaluation) -> Section:
    metrics = evaluation.metrics
    right = ["estimate and interval", "standard error"]
    rows: list[list[Cell]] = [
        [
            METRICS[name].label,
            METRICS[name].interval(metrics[name], evaluation.currency),
            METRICS[name].gain.text(metrics[name].se),
            METRICS[name].meaning,
        ]
        for name in _QUALITY
        if name in metrics
    ]
    blocks: list[Block] = [
        Table(["metric", *right, "meaning"], rows, right=right),
        _calibration(evaluation),
        *(Figure(draw(evaluation)) for draw in (charts.reliability, charts.lift, charts.roc, charts.precision_recall)),
    ]
    return Section(
        "Quality", blocks, "How well customers are put in order of risk, and how true the probabilities are."
    )


def _calibration(evaluation: Evaluation) -> Callout:
    metrics, chance = evaluation.metrics, evaluation.calibration_noise
    noise = f"about {percent(chance.mean)}, seldom above {percent(chance.upper)}"
    gap, predicted, observed = (percent(metrics[name].point) for name in ("ece", "mean_probability", "churn_share"))
    predicted_and_observed = f"The model predicted that {predicted} would churn, and {observed} did."
    if _is_calibrated(evaluation):
        verdict = f"is no more than chance explains ({noise}): the probabilities are calibrated."
        return Callout(f"{predicted_and_observed} The average gap of {gap} {verdict}", "good")
    verdict = f"is more than chance explains ({noise}), and expected values are off with it:"
    advice = "calibrate the model on more recent outcomes before acting on them."
    return Callout(f"{predicted_and_observed} The average gap of {gap} {verdict} {advice}", "warn")


def _by_date(evaluation: Evaluation) -> Section:
    drawing = model_charts.churn_by_date(evaluation.periods, evaluation.confidence)
    lead = "Where predictions leave the intervals on several dates, the customers or the business have changed."
    return Section("By date", [Figure(drawing)], lead)


def _slices(evaluation: Evaluation) -> Section:
    rows = [_slice_row(part, evaluation.currency) for part in evaluation.slices]
    drawings = [
        Figure(model_charts.slice_dots(evaluation.slices, name, overall.point, evaluation.confidence))
        for name in ("roc_auc", "calibration_ratio")
        if (overall := evaluation.metrics.get(name)) and any(name in part.metrics for part in evaluation.slices)
    ]
    level = percent(evaluation.confidence, 0)
    table = Table.of(rows, f"All {len(rows)} groups, {level} intervals", right=list(rows[0])[2:], folded=True)
    lead = "Where the model is better or worse than on average; a ratio above 1 means that more churned than predicted."
    return Section("Groups of customers", [*drawings, table], lead)


def _slice_row(part: Slice, currency: str) -> dict[str, Cell]:
    measured: dict[str, Cell] = {
        METRICS[name].column(currency): None
        if (estimate := part.metrics.get(name)) is None
        else interval(estimate, METRICS[name].number)
        for name in SLICE_METRICS
    }
    first = next(iter(measured))
    return {
        "group of": part.column,
        "value": part.value,
        "rows": part.rows,
        METRICS["churn_share"].label: percent(part.churn_share),
        **measured,
        first: part.skipped or measured[first],
    }


def _reachable(reached: Reachable, currency: str) -> Section:
    rows: list[dict[str, Cell]] = [
        {
            "metric": METRICS[name].label,
            "model": METRICS[name].text(value.model, currency),
            "true probabilities": METRICS[name].text(value.best, currency),
            "share of the reachable gain": None if value.share is None else percent(value.share),
        }
        for name, value in (
            ("roc_auc", reached.roc_auc),
            ("log_loss", reached.log_loss),
            ("profit_per_customer", reached.profit_per_customer),
        )
    ]
    table = Table.of(rows, right=list(rows[0])[1:])
    lead = (
        "The data is simulated, so the true probabilities are known, and with them the best that any model can reach. "
        "Both columns are expectations over every outcome that could have happened, so that they differ a little from "
        "the metrics above, which are of the outcomes that did."
    )
    return Section("Against the truth", [table], lead)
