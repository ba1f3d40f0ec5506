"""The charts of a model, as SVG: quality on a holdout, importance, tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from churn.core.wording import percent, spoken, times
from churn.evaluation.evaluate import BandedCurve, Evaluation
from churn.evaluation.metrics import METRICS
from churn.model.money import CostMatrix

from .chart_style import COLOURS, DASHED, PAPER, beside, chart, drawn_once, histogram, in_percent, named, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "HOLDOUT_CHARTS",
    "importance",
    "lift",
    "precision_recall",
    "profit",
    "reasons",
    "reliability",
    "roc",
    "score_distribution",
    "tuning_history",
]


@drawn_once
def roc(evaluation: Evaluation) -> str:
    """Draw the churners found against the false alarms."""
    curve, auc = evaluation.curves["roc"], evaluation.metrics["roc_auc"].point

    def draw(axes: Axes) -> None:
        _line(axes, BandedCurve(x=(0, *curve.x), y=(0, *curve.y), lower=(0, *curve.lower), upper=(0, *curve.upper)))
        axes.plot([0, 1], [0, 1], color=COLOURS["muted"], **DASHED)
        axes.text(0.62, 0.55, "chance", color=COLOURS["muted"])
        axes.text(0.55, 0.12, _labelled("roc_auc", auc), color=COLOURS["primary"])
        in_percent(axes, x=(0, 1), y=(0, 1))

    return chart(
        "Churners found against false alarms (ROC)",
        f"{evaluation.unit} that stayed, flagged",
        f"{evaluation.unit} that churned, flagged",
        draw,
    )


@drawn_once
def precision_recall(evaluation: Evaluation) -> str:
    """Draw how pure a list is against how many of all churners it holds."""
    average, churn_share = (evaluation.metrics[name].point for name in ("average_precision", "churn_share"))

    def draw(axes: Axes) -> None:
        _line(axes, evaluation.curves["precision_recall"])
        axes.axhline(churn_share, color=COLOURS["muted"], **DASHED)
        beside(axes, f"everybody: {percent(churn_share)} churn", (0.01, churn_share), (0, -12), color=COLOURS["muted"])
        axes.text(0.98, 0.93, _labelled("average_precision", average), color=COLOURS["primary"], ha="right")
        in_percent(axes, x=(0, 1), y=(0, 1))

    return chart(
        "How pure the list is (precision and recall)",
        "share of all churners on the list (recall)",
        "churners among the listed (precision)",
        draw,
    )


@drawn_once
def lift(evaluation: Evaluation) -> str:
    """Draw how many times the average churn the riskiest customers hold."""
    curve, top_decile = evaluation.curves["lift"], evaluation.metrics["top_decile_lift"].point

    def draw(axes: Axes) -> None:
        _line(axes, curve)
        axes.axhline(1, color=COLOURS["muted"], **DASHED)
        axes.plot([0.1], [top_decile], "o", color=COLOURS["primary"], markersize=7)
        words = _labelled("top_decile_lift", top_decile)
        beside(axes, words, (0.1, top_decile), (10, 6), color=COLOURS["ink"])
        in_percent(axes, x=(0, 1))
        axes.set_ylim(0, max(curve.upper) * 1.08)

    return chart(
        "Lift over calling at random",
        f"share of {evaluation.unit} called, riskiest first",
        "times the average churn",
        draw,
    )


@drawn_once
def profit(evaluation: Evaluation) -> str:
    """Draw profit per customer and month against the share contacted, and the point of the decision rule."""
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
        axes.plot([chosen[0]], [chosen[1]], "o", color=COLOURS["ink"], markersize=8)
        low, high = min(0.0, *realised.lower), max(*realised.upper, 0.0)
        words = f"{_labelled('share', chosen[0])}\n{METRICS['profit'].text(chosen[1], currency)} per customer and month"
        side = "left" if chosen[0] < 0.25 else "right" if chosen[0] > 0.75 else "center"
        offset = (0, -44 if chosen[1] > (low + high) / 2 else 20)
        beside(axes, words, chosen, offset, ha=side, color=COLOURS["ink"], bbox=PAPER)
        axes.set_ylim(low - 0.04 * (high - low), high + 0.06 * (high - low))
        axes.legend(loc="lower right")
        in_percent(axes, x=(0, 1))

    return chart(
        "Profit by how many are contacted",
        f"share of {evaluation.unit} contacted, most valuable first",
        METRICS["profit"].column(currency),
        draw,
    )


@drawn_once
def reliability(evaluation: Evaluation) -> str:
    """Draw observed against predicted churn of each group of rows; on the diagonal the probabilities are true."""
    bins = evaluation.reliability
    sizes = [group.rows for group in bins]
    fewest, most = min(sizes), max(sizes)
    rows = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"

    def draw(axes: Axes) -> None:
        predicted, observed = [group.predicted for group in bins], [group.observed for group in bins]
        spread = np.clip(
            [[group.observed - group.lower for group in bins], [group.upper - group.observed for group in bins]],
            0,
            None,
        )
        top = 1.05 * max(*predicted, *(group.upper for group in bins))
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


@drawn_once
def score_distribution(evaluation: Evaluation) -> str:
    """Draw how many rows got which probability, by outcome, and where each way to decide begins to treat."""

    def draw(axes: Axes) -> None:
        for (outcome, counts), role in zip(evaluation.scores.items(), ("primary", "secondary"), strict=True):
            histogram(axes, counts, outcome, role)
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


def _labelled(name: str, value: float) -> str:
    """Return a metric with its label, as it stands in a chart."""
    return f"{METRICS[name].label} {METRICS[name].text(value)}"


def _line(axes: Axes, curve: BandedCurve, label: str | None = None) -> None:
    axes.fill_between(curve.x, curve.lower, curve.upper, color=COLOURS["primary"], alpha=0.18, linewidth=0)
    axes.plot(curve.x, curve.y, color=COLOURS["primary"], label=label)


def _thresholds(evaluation: Evaluation) -> list[tuple[str, float]]:
    """Return every threshold with its name; customers of different value have no common one by expected value."""
    lowest, highest = evaluation.campaign.threshold
    by_value = [("expected value", lowest)] if lowest == highest else []
    named = [(spoken(name), threshold) for name, threshold in evaluation.thresholds.items()]
    matrix = evaluation.money.cost_matrix
    by_matrix = [("cost matrix", matrix.threshold)] if matrix != CostMatrix() else []
    return [*by_value, *by_matrix, *named]


HOLDOUT_CHARTS: Mapping[str, Callable[[Evaluation], str]] = {
    "profit": profit,
    "lift": lift,
    "roc": roc,
    "precision_recall": precision_recall,
    "reliability": reliability,
    "score_distribution": score_distribution,
}
"""Every chart of a holdout by name, as a tracker stores them."""


@drawn_once
def importance(names: Sequence[str], values: Sequence[float], *, top: int = 15) -> str:
    """Draw the features that move the predictions most; `values` are mean absolute contributions in log-odds."""
    order = sorted(range(len(names)), key=lambda i: (-values[i], names[i]))[:top][::-1]

    def draw(axes: Axes) -> None:
        places = np.arange(len(order))
        axes.barh(places, [values[i] for i in order], color=COLOURS["primary"], height=0.62)
        for place, i in enumerate(order):
            beside(axes, f"{values[i]:.2f}", (values[i], place), (4, 0), va="center")
        named(axes, places, [shortened(names[i]) for i in order])
        axes.set_xlim(0, 1.12 * max(*values, 1e-9))

    return chart(
        "What the model looks at", "average change of the log-odds of churn", "", draw, height=0.9 + 0.29 * len(order)
    )


@drawn_once
def reasons(names: Sequence[str], contributions: Sequence[float], base: float, *, top: int = 8) -> str:
    """Draw how one customer's risk comes about, from the model's starting point to their own, feature by feature.

    Args:
        names: The features in words, with the customer's values.
        contributions: What each adds to the log-odds; `base` and their sum are the customer's log-odds.
        base: The log-odds that the model starts from, the mean over its training rows; not the log-odds of the churn
            rate, which is higher where few customers are much at risk.
        top: So many features by themselves; the others are added up.
    """
    order = sorted(range(len(names)), key=lambda i: (-abs(contributions[i]), names[i]))
    steps = [(shortened(names[i], 44), contributions[i]) for i in order[:top]]
    if len(order) > top:
        steps.append((f"all others ({len(order) - top})", sum(contributions[i] for i in order[top:])))
    ends = base + np.cumsum([step for _, step in steps])
    starts = np.append(base, ends[:-1])

    def draw(axes: Axes) -> None:
        places = np.arange(len(steps), 0, -1)
        colours = [COLOURS["secondary"] if step > 0 else COLOURS["primary"] for _, step in steps]
        axes.barh(places, [step for _, step in steps], left=starts, color=colours, height=0.62)
        for place, (_, step), right in zip(places, steps, np.maximum(starts, ends), strict=True):
            beside(axes, times(step), (right, float(place)), (4, 0), va="center")
        axes.vlines(starts[1:], places[1:] - 0.31, places[:-1] + 0.31, color=COLOURS["muted"], linewidth=0.8)
        named(axes, places, [name for name, _ in steps])
        low, high = min(base, *ends), max(base, *ends)
        axes.set_xlim(low - 0.12 * (high - low), high + 0.16 * (high - low))
        left, right = axes.get_xlim()
        marks: list[float] = []
        for share in _SHARES:
            room = right - left if not marks else _log_odds(share) - _log_odds(marks[-1])
            if left <= _log_odds(share) <= right and room > (right - left) / 6:
                marks.append(share)
        axes.set_xticks([_log_odds(share) for share in marks], [percent(share, 0) for share in marks])

    start, customer = (percent(1 / (1 + math.exp(-log_odds))) for log_odds in (base, ends[-1]))
    title = f"From the model's starting point of {start} to this customer's {customer}"
    return chart(title, "churn probability (evenly spaced in log-odds)", "", draw, height=1.0 + 0.31 * len(steps))


@drawn_once
def tuning_history(
    values: Sequence[float | None], objective: str, *, pruned: Sequence[int] = (), se: float = 0.0
) -> str:
    """Draw each trial's value and the best so far; lower is better, the first is the fixed configuration.

    Args:
        values: One for each trial in order; None where the trial was pruned or failed.
        objective: What was minimised, such as `log loss over the folds`.
        pruned: The trials that were given up because they were behind; they have no value of their own.
        se: Standard error of the best trial's gain over the fixed configuration; 0 where that is the best.
    """

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        done = [(number, value) for number, value in enumerate(values) if value is not None]
        numbers, losses = [number for number, _ in done], [value for _, value in done]
        axes.plot(numbers, losses, "o", color=COLOURS["primary"], alpha=0.55, label="trial")
        if done:
            axes.step(numbers, np.minimum.accumulate(losses), color=COLOURS["ink"], where="post", label="best so far")
        if done and numbers[0] == 0:
            fixed = losses[0]
            axes.axhline(fixed, color=COLOURS["muted"], label="fixed configuration", **DASHED)
            if se > 0:
                low, high = fixed - 2 * se, fixed + 2 * se
                axes.axhspan(
                    low, high, label="noise: ±2 standard errors", color=COLOURS["muted"], alpha=0.18, linewidth=0
                )
        if done:
            # A range of no more than noise would make it look like a cliff.
            room = max(max(losses) - min(losses), 3 * se, 0.01 * abs(losses[0]))
            axes.set_ylim(min(losses) - 0.6 * room, max(losses) + 0.9 * room)
        top = axes.get_ylim()[1]
        if pruned:
            axes.plot(pruned, [top] * len(pruned), "x", color=COLOURS["secondary"], label="pruned", clip_on=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0.97))

    return chart("What tuning found", "trial", f"{objective} (lower is better)", draw)


_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
