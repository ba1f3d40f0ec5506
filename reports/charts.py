"""The charts of a holdout, as SVG: how well a model ranks, how true its probabilities are, and what it earns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from churn.core.wording import percent, spoken
from churn.evaluation.evaluate import Curve, Evaluation

from .chart_style import COLOURS, DASHED, chart, in_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "HOLDOUT_CHARTS",
    "lift",
    "precision_recall",
    "profit",
    "reliability",
    "roc",
    "score_distribution",
]


def roc(evaluation: Evaluation) -> str:
    """Draw the churners found against the false alarms."""
    curve, auc = evaluation.curves["roc"], evaluation.metrics["roc_auc"].point

    def draw(axes: Axes) -> None:
        _line(axes, Curve(x=(0, *curve.x), y=(0, *curve.y), lower=(0, *curve.lower), upper=(0, *curve.upper)))
        axes.plot([0, 1], [0, 1], color=COLOURS["muted"], **DASHED)
        axes.text(0.62, 0.55, "chance", color=COLOURS["muted"])
        axes.text(0.55, 0.12, f"area under the curve {auc:.3f}", color=COLOURS["primary"])
        in_percent(axes, x=(0, 1), y=(0, 1))

    return chart(
        "Churners found against false alarms (ROC)",
        "customers who stayed, flagged",
        "customers who churned, flagged",
        draw,
    )


def precision_recall(evaluation: Evaluation) -> str:
    """Draw how pure a list is against how many of all churners it holds."""
    average, churn_share = (evaluation.metrics[name].point for name in ("average_precision", "churn_share"))

    def draw(axes: Axes) -> None:
        _line(axes, evaluation.curves["precision_recall"])
        axes.axhline(churn_share, color=COLOURS["muted"], **DASHED)
        axes.annotate(
            f"everybody: {percent(churn_share)} churn",
            (0.01, churn_share),
            (0, -12),
            color=COLOURS["muted"],
            textcoords="offset points",
        )
        axes.text(0.98, 0.93, f"average precision {average:.3f}", color=COLOURS["primary"], ha="right")
        in_percent(axes, x=(0, 1), y=(0, 1))

    return chart(
        "How pure the list is (precision and recall)",
        "share of all churners on the list (recall)",
        "churners among the listed (precision)",
        draw,
    )


def lift(evaluation: Evaluation) -> str:
    """Draw how many times the average churn the riskiest customers hold."""
    curve, top_decile = evaluation.curves["lift"], evaluation.metrics["top_decile_lift"].point

    def draw(axes: Axes) -> None:
        _line(axes, curve)
        axes.axhline(1, color=COLOURS["muted"], **DASHED)
        axes.plot([0.1], [top_decile], "o", color=COLOURS["primary"], markersize=7)
        axes.annotate(
            f"riskiest tenth: {top_decile:.2f} times the average",
            (0.1, top_decile),
            (10, 6),
            color=COLOURS["ink"],
            textcoords="offset points",
        )
        in_percent(axes, x=(0, 1))
        axes.set_ylim(0, max(curve.upper) * 1.08)

    return chart(
        "Lift over calling at random", "share of customers called, riskiest first", "times the average churn", draw
    )


def profit(evaluation: Evaluation) -> str:
    """Draw profit per customer of the base against the share contacted, and the point of the decision rule."""
    realised, expected = evaluation.curves["profit"], evaluation.curves["profit_expected"]
    chosen = evaluation.metrics["share_at_profit"].point, evaluation.metrics["profit_per_customer"].point
    currency = evaluation.currency

    def draw(axes: Axes) -> None:
        _line(axes, realised, label="earned, outcomes known")
        axes.plot(
            expected.x,
            expected.y,
            color=COLOURS["secondary"],
            linestyle=(0, (5, 2)),
            linewidth=1.6,
            label="expected by the model",
        )
        axes.axhline(0, color=COLOURS["muted"], linewidth=0.8)
        axes.plot(*[[each] for each in chosen], "o", color=COLOURS["ink"], markersize=8)
        low, high = min(0.0, *realised.lower), max(*realised.upper, 0.0)
        axes.annotate(
            f"treated: {percent(chosen[0])} of customers\n{chosen[1]:,.2f} {currency} per customer",
            chosen,
            (0, -44 if chosen[1] > (low + high) / 2 else 20),
            textcoords="offset points",
            ha="left" if chosen[0] < 0.25 else "right" if chosen[0] > 0.75 else "center",
            color=COLOURS["ink"],
        )
        axes.set_ylim(low - 0.04 * (high - low), high + 0.06 * (high - low))
        axes.legend(loc="lower right")
        in_percent(axes, x=(0, 1))

    return chart(
        "Profit by how many are contacted",
        "share of customers contacted, most valuable first",
        f"{currency} per customer of the base",
        draw,
    )


def reliability(evaluation: Evaluation) -> str:
    """Draw observed against predicted churn of each group of rows; on the diagonal the probabilities are true."""
    bins = evaluation.reliability
    fewest, most = min(each.rows for each in bins), max(each.rows for each in bins)
    rows = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"

    def draw(axes: Axes) -> None:
        predicted, observed = [each.predicted for each in bins], [each.observed for each in bins]
        spread = np.clip([[b.observed - b.lower for b in bins], [b.upper - b.observed for b in bins]], 0, None)
        top = 1.05 * max(*predicted, *(each.upper for each in bins))
        axes.plot([0, top], [0, top], color=COLOURS["muted"], **DASHED)
        axes.errorbar(predicted, observed, yerr=spread, fmt="o-", color=COLOURS["primary"], elinewidth=1.4)
        axes.text(0.86 * top, 0.9 * top, "true", color=COLOURS["muted"], ha="right")
        in_percent(axes, x=(0, top), y=(0, top))

    return chart(
        "Are the probabilities true? (reliability)",
        f"predicted churn probability; each point {rows} rows",
        "observed churn",
        draw,
    )


def score_distribution(evaluation: Evaluation) -> str:
    """Draw how many rows got which probability, by outcome, and where each way to decide begins to treat."""

    def draw(axes: Axes) -> None:
        for (outcome, counts), role in zip(evaluation.scores.items(), ("primary", "secondary"), strict=True):
            edges = np.linspace(0, 1, len(counts) + 1)
            axes.stairs(counts, edges, fill=True, alpha=0.25, color=COLOURS[role])
            axes.stairs(counts, edges, color=COLOURS[role], label=outcome, linewidth=1.6)
        top = 1.3 * axes.get_ylim()[1]
        axes.set_ylim(0, top)
        for place, (name, threshold) in enumerate(sorted(_thresholds(evaluation), key=lambda item: item[1])):
            axes.axvline(threshold, color=COLOURS["ink"], linewidth=1, linestyle=(0, (2, 2)))
            right = threshold > 0.75
            words = f" {name} {percent(threshold)} "
            axes.text(
                threshold,
                top * (0.97 - 0.08 * place),
                words,
                va="top",
                ha="right" if right else "left",
                bbox={"facecolor": COLOURS["page"], "edgecolor": "none", "pad": 1},
            )
        axes.legend(loc="center right")
        in_percent(axes, x=(0, 1))

    return chart("Who gets which probability", "predicted churn probability", "rows", draw)


def _line(axes: Axes, curve: Curve, label: str | None = None) -> None:
    axes.fill_between(curve.x, curve.lower, curve.upper, color=COLOURS["primary"], alpha=0.18, linewidth=0)
    axes.plot(curve.x, curve.y, color=COLOURS["primary"], label=label)


def _thresholds(evaluation: Evaluation) -> list[tuple[str, float]]:
    """Return every threshold with its name; customers of different value have no common one by expected value."""
    lowest, highest = evaluation.campaign.threshold
    by_value = [("expected value", lowest)] if lowest == highest else []
    named = [(spoken(name), threshold) for name, threshold in evaluation.thresholds.items()]
    return [*by_value, ("cost matrix", evaluation.money.cost_matrix.threshold), *named]


HOLDOUT_CHARTS: Mapping[str, Callable[[Evaluation], str]] = {
    "profit": profit,
    "lift": lift,
    "roc": roc,
    "precision_recall": precision_recall,
    "reliability": reliability,
    "score_distribution": score_distribution,
}
"""Every chart of a holdout by name, as a tracker stores them."""
