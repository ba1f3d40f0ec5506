"""The charts of campaigns, as SVG: audience, money, number of contacts, churn of both groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from churn.campaign.audience import Audience
from churn.campaign.campaign import Campaign
from churn.campaign.effect import CampaignEffect
from churn.core.wording import amount, number, percent

from .chart_style import COLOURS, beside, chart, drawn_once, in_percent, named, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["audience_chart", "effect_chart", "money_chart", "profit_chart"]

_DENSEST = 0.5
"""Opacity of a cell of which all are contacted: words on it stay legible."""


@drawn_once
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


@drawn_once
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


@drawn_once
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


@drawn_once
def effect_chart(effect: CampaignEffect) -> str:
    """Draw the churn of both groups, and what the model predicted for them without a contact."""
    groups = [("contacted", effect.contacted), ("control group", effect.control)]

    def draw(axes: Axes) -> None:
        places = np.arange(len(groups) - 1, -1, -1)
        for place, (name, group) in zip(places, groups, strict=True):
            churn, predicted = group.churn or 0.0, group.predicted or 0.0
            role = "primary" if name == "contacted" else "secondary"
            axes.barh(place, churn, height=0.56, color=COLOURS[role])
            axes.vlines(predicted, place - 0.36, place + 0.36, color=COLOURS["ink"], linewidth=1.6)
            words = f"{percent(churn)} of {group.known:,}"
            beside(axes, words, (max(churn, predicted), float(place)), (6, 0), va="center")
        named(axes, places, [name for name, _ in groups])
        highest = max(value or 0.0 for _, group in groups for value in (group.churn, group.predicted))
        in_percent(axes, x=(0, 1.3 * highest or 1.0))

    return chart("Churn of both groups", "churned, of the known outcomes", "", draw, height=1.9)
