"""The evidence of a gate's verdict, as sections of a page: the same rows, the same folds, every slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from churn.core.wording import interval, number, percent
from churn.evaluation.headline import A_CUSTOMER_MONTH, represented_in_words, rows_in_words
from churn.evaluation.metrics import METRICS
from churn.gate.report import Comparison, GateReport, PairedMetric, RecipeComparison, RecipeMetric, SliceComparison
from churn.model.money import CostMatrix, MoneySettings

from . import gate_charts
from .page import Callout, Cell, Figure, Section, Table

__all__ = [
    "LEADS",
    "comparison_section",
    "forest",
    "gains_table",
    "level_of",
    "recipe_section",
    "slice_section",
    "smallest_difference",
]

LEADS = ("profit_per_customer", "profit_at_capacity", "roc_auc", "log_loss")
"""The metrics that are tested and drawn, in the order of their interest."""
_HEADINGS: Mapping[str, str] = {"holdout": "The same holdout", "newest": "The newest outcomes"}
_SLICED = ("log_loss", "profit_per_customer")
_FOLDED_FROM = 30
_LEAD = "challenger better by"
_LUCK = "p-value"
_SMALLEST = "smallest difference that shows"


def comparison_section(comparison: Comparison, report: GateReport) -> Section:
    """Return both models on the same rows: every metric, and how the tested differences came out over resamples."""
    heading = _HEADINGS[comparison.name]
    scored = rows_in_words(comparison.rows, comparison.customers, comparison.churners, comparison.churned_customers)
    what = "" if comparison.rows == comparison.customers else f" {A_CUSTOMER_MONTH}"
    period = " to ".join(dict.fromkeys(f"{when:%Y-%m-%d}" for when in (comparison.since, comparison.until)))
    newer = ", and all are newer than what the champion learned from" if comparison.name == "newest" else ""
    evaluated = report.challenger.evaluation
    worth = represented_in_words(evaluated) if evaluated and comparison.name == "holdout" else ""
    lead = (
        f"Both models score the same {scored} ({period}).{what} Neither training saw them{newer}. The customers are "
        f"drawn anew {comparison.resamples:,} times, the same draw for both; parentheses hold "
        f"{percent(1 - 2 * report.settings.alpha, 0)} of the outcomes. {worth}"
    ).rstrip()
    seen = smallest_difference(comparison, report.currency)
    table = gains_table(
        comparison, None if evaluated is None else evaluated.money, report.currency, level=level_of(report)
    )
    return Section(heading, [table, *([Callout(seen)] if seen else [])], lead)


def gains_table(comparison: Comparison, money: MoneySettings | None, currency: str, *, level: str) -> Table:
    """Return every metric of both versions with its paired difference, those that are tested first.

    The profit by a cost matrix is left out unless one is set in `money`.
    """
    hidden = () if money is not None and money.cost_matrix != CostMatrix() else ("cost_matrix_profit",)
    right = ["champion", "challenger", f"{_LEAD} ({level} interval)", "allowed loss", _SMALLEST]
    by_name = {metric.name: metric for metric in comparison.metrics}
    tested = [by_name[name] for name in LEADS if name in by_name]
    others = (metric for metric in comparison.metrics if metric.name not in (*LEADS, *hidden))
    metrics = [*tested, *others]
    return Table(["metric", *right], [_paired_row(metric, currency) for metric in metrics], right=right)


def level_of(report: GateReport) -> str:
    """Return the coverage of the intervals of every gain: two-sided at twice the level of the one-sided tests."""
    return percent(1 - 2 * report.settings.alpha, 0)


def forest(report: GateReport, deciding: Comparison | None) -> Figure | None:
    """Return every tested gain in units of what may be lost, those of the version first, or None without a gain.

    Args:
        report: The gate.
        deciding: The rows on which the versions were judged.
    """
    tested = [metric for metric in deciding.metrics if metric.p_worse is not None] if deciding else []
    tested.sort(key=lambda metric: LEADS.index(metric.name) if metric.name in LEADS else len(LEADS))
    failed = {check.name for check in report.checks if not check.passed}
    rows = [
        _forest_row(
            metric, metric.margin, report.currency, "", ("profit" if "profit" in metric.name else metric.name) in failed
        )
        for metric in tested
    ]
    margins = report.settings.margins
    for refitted in report.recipes.metrics if report.recipes else ():
        margin = margins.log_loss if refitted.name == "log_loss" else margins.roc_auc
        rows.append(_forest_row(refitted, margin, report.currency, "recipe: ", "recipe" in failed))
    if not rows:
        return None
    drawing = gate_charts.gains_forest(rows, "What is gained, in units of what may be lost", level_of(report))
    return Figure(
        drawing,
        "Right of 0 the challenger is better. An interval that reaches left of -1 leaves room for a greater loss than "
        "is allowed. Without an allowed loss (F1) the unit is the smallest difference that shows.",
    )


def _forest_row(
    metric: PairedMetric | RecipeMetric, margin: float | None, currency: str, where: str, failed: bool
) -> gate_charts.ForestRow:
    gain = METRICS[metric.name].gain
    unit = margin or metric.detectable or 1.0
    words = gain.interval(metric.gain, currency) + ("" if margin else ", no allowed loss")
    label = f"{where}{METRICS[metric.name].label}"
    return gate_charts.ForestRow(label, metric.gain, unit, words, "secondary" if failed else "primary")


def _paired_row(metric: PairedMetric, currency: str) -> list[Cell]:
    named, gain = METRICS[metric.name], METRICS[metric.name].gain
    return [
        named.label,
        named.text(metric.champion, currency),
        named.text(metric.challenger, currency),
        gain.interval(metric.gain, currency),
        None if metric.margin is None else gain.text(metric.margin, currency),
        gain.text(metric.detectable, currency),
    ]


def smallest_difference(comparison: Comparison, currency: str) -> str:
    """Return the sentence that says what these rows are too few to show, or nothing where it was not computed."""
    seen = {metric.name: metric.detectable for metric in comparison.metrics}
    parts = [
        f"{METRICS[name].gain.text(seen[name], currency)} of {METRICS[name].label}"
        for name in ("profit_per_customer", "roc_auc")
        if seen.get(name)
    ]
    rows = "this holdout" if comparison.name == "holdout" else "these rows"
    return f"Differences under {' or '.join(parts)} cannot be told apart on {rows}." if parts else ""


def recipe_section(recipes: RecipeComparison, level: str) -> Section:
    """Return both recipes on the same folds; `level` is the coverage of the intervals, such as `90%`."""
    right = ["champion's", "challenger's", f"{_LEAD} ({level} interval)", _LUCK, _SMALLEST]
    table = Table(["metric", *right], [_recipe_row(metric) for metric in recipes.metrics], right=right)
    drawings = [
        gate_charts.fold_gains(metric, f"{METRICS[metric.name].heading} by fold", METRICS[metric.name].gain.label)
        for metric in recipes.metrics
    ]
    lead = (
        f"A recipe is everything but the data: features, model family, settings. Both recipes are trained anew on the "
        f"same {recipes.folds} folds of {recipes.customers:,} training customers, drawn {recipes.repeats} times, and "
        "predict the fold they did not see. The p-value, how often chance alone shows such a difference where there is "
        "none, counts in that folds overlap (Nadeau and Bengio 2003)."
    )
    return Section("Is the recipe better?", [table, *map(Figure, drawings)], lead)


def _recipe_row(metric: RecipeMetric) -> list[Cell]:
    named, gain = METRICS[metric.name], METRICS[metric.name].gain
    return [
        named.label,
        named.text(metric.champion),
        named.text(metric.challenger),
        gain.interval(metric.gain),
        number(metric.p_better if metric.gain.point >= 0 else metric.p_worse),
        gain.text(metric.detectable),
    ]


def slice_section(comparison: Comparison, report: GateReport) -> Section:
    """Return both models in every group of customers."""
    currency, level = report.currency, level_of(report)
    slices = comparison.slices
    right = ["rows", *(f"{METRICS[name].gain.column(currency)} ({level} interval)" for name in _SLICED), _LUCK]
    rows = [_slice_row(part) for part in slices]
    folded = len(rows) >= _FOLDED_FROM
    table = Table(
        ["group of", "value", *right, "verdict"], rows, f"All {len(rows)} groups" if folded else "", right, folded
    )
    worse = [f"{part.column}: {part.value}" for part in slices if part.worse]
    verdict = Callout(f"Worse in: {'; '.join(worse)}.", "bad") if worse else Callout("Worse in no group.", "good")
    figures = [_forest(slices, name, currency, level) for name in _SLICED]
    lead = (
        "A better average must not be paid for by one group of customers. A group is served worse if its log loss is "
        "worse by more than the margin and not by chance, or its profit at a level ten times stricter."
    )
    return Section("Groups of customers", [verdict, table, *(figure for figure in figures if figure)], lead)


def _forest(slices: Sequence[SliceComparison], name: str, currency: str, level: str) -> Figure | None:
    judged, most = sum(name in part.gains for part in slices), gate_charts.TOP_SLICES
    if not judged:
        return None
    gain = METRICS[name].gain
    which = f"the {most} weakest of {judged} groups" if judged > most else "by group"
    drawing = gate_charts.slice_gains(slices, name, f"{gain.heading}, {which}", gain.column(currency))
    return Figure(drawing, f"{level} intervals; right of 0 the challenger is better.")


def _slice_row(part: SliceComparison) -> list[Cell]:
    gains: list[Cell] = [
        interval(part.gains[name], METRICS[name].gain.number) if name in part.gains else None for name in _SLICED
    ]
    chance = None if part.p_worse is None else number(part.p_worse)
    state = part.skipped or ("worse" if part.worse else "")
    return [
        part.column,
        part.value,
        part.rows,
        *gains,
        chance,
        state,
    ]
