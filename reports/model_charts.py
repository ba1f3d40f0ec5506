"""The charts of a model's behaviour: shape functions, slices, months, pairs of inputs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.core.wording import percent, plain
from churn.evaluation.evaluate import Period
from churn.evaluation.metrics import METRICS
from churn.evaluation.shapes import RiskGrid, Shape
from churn.evaluation.slices import Slice

from .chart_style import COLOURS, DASHED, beside, chart, drawn_once, in_percent, named, shortened, small_multiples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["churn_by_date", "risk_map", "shape_functions", "slice_dots"]

_ACROSS_CHARACTERS = 36  # of the heads of a map's columns; each may take two lines


@drawn_once
def shape_functions(shapes: Sequence[Shape], words: Mapping[str, str]) -> str:
    """Draw what each feature adds to the log-odds over its values, with marks where the rows lie.

    Args:
        shapes: The curves, the strongest first.
        words: What the contract calls each feature.
    """
    ends = [value for shape in shapes for value in shape.added]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    room = 0.12 * max(high - low, 1e-6)

    def draw(axes: Axes, shape: Shape) -> None:
        axes.axhline(0, color=COLOURS["muted"], linewidth=0.8)
        if shape.numeric:
            axes.plot(shape.values, shape.added, color=COLOURS["primary"])
            axes.plot(shape.density, [low - room] * len(shape.density), "|", color=COLOURS["muted"], markersize=5)
            axes.locator_params(axis="x", nbins=4)
        else:
            places = np.arange(len(shape.values))
            widths = 0.25 + 0.6 * np.array(shape.density) / max(*shape.density, 1e-9)
            axes.bar(places, shape.added, width=widths, color=COLOURS["primary"])
            axes.set_xticks(places, [shortened(str(value), 12) for value in shape.values], rotation=25, ha="right")
            axes.grid(visible=False, axis="x")
        axes.set_ylim(low - 2 * room, high + room)

    return small_multiples(
        "What single features add to the risk (additive part)",
        "log-odds of churn",
        [(shortened(words.get(shape.feature, shape.feature), 30), shape) for shape in shapes],
        draw,
    )


@drawn_once
def slice_dots(slices: Sequence[Slice], name: str, overall: float, confidence: float) -> str:
    """Draw a metric in every group of customers, with its interval, against the line of all customers.

    Args:
        slices: The groups; those without the metric are left out.
        name: The metric, one of `SLICE_METRICS`.
        overall: Its value on all rows.
        confidence: Coverage of the intervals, 0 to 1.
    """
    metric, shown = METRICS[name], [part for part in slices if name in part.metrics]

    def draw(axes: Axes) -> None:
        places = np.arange(len(shown), 0, -1)
        for place, part in zip(places, shown, strict=True):
            estimate = part.metrics[name]
            apart = estimate.lower > overall or estimate.upper < overall
            colour = COLOURS["secondary" if apart else "primary"]
            axes.plot([estimate.lower, estimate.upper], [place, place], color=colour, linewidth=1.6)
            axes.plot([estimate.point], [place], "o", color=colour, markersize=6)
        axes.axvline(overall, color=COLOURS["ink"], linewidth=1.2)
        beside(axes, f"all {metric.number(overall)}", (overall, len(shown) + 0.5), (4, 0), fontsize=9)
        named(axes, places, [shortened(f"{part.column}: {part.value}", 38) for part in shown])
        axes.set_ylim(0.4, len(shown) + 1.1)

    return chart(
        f"{metric.heading} by group of customers",
        f"{metric.column()}, {percent(confidence, 0)} intervals; another colour where the interval leaves the line out",
        "",
        draw,
        height=1.3 + 0.27 * len(shown),
    )


@drawn_once
def churn_by_date(periods: Sequence[Period], confidence: float) -> str:
    """Draw the churn that was observed, with its interval, and the churn that was predicted, by date."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(periods))
        observed = [period.observed for period in periods]
        spread = [
            [period.observed - period.lower for period in periods],
            [period.upper - period.observed for period in periods],
        ]
        level = percent(confidence, 0)
        axes.errorbar(
            places,
            observed,
            yerr=np.clip(spread, 0, None),
            fmt="o",
            color=COLOURS["primary"],
            elinewidth=1.4,
            label=f"observed, {level} interval",
        )
        predicted = [period.predicted for period in periods]
        axes.plot(places, predicted, color=COLOURS["secondary"], label="predicted", marker=".", **DASHED)
        step = -(-len(periods) // 8)
        axes.set_xticks(places[::step], [f"{period.since:%Y-%m}" for period in periods][::step])
        axes.legend(loc="lower right")
        in_percent(axes, y=(0, 1.15 * max(*predicted, *(period.upper for period in periods))))

    return chart("Churn by date, observed and predicted", "date of the rows", "rows that ended in churn", draw)


@drawn_once
def risk_map(grid: RiskGrid, words: Mapping[str, str]) -> str:
    """Draw observed churn by two inputs as coloured cells, each with its figure and the number of its rows."""
    down, across = (words.get(name, name) for name in (grid.down, grid.across))

    def draw(axes: Axes) -> None:
        most = max(cell.observed for row in grid.cells for cell in row if cell)
        for y, row in enumerate(grid.cells):
            for x, cell in enumerate(row):
                if cell is None:
                    continue
                strength = cell.observed / max(most, 1e-9)
                axes.fill_between(
                    [x - 0.48, x + 0.48],
                    y - 0.46,
                    y + 0.46,
                    color=COLOURS["secondary"],
                    alpha=0.7 * strength,
                    linewidth=0,
                )
                shown: dict[str, Any] = {"ha": "center", "va": "center"}
                axes.text(x, y - 0.22, percent(cell.observed, 0), fontweight="bold", **shown)
                axes.text(x, y + 0.06, f"model {percent(cell.predicted, 0)}", fontsize=9, **shown)
                axes.text(x, y + 0.3, f"{plain(cell.rows)} rows", fontsize=9, color=COLOURS["muted"], **shown)
        named(axes, np.arange(len(grid.down_values)), [shortened(value, 24) for value in grid.down_values])
        fitting = max(_ACROSS_CHARACTERS // len(grid.across_values), 5)
        heads = [textwrap.fill(shortened(value, 2 * fitting), fitting) for value in grid.across_values]
        axes.set_xticks(np.arange(len(grid.across_values)), heads)
        axes.grid(visible=False)
        axes.set_xlim(-0.5, len(grid.across_values) - 0.5)
        axes.set_ylim(len(grid.down_values) - 0.5, -0.5)

    return chart(
        f"Churn by {down} and {across}",
        across,
        down,
        draw,
        height=1.3 + 0.62 * len(grid.down_values),
    )
