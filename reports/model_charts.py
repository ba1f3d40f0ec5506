"""The charts of a model, as SVG: what tuning found, what the model looks at, and why one customer is at risk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from churn.core.wording import percent, signed

from .chart_style import COLOURS, DASHED, chart, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["importance", "reasons", "tuning_history"]


def importance(names: Sequence[str], values: Sequence[float], *, top: int = 15) -> str:
    """Draw the features that move the predictions most; `values` are mean absolute contributions in log-odds."""
    order = sorted(range(len(names)), key=lambda i: (-values[i], names[i]))[:top][::-1]

    def draw(axes: Axes) -> None:
        axes.barh(
            [shortened(names[i]) for i in order], [values[i] for i in order], color=COLOURS["primary"], height=0.62
        )
        for place, i in enumerate(order):
            axes.annotate(f"{values[i]:.2f}", (values[i], place), (4, 0), textcoords="offset points", va="center")
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1.12 * max(*values, 1e-9))
        axes.tick_params(axis="y", labelcolor=COLOURS["ink"])

    return chart(
        "What the model looks at", "average change of the log-odds of churn", "", draw, height=0.9 + 0.29 * len(order)
    )


def reasons(names: Sequence[str], contributions: Sequence[float], base: float, *, top: int = 8) -> str:
    """Draw how one customer's risk comes about, from the average customer's to their own, feature by feature.

    Args:
        names: The features in words, with the customer's values.
        contributions: What each adds to the log-odds; `base` and their sum are the customer's log-odds.
        base: The average customer's log-odds.
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
            axes.annotate(signed(step), (right, place), (4, 0), textcoords="offset points", va="center")
        axes.vlines(starts[1:], places[1:] - 0.31, places[:-1] + 0.31, color=COLOURS["muted"], linewidth=0.8)
        axes.set_yticks(places, [name for name, _ in steps])
        axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
        axes.grid(visible=False, axis="y")
        low, high = min(base, *ends), max(base, *ends)
        axes.set_xlim(low - 0.12 * (high - low), high + 0.16 * (high - low))
        marks = [share for share in _SHARES if axes.get_xlim()[0] <= _log_odds(share) <= axes.get_xlim()[1]]
        axes.set_xticks([_log_odds(share) for share in marks], [percent(share, 0) for share in marks])

    average, own = (percent(1 / (1 + math.exp(-log_odds))) for log_odds in (base, ends[-1]))
    title = f"From the average risk of {average} to this customer's {own}"
    return chart(title, "churn probability (evenly spaced in log-odds)", "", draw, height=1.0 + 0.31 * len(steps))


def tuning_history(values: Sequence[float | None], objective: str) -> str:
    """Draw each trial's value and the best so far; lower is better, the first is the fixed configuration.

    Args:
        values: One for each trial in order; None where the trial was pruned or failed.
        objective: What was minimised, such as `log loss over the folds`.
    """

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        done = [(number, value) for number, value in enumerate(values) if value is not None]
        numbers, found = [number for number, _ in done], [value for _, value in done]
        axes.plot(numbers, found, "o", color=COLOURS["primary"], alpha=0.55, label="trial")
        axes.step(numbers, np.minimum.accumulate(found), color=COLOURS["ink"], where="post", label="best so far")
        if done and numbers[0] == 0:
            axes.axhline(found[0], color=COLOURS["muted"], label="fixed configuration", **DASHED)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower right", ncols=3, bbox_to_anchor=(1, 1), borderaxespad=0.2)

    return chart("What tuning found", "trial", f"{objective} (lower is better)", draw)


_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
