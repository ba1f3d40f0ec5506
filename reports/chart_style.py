"""The style of every chart: one size, a palette that follows the page's theme, reproducible SVG bytes."""

from __future__ import annotations

import hashlib
import html
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .chart_values import values_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

__all__ = [
    "COLOURS",
    "DASHED",
    "HEIGHT",
    "PAPER",
    "WIDTH",
    "beside",
    "chart",
    "drawn_once",
    "histogram",
    "in_percent",
    "named",
    "shortened",
    "small_multiples",
]

_KEPT = 32
"""Charts kept of each kind: a run shows a few, in the dashboard, with the tracker and on its page."""

WIDTH, HEIGHT = 5.0, 3.4
"""Inches; in a column of a page the text is that of the page, and on a phone of 400 pixels still 10 pixels high."""
_TITLE_CHARACTERS = 46
_HEADING_CHARACTERS = 56  # of the headings beside each other
_READ_OUT = 12
"""Values of a chart that a screen reader reads after the title."""

COLOURS = {
    "page": "#ffffff",
    "ink": "#1f2933",
    "muted": "#66727f",
    "grid": "#e3e7eb",
    "primary": "#0072b2",
    "secondary": "#d55e00",
    "good": "#009e73",
}
"""By role; the hues are those of Okabe and Ito (2008), which colour-blind readers tell apart."""

DASHED: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 1.0}
"""The line of a reference: chance, the base rate, a fixed configuration."""

