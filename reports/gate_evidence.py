"""What a gate's verdict rests on, as sections of a page: the same rows, the same folds, and every slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from churn.core.wording import amount, interval, number, percent, spoken
from churn.gate.report import Comparison, GateReport, PairedMetric, RecipeComparison, RecipeMetric, SliceComparison

from . import gate_charts
from .evaluation_report import METRICS
from .page import Callout, Cell, Figure, Section, Table

__all__ = [
    "LEADS",
    "comparison_section",
    "recipe_section",
    "slice_section",
    "smallest_difference",
]

LEADS: Mapping[str, str] = {
    "profit_per_customer": "{currency} per customer gained",
    "profit_at_capacity": "{currency} per customer gained within capacity",
    "roc_auc": "area under the ROC curve gained",
    "log_loss": "log loss saved",
}
"""The lead of a challenger in words, for the metrics that are tested and drawn, in the order of their interest."""
_PLACES: Mapping[str, tuple[str, str]] = {
    "holdout": ("The same holdout", "on the holdout"),
    "newest": ("The newest outcomes", "on the newest outcomes"),
}
_NAMES: Mapping[str, str] = {
    "f1": "F1, each at its own threshold",
    "profit_per_customer": "Profit per customer",
    "profit_at_capacity": "Profit per customer within capacity",
    "cost_matrix_profit": "Profit per customer by the cost matrix",
}
_FOLDED_FROM = 30
_LEAD = "challenger better by"
_LUCK = "by luck alone"
_SMALLEST = "smallest difference that shows"


def comparison_section(comparison: Comparison, report: GateReport) -> Section:
    """Return both models on the same rows: every metric, and how the tested differences came out over resamples."""
    heading, place = _PLACES[comparison.name]
    records = "" if comparison.rows == comparison.customers else f" in {comparison.rows:,} records"
    period = " to ".join(dict.fromkeys(f"{when:%Y-%m-%d}" for when in (comparison.since, comparison.until)))
    newer = ", and all are newer than what the champion learned from" if comparison.name == "newest" else ""
    lead = (
        f"Both models score the same {comparison.customers:,} customers{records} ({period}), of whom "
        f"{comparison.churners:,} churned. Neither training saw them{newer}. The customers are drawn anew "
        f"{comparison.resamples:,} times, the same draw for both; brackets hold "
        f"{percent(1 - 2 * report.settings.alpha, 0)} of the outcomes."
    )
    right = ["champion", "challenger", _LEAD, "allowed loss", _SMALLEST]
    by_name = {metric.name: metric for metric in comparison.metrics}
    tested = [by_name[name] for name in LEADS if name in by_name]
    metrics = [*tested, *(metric for metric in comparison.metrics if metric.name not in LEADS)]
    seen = smallest_difference(comparison, report.currency)
    blocks = [
        Table(["metric", *right], [_paired_row(metric) for metric in metrics], right=right),
        *([Callout(seen)] if seen else []),
        *(_distribution(metric, place, report.currency) for metric in tested),
    ]
    return Section(heading, blocks, lead)


def _distribution(metric: PairedMetric, place: str, currency: str) -> Figure:
    unit = LEADS[metric.name].format(currency=currency)
    title = f"{_sentence(unit)}, {place}"
    return Figure(gate_charts.gain_distribution(metric, title, unit, digits=_digits(metric.name)))


def _paired_row(metric: PairedMetric) -> list[Cell]:
    write = _write(metric.name)
    return [
        _metric_name(metric.name),
        write(metric.champion),
        write(metric.challenger),
        _written_lead(metric),
        None if metric.margin is None else write(metric.margin),
        write(metric.detectable),
    ]


def smallest_difference(comparison: Comparison, currency: str) -> str:
    """Return the sentence that says what these rows are too few to show, or nothing where it was not computed."""
    seen = {metric.name: metric.detectable for metric in comparison.metrics}
    parts = []
    if seen.get("profit_per_customer"):
        parts.append(f"{amount(seen['profit_per_customer'], currency)} per customer")
    if seen.get("roc_auc"):
        parts.append(f"{number(seen['roc_auc'], 4)} in the area under the ROC curve")
    rows = "this holdout" if comparison.name == "holdout" else "these rows"
    return f"Differences under {' or '.join(parts)} cannot be told apart on {rows}." if parts else ""


def recipe_section(recipes: RecipeComparison) -> Section:
    """Return both recipes on the same folds."""
    right = ["champion's", "challenger's", _LEAD, _LUCK, _SMALLEST]
    table = Table(["metric", *right], [_recipe_row(metric) for metric in recipes.metrics], right=right)
    drawings = [
        gate_charts.fold_gains(metric, f"{_metric_name(metric.name)} by fold", LEADS[metric.name])
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
    write = _write(metric.name)
    return [
        _metric_name(metric.name),
        write(metric.champion),
        write(metric.challenger),
        _written_lead(metric),
        percent(metric.p_better if metric.gain.point >= 0 else metric.p_worse),
        write(metric.detectable),
    ]


def slice_section(comparison: Comparison, currency: str) -> Section:
    """Return both models in every group of customers."""
    slices = comparison.slices
    right = ["rows", "log loss saved", f"{currency} per customer gained", _LUCK]
    rows = [_slice_row(part) for part in slices]
    folded = len(rows) >= _FOLDED_FROM
    table = Table(["column", "value", *right, ""], rows, f"All {len(rows)} groups" if folded else "", right, folded)
    worse = [f"{part.column} {part.value}" for part in slices if part.worse]
    verdict = Callout(f"Worse in: {', '.join(worse)}.", "bad") if worse else Callout("Worse in no group.", "good")
    figures = [_forest(slices, name, currency) for name in ("log_loss", "profit_per_customer")]
    lead = (
        "A better average must not be paid for by one group of customers. Of many groups some look worse by luck; that "
        "is corrected for (Holm 1979)."
    )
    return Section("Groups of customers", [verdict, table, *(figure for figure in figures if figure)], lead)


def _forest(slices: Sequence[SliceComparison], name: str, currency: str) -> Figure | None:
    judged, most = sum(name in part.gains for part in slices), gate_charts.TOP_SLICES
    if not judged:
        return None
    unit = LEADS[name].format(currency=currency)
    which = f"the {most} weakest of {judged} groups" if judged > most else "by group"
    drawing = gate_charts.slice_gains(slices, name, f"{_sentence(unit)}, {which}", unit)
    return Figure(drawing, "Right of 0 the challenger is better.")


def _slice_row(part: SliceComparison) -> list[Cell]:
    gains = {name: interval(gain, _write(name)) for name, gain in part.gains.items()}
    chance = None if part.p_worse is None else percent(part.p_worse)
    state = part.skipped or ("worse" if part.worse else "")
    return [
        part.column,
        part.value,
        part.rows,
        gains.get("log_loss"),
        gains.get("profit_per_customer"),
        chance,
        state,
    ]


def _metric_name(name: str) -> str:
    """Return a metric's name as a reader knows it."""
    return METRICS[name][0] if name in METRICS else _NAMES.get(name, _sentence(spoken(name)))


def _sentence(words: str) -> str:
    """Return words as they stand at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def _written_lead(metric: PairedMetric | RecipeMetric) -> str:
    """Return a challenger's lead with its interval, in as many digits as it bears."""
    return interval(metric.gain, _write(metric.name))


def _digits(name: str) -> int:
    return 2 if "profit" in name else 4


def _write(name: str) -> partial[str]:
    return partial(number, digits=_digits(name))
