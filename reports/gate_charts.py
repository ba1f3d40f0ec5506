"""The charts of a gate, as SVG: what both models earn, and how sure every difference between them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from churn.core.estimate import Estimate
from churn.core.wording import interval, number
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.metrics import METRICS
from churn.gate.report import PairedMetric, RecipeMetric, SliceComparison
from churn.model.frame import FloatArray

from .chart_style import COLOURS, DASHED, beside, chart, drawn_once, in_percent, named, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TOP_SLICES", "fold_gains", "gain_distribution", "profit_curves", "slice_gains"]

TOP_SLICES = 24
"""So many slices are drawn; more could not be read."""


@drawn_once
def profit_curves(evaluations: Mapping[str, Evaluation]) -> str:
    """Draw what acting on each model earns by how many are contacted, and the point of its decision rule.

    Args:
        evaluations: One or two models by name, on the same rows; the challenger is the last.
    """
    roles = ("secondary", "primary")[-len(evaluations) :]
    currency = next(iter(evaluations.values())).currency

    def draw(axes: Axes) -> None:
        for (name, evaluation), role in zip(evaluations.items(), roles, strict=True):
            curve, colour = evaluation.curves["profit"], COLOURS[role]
            share, earned = (evaluation.metrics[each].point for each in ("share_at_profit", "profit_per_customer"))
            axes.fill_between(curve.x, curve.lower, curve.upper, color=colour, alpha=0.14, linewidth=0)
            axes.plot(
                curve.x, curve.y, color=colour, label=f"{shortened(name)}: {METRICS['profit'].text(earned, currency)}"
            )
            axes.plot([share], [earned], "o", color=colour, markersize=8)
        axes.axhline(0, color=COLOURS["muted"], linewidth=0.8)
        axes.legend(loc="lower right")
        in_percent(axes, x=(0, 1))

    return chart(
        "What each model earns by how many are contacted",
        f"share of {next(iter(evaluations.values())).unit} contacted, most valuable first",
        METRICS["profit"].column(currency),
        draw,
    )


@drawn_once
def gain_distribution(metric: PairedMetric, title: str, unit: str, *, digits: int) -> str:
    """Draw how the challenger's lead came out over the resamples, with zero and the loss that is allowed.

    Args:
        metric: A paired difference; right of zero the challenger is better.
        title: What is compared, on which rows.
        unit: The unit of the lead.
        digits: Decimals of the lead in words.
    """

    def draw(axes: Axes) -> None:
        top = 1.3 * max(*metric.draws.counts, 1)
        _bars(axes, *_split_at_zero(metric.draws.counts, metric.draws.edges))
        axes.axvline(0, color=COLOURS["ink"], linewidth=1.2)
        if metric.margin is not None:
            axes.axvline(-metric.margin, color=COLOURS["muted"], **DASHED)
            beside(axes, "allowed loss", (-metric.margin, 0.72 * top), (5, 0), color=COLOURS["muted"])
        _whisker(axes, metric.gain, 0.86 * top)
        words = interval(metric.gain, lambda value: number(value, digits))
        paper = {"facecolor": COLOURS["page"], "edgecolor": "none", "pad": 1}
        beside(axes, words, (metric.gain.point, 0.86 * top), (0, 7), ha="center", bbox=paper)
        axes.set_ylim(0, top)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.08)

    return chart(title, f"{unit}; right of 0 the challenger is better", "resamples of the customers", draw)


@drawn_once
def fold_gains(metric: RecipeMetric, title: str, unit: str) -> str:
    """Draw the challenger's recipe's lead on each fold, their mean, and its interval."""

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        gains = np.array(metric.folds)
        places = np.arange(1, len(gains) + 1)
        axes.axhspan(metric.gain.lower, metric.gain.upper, color=COLOURS["primary"], alpha=0.16, linewidth=0)
        axes.axhline(metric.gain.point, color=COLOURS["primary"], linewidth=1.4, label="mean, with its interval")
        axes.axhline(0, color=COLOURS["ink"], linewidth=1.2)
        for side, role in ((gains >= 0, "primary"), (gains < 0, "secondary")):
            axes.plot(places[side], gains[side], "o", color=COLOURS[role], markersize=7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.18)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)

    return chart(title, "fold; above 0 the challenger's recipe is better", unit, draw)


@drawn_once
def slice_gains(slices: Sequence[SliceComparison], metric: str, title: str, unit: str) -> str:
    """Draw the challenger's lead in each slice that was judged; of many, those that are worse or nearest to it.

    Args:
        slices: In the order of the page; at most `TOP_SLICES` are drawn.
        metric: A name in `SliceComparison.gains`.
        title: What is compared.
        unit: The unit of the lead.
    """
    judged = [part for part in slices if metric in part.gains]
    least = sorted(judged, key=lambda part: (not part.worse, part.gains[metric].point))[:TOP_SLICES]
    shown = [part for part in judged if part in least]

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        places = np.arange(len(shown), 0, -1)
        axes.axvline(0, color=COLOURS["ink"], linewidth=1.2)
        for place, part in zip(places, shown, strict=True):
            _whisker(axes, part.gains[metric], float(place), "secondary" if part.worse else "primary")
        named(axes, places, [shortened(f"{part.column}: {part.value}", 40) for part in shown])
        axes.set_ylim(0.4, len(shown) + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5))

    return chart(title, unit, "", draw, height=1.1 + 0.26 * len(shown))


def _bars(axes: Axes, counts: FloatArray, edges: FloatArray) -> None:
    for side, role in ((edges[1:] <= 0, "secondary"), (edges[:-1] >= 0, "primary")):
        if np.any(counts[side]):
            axes.stairs(np.where(side, counts, 0), edges, fill=True, alpha=0.55, color=COLOURS[role])


def _split_at_zero(counts: Sequence[int], edges: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Return the histogram with an edge at zero: the bin that holds zero becomes two of the same height."""
    heights, bounds = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    place = int(np.searchsorted(bounds, 0.0))
    if 0 < place < len(bounds) and bounds[place] != 0:
        heights, bounds = np.insert(heights, place, heights[place - 1]), np.insert(bounds, place, 0.0)
    return heights, bounds


def _whisker(axes: Axes, gain: Estimate, height: float, role: str = "ink") -> None:
    spread = [[max(gain.point - gain.lower, 0.0)], [max(gain.upper - gain.point, 0.0)]]
    axes.errorbar(
        [gain.point], [height], xerr=spread, fmt="o", color=COLOURS[role], elinewidth=1.6, capsize=3, markersize=6
    )