PAPER: dict[str, Any] = {"facecolor": COLOURS["page"], "edgecolor": "none", "pad": 0.5}
"""What lies behind words that would else be crossed by a line."""

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.8,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.labelcolor": COLOURS["ink"],
    "lines.linewidth": 2.0,
    "svg.fonttype": "none",
    "text.color": COLOURS["ink"],
    "text.parse_math": False,
    "xtick.color": COLOURS["muted"],
    "xtick.labelsize": 9.5,
    "ytick.color": COLOURS["muted"],
    "ytick.labelsize": 9.5,
    "xtick.major.pad": 6,
    "xtick.major.size": 0,
    "ytick.major.pad": 6,
    "ytick.major.size": 0,
}
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def chart(title: str, x_label: str, y_label: str, draw: Callable[[Axes], None], *, height: float = HEIGHT) -> str:
    """Return one chart as an SVG element whose values a pointer can read off; the same input gives the same bytes.

    Args:
        title: What the chart shows, in plain words; read out by screen readers with the first values.
        x_label: What lies along the horizontal axis, with its unit.
        y_label: What lies along the vertical axis, with its unit.
        draw: Draws on the axes; every colour it uses is one of `COLOURS`.
        height: Inches.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import AutoLocator

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH, height), dpi=72, layout="constrained")
        axes = figure.add_subplot()
        figure.suptitle(textwrap.fill(title, _TITLE_CHARACTERS), x=0.012, ha="left")
        axes.set(xlabel=textwrap.fill(x_label, _TITLE_CHARACTERS + 8), ylabel=y_label)
        draw(axes)
        if isinstance(axes.xaxis.get_major_locator(), AutoLocator):
            axes.locator_params(axis="x", nbins=5)
        return _svg(figure, title)


def small_multiples(
    title: str, y_label: str, parts: Sequence[tuple[str, T]], draw: Callable[[Axes, T], None], *, columns: int = 2
) -> str:
    """Return one small drawing for each part, all on the same height, as an SVG element.

    Args:
        title: What the drawings show, in plain words.
        y_label: What lies along the vertical axes, with its unit.
        parts: Heading and values of each drawing.
        draw: Draws the values on the axes; every colour it uses is one of `COLOURS`.
        columns: Drawings beside each other.
    """
    import matplotlib
    from matplotlib.figure import Figure

    rows = -(-len(parts) // columns)
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title, "axes.labelsize": 9, "xtick.labelsize": 9}):
        figure = Figure(figsize=(WIDTH, 0.6 + 1.9 * rows), dpi=72, layout="constrained")
        figure.suptitle(textwrap.fill(title, _TITLE_CHARACTERS), x=0.012, ha="left")
        figure.supylabel(y_label, fontsize=9, color=COLOURS["muted"])
        for number, (heading, values) in enumerate(parts, start=1):
            axes = figure.add_subplot(rows, columns, number)
            axes.set_title(textwrap.fill(heading, _HEADING_CHARACTERS // columns), fontsize=9.5, loc="left")
            draw(axes, values)
        return _svg(figure, title)


def drawn_once(draw: Callable[P, str]) -> Callable[P, str]:
    """Return `draw` with a memory of its last charts: the same values give the chart that was drawn before."""
    drawings: dict[str, str] = {}

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> str:
        values = hashlib.sha256(repr((args, options)).encode()).hexdigest()
        if values not in drawings:
            if len(drawings) == _KEPT:
                del drawings[next(iter(drawings))]
            drawings[values] = draw(*args, **options)
        return drawings[values]

    return drawn


def in_percent(axes: Axes, *, x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
    """Let the axes that are given limits, as shares of one, count in percent."""
    from matplotlib.ticker import PercentFormatter

    for axis, limits, limit in ((axes.xaxis, x, axes.set_xlim), (axes.yaxis, y, axes.set_ylim)):
        if limits is not None:
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
            limit(*limits)


def beside(axes: Axes, words: str, point: tuple[float, float], offset: tuple[float, float], **style: Any) -> None:
    """Write words at a distance from a point of the chart; `offset` in points of 1/72 inch."""
    axes.annotate(words, point, offset, textcoords="offset points", **style)


def histogram(axes: Axes, heights: Sequence[float], label: str, role: str, *, filled: bool = True) -> None:
    """Draw heights over equally wide bins of probability."""
    edges = [place / len(heights) for place in range(len(heights) + 1)]
    if filled:
        axes.stairs(heights, edges, fill=True, alpha=0.25, color=COLOURS[role])
    axes.stairs(heights, edges, color=COLOURS[role], label=label, linewidth=1.6)


def named(axes: Axes, places: npt.ArrayLike, names: Sequence[str]) -> None:
    """Name what is drawn at each height, in place of a scale."""
    axes.set_yticks(places, names)
    axes.set_xlabel(axes.get_xlabel(), loc="right")  # long names leave a centred one no room
    axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
    axes.grid(visible=False, axis="y")


def shortened(text: str, length: int = 36) -> str:
    """Return `text` at most `length` characters long, cut in the middle: long names differ at their ends."""
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half].rstrip()}…{text[-half:].lstrip()}"


def _svg(figure: Figure, title: str) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    parts: list[Figure | Axes] = [figure, *figure.axes]
    for part in parts:
        part.patch.set(facecolor="none", edgecolor="none")  # the page's own background
    # `savefig` draws twice, the first time for the layout alone, which the drawing itself makes anyway.
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    drawing = re.sub(r"^.*?(?=<svg)", "", drawing, flags=re.DOTALL)
    drawing = re.sub(
        r"\s*<metadata>.*?</metadata>|\s*<defs>\s*<style.*?</style>\s*</defs>", "", drawing, flags=re.DOTALL
    )
    # Names such as axes_1 would stand twice in a page with two charts; nothing refers to them.
    drawing = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", drawing)
    for role, colour in COLOURS.items():
        drawing = drawing.replace(colour, f"var(--{role}, {colour})")
    drawing = drawing.replace("'DejaVu Sans'", _FONTS)
    values = values_of(figure)
    label = html.escape(title, quote=True)
    read_out = html.escape("; ".join(value.words for value in values[:_READ_OUT]))
    drawing = drawing.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()
    drawing = drawing.replace(">", f"><desc>{read_out}</desc>", 1)
    return drawing.replace("</svg>", "".join(value.svg for value in values) + "</svg>")
