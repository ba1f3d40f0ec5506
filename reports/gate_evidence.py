"""What a gate's verdict rests on, as sections of a page: the same rows, the same folds, and every slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from churn.core.wording import interval, percent
from churn.evaluation.headline import A_CUSTOMER_MONTH, rows_in_words
from churn.evaluation.metrics import METRICS
from churn.gate.report import Comparison, GateReport, PairedMetric, RecipeComparison, RecipeMetric, SliceComparison

from . import gate_charts
from .page import Callout, Cell, Figure, Section, Table

__all__ = [
    "LEADS",
    "comparison_section",
    "recipe_section",
    "slice_section",
    "smallest_difference",
]

LEADS = ("profit_per_customer", "profit_at_capacity", "roc_auc", "log_loss")
"""The metrics that are tested and drawn, in the order of their interest."""
_PLACES: Mapping[str, tuple[str, str]] = {
    "holdout": ("The same holdout", "on the holdout"),
    "newest": ("The newest outcomes", "on the newest outcomes"),
}
_SLICED = ("log_loss", "profit_per_customer")
_FOLDED_FROM = 30
_LEAD = "challenger better by"
_LUCK = "p-value"
_SMALLEST = "smallest difference that shows"


def comparison_section(comparison: Comparison, report: GateReport) -> Section:
    """Return both models on the same rows: every metric, and how the tested differences came out over resamples."""
    heading, place = _PLACES[comparison.name]
    scored = rows_in_words(comparison.rows, comparison.customers, comparison.churners, comparison.churned_customers)
    what = "" if comparison.rows == comparison.customers else f" {A_CUSTOMER_MONTH}"
    period = " to ".join(dict.fromkeys(f"{when:%Y-%m-%d}" for when in (comparison.since, comparison.until)))
    newer = ", and all are newer than what the champion learned from" if comparison.name == "newest" else ""
    lead = (
        f"Both models score the same {scored} ({period}).{what} Neither training saw them{newer}. The customers are "
        f"drawn anew {comparison.resamples:,} times, the same draw for both; parentheses hold "
        f"{percent(1 - 2 * report.settings.alpha, 0)} of the outcomes."
    )
    right = ["champion", "challenger", _LEAD, "allowed loss", _SMALLEST]
    by_name = {metric.name: metric for metric in comparison.metrics}
    tested = [by_name[name] for name in LEADS if name in by_name]
    metrics = [*tested, *(metric for metric in comparison.metrics if metric.name not in LEADS)]
    seen = smallest_difference(comparison, report.currency)
    blocks = [
        Table(["metric", *right], [_paired_row(metric, report.currency) for metric in metrics], right=right),
        *([Callout(seen)] if seen else []),
        *(_distribution(metric, place, report.currency) for metric in tested),
    ]
    return Section(heading, blocks, lead)


def _distribution(metric: PairedMetric, place: str, currency: str) -> Figure:
    gain = METRICS[metric.name].gain
    title = f"{gain.heading}, {place}"
    return Figure(gate_charts.gain_distribution(metric, title, gain.column(currency), digits=gain.digits))


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


def recipe_section(recipes: RecipeComparison) -> Section:
    """Return both recipes on the same folds."""
    right = ["champion's", "challenger's", _LEAD, _LUCK, _SMALLEST]
    table = Table(["metric", *right], [_recipe_row(metric) for metric in recipes.metrics], right=right)
    drawings = [
        gate_charts.fold_gains(metric, f"{METRICS[metric.name].heading} by fold", METRICS[metric.name].gain.label)
        for metric in recipes.metrics
    ]
    lead = (
        f"A recipe is everything but the data: features, model family, settings. Both recipes are trained anew on the "
        f"same {recipes.folds} folds of {recipes.customers:,} training customers, drawn {recipes.repeats} times, and "
        "predict the fold they did not see. How often luck alone shows such a difference counts in that folds overlap "
        "(Nadeau and Bengio 2003)."
    )
    return Section("Is the recipe better?", [table, *map(Figure, drawings)], lead)


def _recipe_row(metric: RecipeMetric) -> list[Cell]:
    named, gain = METRICS[metric.name], METRICS[metric.name].gain
    return [
        named.label,
        named.text(metric.champion),
        named.text(metric.challenger),
        gain.interval(metric.gain),
        percent(metric.p_better if metric.gain.point >= 0 else metric.p_worse),
        gain.text(metric.detectable),
    ]


def slice_section(comparison: Comparison, currency: str) -> Section:
    """Return both models in every group of customers."""
    slices = comparison.slices
    right = ["rows", *(METRICS[name].gain.column(currency) for name in _SLICED), _LUCK]
    rows = [_slice_row(part) for part in slices]
    folded = len(rows) >= _FOLDED_FROM
    table = Table(
        ["column", "value", *right, "verdict"], rows, f"All {len(rows)} groups" if folded else "", right, folded
    )
    worse = [f"{part.column} {part.value}" for part in slices if part.worse]
    verdict = Callout(f"Worse in: {', '.join(worse)}.", "bad") if worse else Callout("Worse in no group.", "good")
    figures = [_forest(slices, name, currency) for name in _SLICED]
    lead = (
        "A better average must not be paid for by one group of customers. A group is served worse if its log loss is "
        "worse by more than the margin and not by chance, or its profit at a level ten times stricter."
    )
    return Section("Groups of customers", [verdict, table, *(figure for figure in figures if figure)], lead)


def _forest(slices: Sequence[SliceComparison], name: str, currency: str) -> Figure | None:
    judged, most = sum(name in part.gains for part in slices), gate_charts.TOP_SLICES
    if not judged:
        return None
    gain = METRICS[name].gain
    which = f"the {most} weakest of {judged} groups" if judged > most else "by group"
    drawing = gate_charts.slice_gains(slices, name, f"{gain.heading}, {which}", gain.column(currency))
    return Figure(drawing, "Right of 0 the challenger is better.")


def _slice_row(part: SliceComparison) -> list[Cell]:
    gains: list[Cell] = [
        interval(part.gains[name], METRICS[name].gain.number) if name in part.gains else None for name in _SLICED
    ]
    chance = None if part.p_worse is None else percent(part.p_worse)
    state = part.skipped or ("worse" if part.worse else "")
    return [
        part.column,
        part.value,
        part.rows,
        *gains,
        chance,
        state,
    ]
