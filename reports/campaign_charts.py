"""The chart of a campaign, as SVG: what how many contacts are expected to earn, and where the campaign stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churn.campaign.campaign import Campaign
from churn.core.wording import amount

from .chart_style import COLOURS, chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["campaign_profit"]


def campaign_profit(campaign: Campaign) -> str:
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
        axes.annotate(
            f"this campaign: {plan.contacts:,} contacts\n{amount(plan.profit.point, currency)}",
            (plan.contacts, plan.profit.point),
            (8 if share < 0.25 else 0, -44 if plan.profit.point > (low + high) / 2 else 16),
            textcoords="offset points",
            ha="left" if share < 0.25 else "right" if share > 0.75 else "center",
            color=COLOURS["ink"],
        )
        axes.set_ylim(low - 0.04 * (high - low + 1e-9), high + 0.08 * (high - low + 1e-9))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))

    return chart(
        "Expected profit by how many are contacted",
        "customers contacted, most valuable first",
        f"expected profit, {currency}",
        draw,
    )
