"""The values of a chart in words, for tooltips and screen readers."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from churn.core.wording import percent, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["DrawnValue", "values_of"]

_POINTS = 20
"""Points of a line that can be read off."""
_RADIUS = 5


class DrawnValue(NamedTuple):
    """One value: its words, and the transparent SVG element over its place."""

    words: str
    svg: str


def values_of(figure: Figure) -> list[DrawnValue]:
    """Return the values of the bars, points and histograms of a figure that was drawn at 72 dots an inch."""
    height = figure.bbox.height
    return [value for axes in figure.axes for value in (*_bars(axes, height), *_points(axes, height))]


def _bars(axes: Axes, height: float) -> Iterator[DrawnValue]:
    from matplotlib.container import BarContainer

    for container in axes.containers:
        if isinstance(container, BarContainer):
            lies = container.orientation == "horizontal"
            name, value = (_words(axes.yaxis), _words(axes.xaxis))[:: 1 if lies else -1]
            for bar in container.patches:
                centre = bar.get_y() + bar.get_height() / 2 if lies else bar.get_x() + bar.get_width() / 2
                box = bar.get_window_extent()
                words = f"{name(centre)}: {value(bar.get_width() if lies else bar.get_height())}"
                yield _over(
                    words,
                    f'rect x="{box.x0:.1f}" y="{height - box.y1:.1f}" width="{max(box.width, 2):.1f}" '
                    f'height="{max(box.height, 2):.1f}"',
                    "rect",
                )


def _points(axes: Axes, height: float) -> Iterator[DrawnValue]:
    across, up = _words(axes.xaxis), _words(axes.yaxis)
    for label, x, y in _series(axes):
        named = "" if label.startswith("_") else f"{label}, "
        chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).round().astype(int))
        spots = np.column_stack([x, y])[chosen]
        for spot, place in zip(spots, axes.transData.transform(spots), strict=True):
            if np.isfinite(place).all():
                circle = f'circle cx="{place[0]:.1f}" cy="{height - place[1]:.1f}" r="{_RADIUS}"'
                words = [across(spot[0]), up(spot[1])][:: -1 if _is_named(axes.yaxis) else 1]
                yield _over(named + ": ".join(words), circle, "circle")


def _series(axes: Axes) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield label and points of every line and histogram, but of no reference line and no end of an interval."""
    from matplotlib.patches import StepPatch

    for line in axes.lines:
        x, y = (np.asarray(values, dtype=np.float64) for values in line.get_data())
        is_reference = line.get_transform() != axes.transData or line.is_dashed()
        if len(x) and not is_reference and line.get_marker() not in {"|", "_"}:
            yield str(line.get_label()), x, y
    for patch in axes.patches:
        if isinstance(patch, StepPatch) and str(patch.get_label()).lstrip("_"):
            heights, edges, _ = patch.get_data()
            yield str(patch.get_label()), (np.asarray(edges)[1:] + np.asarray(edges)[:-1]) / 2, np.asarray(heights)


def _words(axis: Axis) -> Callable[[float], str]:
    """Return how an axis spells a value: as the name that stands there, as a percentage, or as a number."""
    from matplotlib.ticker import FuncFormatter, PercentFormatter, StrMethodFormatter

    formatter = axis.get_major_formatter()
    if isinstance(formatter, PercentFormatter):
        return percent
    if isinstance(formatter, FuncFormatter | StrMethodFormatter):
        return lambda value: formatter(value) or plain(value)
    return plain


def _is_named(axis: Axis) -> bool:
    from matplotlib.ticker import FuncFormatter

    return isinstance(axis.get_major_formatter(), FuncFormatter)


def _over(words: str, shape: str, tag: str) -> DrawnValue:
    return DrawnValue(words, f'<{shape} fill="transparent"><title>{html.escape(words)}</title></{tag}>')
