"""The one page of a campaign, in the words of somebody who has to approve it: what, why, beside what else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from churn.campaign.campaign import Campaign, MarginalValue
from churn.core.wording import amount, interval, moment, number, percent, span

from .chart_style import COLOURS, beside, chart
from .page import Block, Callout, Card, Cards, Cell, Figure, Section, Table, Text, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["campaign_headline", "campaign_page", "campaign_sections"]

_whole = partial(number, digits=0)


def campaign_headline(campaign: Campaign) -> str:
    """Return what the campaign comes to, in two sentences."""
    plan, currency = campaign.plan, campaign.money.currency
    if not plan.contacts:
        return f"Nobody is contacted: {_why_nobody(campaign)}"
    return (
        f"Contacting {plan.contacts:,} of {campaign.customers:,} customers is expected to earn "
        f"{interval(plan.profit, _whole, currency)} at a cost of {interval(plan.cost, _whole, currency)}. "
        f"{_against(campaign)}"
    )


def campaign_sections(campaign: Campaign) -> tuple[Section, ...]:
    """Return the campaign, its alternatives, its control group, its limits and its first contacts."""
    sections = [_summary(campaign), _alternatives(campaign), _control(campaign)]
    if campaign.settings.capacity is not None or campaign.settings.budget is not None or campaign.segments:
        sections.append(_limits(campaign))
    return (*sections, _who(campaign))


def campaign_page(campaign: Campaign) -> str:
    """Return the page as one HTML file."""
    facts: dict[str, Cell] = {
        "batch": campaign.batch_id,
        "customers": campaign.customers,
        "as of": moment(campaign.as_of),
        "model": f"{campaign.model}, version {campaign.version}",
    }
    return page("Retention campaign", campaign_sections(campaign), lead=campaign_headline(campaign), facts=facts)


def _summary(campaign: Campaign) -> Section:
    plan, currency = campaign.plan, campaign.money.currency
    most = plan.contacts * (campaign.money.contact_cost + campaign.money.incentive_cost)
    back = plan.profit.point / plan.cost.point if plan.cost.point > 0 else None
    cards = [
        Card(
            "expected profit",
            amount(plan.profit.point, currency),
            f"{span(plan.profit, _whole)} {currency}, after all costs",
        ),
        Card("contacts", plan.contacts, f"of {campaign.positive:,} worth one, {campaign.customers:,} scored"),
        Card("expected cost", amount(plan.cost.point, currency), f"{amount(most, currency)} if everybody takes it"),
        Card("profit for each unit spent", None if back is None else number(back, 2)),
    ]
    blocks: list[Block] = [Cards(cards)]
    if not plan.contacts:
        blocks.append(Callout(_why_nobody(campaign).capitalize(), "warn"))
    if campaign.repriced:
        blocks.append(
            Callout(
                f"{campaign.repriced:,} customers are decided otherwise here than in the predictions: the settings "
                "under `money:` have changed since the model was packaged, and the campaign follows the settings.",
                "warn",
            )
        )
    blocks += [Callout(note, "warn") for note in campaign.notes]
    blocks.append(Text(_interval_in_words(campaign)))
    return Section("The campaign", blocks)


def _alternatives(campaign: Campaign) -> Section:
    currency = campaign.money.currency
    money = f"expected profit, {currency}"
    cost = f"expected cost, {currency}"
    rows: list[dict[str, Cell]] = [
        {
            "who is treated": choice.name,
            "contacts": choice.contacts,
            money: interval(choice.profit, _whole),
            cost: interval(choice.cost, _whole),
            "beside this campaign": number(choice.profit.point - campaign.plan.profit.point, 0),
        }
        for choice in (campaign.plan, *campaign.choices)
    ]
    return Section(
        "What else could be done",
        [
            Table.of(rows, right=[money, cost, "beside this campaign"]),
            Figure(_profit_chart(campaign), _curve_in_words(campaign)),
        ],
        "Every row is what the model expects, of the same customers: without the control group and those who rest. The "
        "others keep no limits, so that what they cost must be read beside what they earn.",
    )


def _control(campaign: Campaign) -> Section:
    control, settings = campaign.control, campaign.settings
    if not control.never_contacted:
        return Section(
            "Control group",
            [
                Callout(
                    "There is none, so that nobody will be able to tell what the campaign saved from what would have "
                    "happened anyway: set `campaign.control_share`.",
                    "warn",
                )
            ],
        )
    words = (
        f"{percent(settings.control_share)} of the customers are never contacted, drawn by a hash of their id before "
        f"anything is ranked, the same in every campaign: {control.never_contacted:,} of this batch. "
        f"{control.customers:,} of them are as valuable as the contacted and are listed apart. The difference in churn "
        "between both groups is what the campaign changed; nothing else tells savings from customers who would have "
        f"stayed. Leaving them alone is expected to cost {amount(control.profit, campaign.money.currency)}."
    )
    return Section("Control group", [Text(words), *_power(campaign)])


def _power(campaign: Campaign) -> Iterable[Block]:
    control = campaign.control
    if control.detectable_drop is None:
        yield Callout("One of the groups is empty: this campaign alone will show nothing about savings.", "warn")
        return
    enough = control.expected_drop >= control.detectable_drop
    verdict = "is large enough to show that" if enough else "is too small to show that in this campaign alone"
    yield Callout(
        f"The model expects the churn rate of the contacted to fall by {_points(control.expected_drop)}; the two "
        f"groups would show a fall of {_points(control.detectable_drop)} or more four times in five. The control group "
        f"{verdict}{'.' if enough else ': add up several campaigns, or raise `campaign.control_share`.'}",
        "good" if enough else "warn",
    )


def _limits(campaign: Campaign) -> Section:
    settings, currency = campaign.settings, campaign.money.currency
    blocks: list[Block] = [Callout(_marginal_in_words(marginal, currency)) for marginal in campaign.marginal]
    gap = campaign.bound - campaign.plan.profit.point
    limits = {
        "capacity": None if settings.capacity is None else f"{settings.capacity:,} contacts",
        "budget": None if settings.budget is None else amount(settings.budget, currency),
    }
    named = " and ".join(f"{name} {value}" for name, value in limits.items() if value is not None)
    blocks.append(
        Text(
            f"Within {named or 'the limits of the segments'}, no other choice is expected to earn more than "
            f"{amount(gap, currency)} above this one. A budget counts what is expected to be spent: the contacts and "
            "the incentives of those who take them."
        )
    )
    if campaign.segments:
        blocks.append(
            Table.of(
                [
                    {
                        "segment": f"{use.column}: {use.value}",
                        "customers": use.customers,
                        "contacts": use.contacts,
                        "capacity": use.limits.capacity,
                        f"expected cost, {currency}": number(use.cost, 2),
                        "budget": None if use.limits.budget is None else number(use.limits.budget, 2),
                    }
                    for use in campaign.segments
                ],
                "Segments with limits of their own.",
                right=[f"expected cost, {currency}", "budget"],
            )
        )
    return Section("Limits", blocks)


def _who(campaign: Campaign) -> Section:
    rows: list[dict[str, Cell]] = [
        {
            "rank": rank,
            "customer": contact.customer,
            "churn probability": percent(contact.probability),
            "expected value": number(contact.expected_value, 2),
            "customer value": number(contact.customer_value, 2),
            "why": "; ".join(contact.reasons),
        }
        for rank, contact in enumerate(campaign.first, start=1)
    ]
    right = ["churn probability", "expected value", "customer value"]
    return Section("Who and why", [Table.of(rows, f"The first {len(rows)} of the list.", right=right)])


def _points(share: float) -> str:
    return f"{number(100 * share, 1)} percentage points"


def _why_nobody(campaign: Campaign) -> str:
    if not campaign.customers:
        return "the batch has no customers."
    if not campaign.positive:
        return f"none of {campaign.customers:,} customers is expected to be worth the cost."
    return f"{campaign.positive:,} customers are worth it; the limits, the control group and the rest leave none."


def _against(campaign: Campaign) -> str:
    """Say what the habitual list of the same length would earn: the riskiest first."""
    other = next(choice for choice in campaign.choices if choice.id == "by_probability")
    gain, currency = campaign.plan.profit.point - other.profit.point, campaign.money.currency
    if abs(gain) < 0.5:
        return "As many contacts chosen by probability alone would earn the same."
    if gain < 0:
        more = amount(-gain, currency)
        return f"As many contacts chosen by probability alone, without the limits, would earn {more} more."
    return f"As many contacts chosen by probability alone would earn {amount(gain, currency)} less."


def _interval_in_words(campaign: Campaign) -> str:
    money = campaign.money
    return (
        f"The {percent(campaign.confidence, 0)} interval covers chance: who churns, who of them accepts, and the "
        f"acceptance rate itself ({percent(money.acceptance.mean, 0)} on average, one rate for the whole campaign). It "
        "holds if the probabilities are true, which every training run measures. It does not cover a model that errs, "
        "other costs or values than the settings say, or offers that work otherwise."
    )


def _curve_in_words(campaign: Campaign) -> str:
    slope = "The slope is what one more contact is expected to earn; past the top every contact loses."
    limited = campaign.settings.budget is not None or campaign.segments
    below = " A campaign below the line took customers who are worth more for their cost, or whom segments allowed."
    return slope + below * bool(limited)


def _marginal_in_words(marginal: MarginalValue, currency: str) -> str:
    wider = (
        f"{marginal.extra:,.0f} {currency} of budget"
        if marginal.limit == "budget"
        else f"{marginal.extra:,.0f} contacts"
    )
    if abs(marginal.profit) < 0.005:
        return f"The next {wider} would earn nothing: something else than the {marginal.limit} is the limit."
    return (
        f"The next {wider} would earn {amount(marginal.profit, currency)} more, for {amount(marginal.cost, currency)} "
        f"and {marginal.contacts:+,} contacts."
    )


def _profit_chart(campaign: Campaign) -> str:
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
