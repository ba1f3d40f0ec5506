"""The charts of a gate, as SVG: profit curves, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from churn.core.estimate import Estimate
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.metrics import METRICS
from churn.gate.report import RecipeMetric, SliceComparison

from .chart_style import COLOURS, DASHED, PAPER, beside, chart, drawn_once, in_percent, named, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TOP_SLICES", "ForestRow", "fold_gains", "gains_forest", "profit_curves", "slice_gains"]

_FAR = 6.0
"""Gains beyond so many allowed losses are drawn at the edge."""
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
            share, earned = (evaluation.metrics[key].point for key in ("share_at_profit", "profit_per_customer"))
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


@dataclass(frozen=True)
class ForestRow:
    """A gain of the challenger in units of what may be lost.

    Attributes:
        label: The metric, and where it was measured.
        gain: The gain with its interval, in the metric's own unit.
        unit: What is one unit of the drawing, above 0: the loss that is allowed or, where none is, the smallest
            difference that shows.
        words: The gain as it is written above the row.
        tone: A role of `COLOURS`.
    """

    label: str
    gain: Estimate
    unit: float
    words: str
    tone: str = "primary"


@drawn_once
def gains_forest(rows: Sequence[ForestRow], title: str, level: str) -> str:
    """Draw gains of different metrics on one scale: 0 is no difference, -1 the loss that is allowed.

    Args:
        rows: From top to bottom.
        title: What is compared, on which rows.
        level: Coverage of the intervals, such as `90%`.
    """

    def draw(axes: Axes) -> None:
        places = np.arange(len(rows), 0, -1)
        ends = [value / row.unit for row in rows for value in (row.gain.lower, row.gain.upper)]
        low, high = max(min(*ends, -1.0), -_FAR) - 0.25, min(max(*ends, 0.5), _FAR) + 0.25
        axes.axvspan(low, -1, color=COLOURS["secondary"], alpha=0.1, linewidth=0)
        axes.axvline(-1, color=COLOURS["muted"], **DASHED)
        axes.axvline(0, color=COLOURS["ink"], linewidth=1.2)
        for place, row in zip(places, rows, strict=True):
            scaled = np.clip(np.array([row.gain.lower, row.gain.point, row.gain.upper]) / row.unit, -_FAR, _FAR)
            axes.plot(scaled[[0, 2]], [place, place], color=COLOURS[row.tone], linewidth=1.8)
            axes.plot(scaled[[1]], [place], "o", color=COLOURS[row.tone], markersize=6.5)
            words = f"{row.label} {row.words}"
            beside(axes, words, (low, float(place)), (2, 13), fontsize=9, va="center", bbox=PAPER)
        axes.set_yticks([])
        axes.set_ylim(0.6, len(rows) + 0.85)
        axes.set_xlim(low, high)

    return chart(
        title,
        f"gain of the challenger, {level} intervals; 0 is no difference, -1 the allowed loss",
        "",
        draw,
        height=1.3 + 0.5 * len(rows),
    )


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
        axes.xaxis.set_major_locator(MaxNLocator(3))

    return chart(title, unit, "", draw, height=1.1 + 0.26 * len(shown))


def _whisker(axes: Axes, gain: Estimate, height: float, role: str = "ink") -> None:
    spread = [[max(gain.point - gain.lower, 0.0)], [max(gain.upper - gain.point, 0.0)]]
    axes.errorbar(
        [gain.point], [height], xerr=spread, fmt="o", color=COLOURS[role], elinewidth=1.6, capsize=3, markersize=6
    )
