"""The charts of a campaign, as SVG: who is on the list, what the money is made of, how many contacts pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from churn.campaign.audience import Audience
from churn.campaign.campaign import Campaign
from churn.core.wording import amount, number, percent

from .chart_style import COLOURS, beside, chart, named, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["audience_chart", "money_chart", "profit_chart"]

_DENSEST = 0.5
"""Opacity of a cell of which all are contacted: words on it stay legible."""


def audience_chart(audience: Audience) -> str:
    """Draw which share of each cell of two columns is on the list."""
    names = [f"{shortened(row, 18)}" for row in audience.rows]

    def draw(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        for row, (customers, contacted) in enumerate(zip(audience.customers, audience.contacted, strict=True)):
            for column, (all_, listed) in enumerate(zip(customers, contacted, strict=True)):
                share = listed / all_ if all_ else 0.0
                place = (column - 0.48, row - 0.46)
                axes.add_patch(
                    Rectangle(place, 0.96, 0.92, color=COLOURS["primary"], alpha=_DENSEST * share, linewidth=0)
                )
                words = f"{percent(share, 0)}\nof {all_:,}" if all_ else ""
                axes.text(column, row, words, ha="center", va="center", fontsize=9.5)
        axes.set_xlim(-0.5, len(audience.columns) - 0.5)
        axes.set_ylim(len(audience.rows) - 0.5, -0.5)
        axes.set_xticks(range(len(audience.columns)), [shortened(name, 14) for name in audience.columns])
        named(axes, np.arange(len(audience.rows)), names)
        axes.grid(visible=False)
        axes.tick_params(axis="x", labelcolor=COLOURS["ink"])

    return chart(
        "Which share of them is on the list",
        audience.across,
        audience.down,
        draw,
        height=1.2 + 0.5 * len(audience.rows),
    )


def money_chart(campaign: Campaign) -> str:
    """Draw how the expected profit comes about: what is saved, less contacts and incentives."""
    parts, currency = campaign.parts, campaign.money.currency
    steps = [
        ("saved customers", parts.saved),
        ("contacts", parts.contacts),
        ("incentives to churners", parts.churners),
        ("incentives to stayers", parts.stayers),
    ]
    ends = np.cumsum([value for _, value in steps])
    starts = np.append(0.0, ends[:-1])

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import StrMethodFormatter

        places = np.arange(len(steps), -1, -1)
        widths, lefts = [*(value for _, value in steps), ends[-1]], [*starts, 0.0]
        colours = [COLOURS["primary"], *[COLOURS["secondary"]] * (len(steps) - 1), COLOURS["good"]]
        axes.barh(places, widths, left=lefts, color=colours, height=0.62)
        for place, width, left in zip(places, widths, lefts, strict=True):
            right = max(left, left + width)
            beside(axes, number(width, 0), (right, float(place)), (4, 0), va="center")
        axes.vlines(ends, places[1:] - 0.31, places[:-1] + 0.31, color=COLOURS["muted"], linewidth=0.8)
        axes.axvline(0, color=COLOURS["muted"], linewidth=0.8)
        named(axes, places, [*(name for name, _ in steps), "expected profit"])
        low, high = min(0.0, *ends), max(*ends, *starts)
        axes.set_xlim(low - 0.02 * (high - low), high + 0.2 * (high - low))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))

    return chart("Where the expected profit comes from", currency, "", draw, height=2.6)


def profit_chart(campaign: Campaign) -> str:
    """Draw expected profit against the number of contacts, most valuable first, and the campaign on it."""
    contacts, profit, _ = zip(*campaign.curve, strict=True)
    plan, currency = campaign.plan, campaign.money.currency

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import StrMethodFormatter

        axes.plot(contacts, profit, color=COLOURS["primary"])
        axes.axhline(0, color=COLOURS["muted"], linewidth=0.8)
        axes.plot([plan.contacts], [plan.profit.point], "o", color=COLOURS["ink"], markersize=8)
        low, high = min(0.0, *profit), max(0.0, *profit)
        share = plan.contacts / max(contacts[-1], 1)
        words = f"this campaign: {plan.contacts:,} contacts\n{amount(plan.profit.point, currency)}"
        side = "left" if share < 0.25 else "right" if share > 0.75 else "center"
        offset = (8 if share < 0.25 else 0, -44 if plan.profit.point > (low + high) / 2 else 16)
        beside(axes, words, (plan.contacts, plan.profit.point), offset, ha=side, color=COLOURS["ink"])
        axes.set_ylim(low - 0.04 * (high - low + 1e-9), high + 0.08 * (high - low + 1e-9))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))

    return chart(
        "Expected profit by how many are contacted",
        "customers contacted, most valuable first",
        f"expected profit, {currency}",
        draw,
    )
