"""The page of a campaign for the people who carry it out: what to do, who is on the list, expected profit."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterable
from functools import partial

from churn.campaign.audience import Audience
from churn.campaign.campaign import Campaign, MarginalValue
from churn.core.wording import amount, interval, moment, number, percent, span

from .campaign_charts import audience_chart, money_chart, profit_chart
from .page import Block, Callout, Card, Cards, Cell, Figure, Section, Step, Steps, Table, Text, page

__all__ = ["campaign_headline", "campaign_page", "campaign_sections"]

_whole = partial(number, digits=0)
_OTHERS = "Whoever is on no list is not worth an offer, rests after the last one, or is beyond the limits"


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


def campaign_sections(campaign: Campaign, *, beside: bool = False) -> tuple[Section, ...]:
    """Return what to do, the sums, who is on the list, alternatives, the control group and the limits.

    Args:
        campaign: The campaign.
        beside: Whether the lists lie beside the page, so that it can link to them.
    """
    sections = [_to_do(campaign, beside=beside), _summary(campaign), _who(campaign), _alternatives(campaign)]
    sections.append(_control(campaign))
    if campaign.settings.capacity is not None or campaign.settings.budget is not None or campaign.segments:
        sections.append(_limits(campaign))
    return tuple(sections)


def campaign_page(campaign: Campaign, *, beside: bool = True) -> str:
    """Return the page as one HTML file, which lies beside the lists unless `beside` is false."""
    facts: dict[str, Cell] = {
        "batch": campaign.batch_id,
        "customers": campaign.customers,
        "planned": moment(campaign.planned_at),
        "data until": moment(campaign.as_of),
        "model": f"{campaign.model}, version {campaign.version}",
    }
    return page(
        "Retention campaign", campaign_sections(campaign, beside=beside), lead=campaign_headline(campaign), facts=facts
    )


def _to_do(campaign: Campaign, *, beside: bool) -> Section:
    if not campaign.plan.contacts:
        return Section("Do this", [Callout(_why_nobody(campaign).capitalize(), "warn")])
    money, settings = campaign.money, campaign.settings
    until, then = (
        f"{campaign.planned_at + dt.timedelta(days=days):%Y-%m-%d}"
        for days in (settings.rest_days or campaign.window_days, campaign.window_days)
    )
    on = "" if campaign.dataset is None else f" --dataset {shlex.quote(campaign.dataset)}"
    treated, control = (f"{campaign.batch_id}{group}.{settings.format}" for group in ("", ".control"))
    rest = "may be on another list" if settings.rest_days else "have left or stayed"
    steps = [
        Step(
            "Hand over the list.",
            f"{campaign.plan.contacts:,} customers, those who are worth most first. Contact them before {until}: from "
            f"then on they {rest}.{_place(treated, beside=beside)}",
            {treated: treated} if beside else {},
        ),
        Step(
            "Offer what the settings count with.",
            f"An incentive that costs {amount(money.incentive_cost, money.currency)} where it is taken, by a contact "
            f"that costs {amount(money.contact_cost, money.currency)}. The columns actionable_reason and "
            "what_would_change_it say for each customer what to speak about.",
        ),
        Step("Leave everybody else alone.", f"{_OTHERS}."),
    ]
    if campaign.control.customers:
        steps[-1] = Step(
            "Leave the control group alone, and everybody else.",
            f"{campaign.control.customers:,} customers get no offer from anybody before {then}, so that it can be "
            f"seen what the campaign changed. {_OTHERS}."
            f"{_place(control, beside=beside)}",
            {control: control} if beside else {},
        )
        steps.append(
            Step(
                f"Measure from {then} on.",
                f"The outcomes of {campaign.window_days} days are known then. Once they are in the tables "
                f"(python run.py --pipeline features{on}, with --data FILE where you deliver it), compare the groups:",
                command=f"python run.py campaign effect {campaign.batch_id}{on}",
            )
        )
    return Section("Do this", [Steps(steps)])


def _place(name: str, *, beside: bool) -> str:
    return "" if beside else f" The file is campaigns/{name} in the state folder."


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
        Card("contacts", plan.contacts, _of_whom(campaign)),
        Card("expected cost", amount(plan.cost.point, currency), f"{amount(most, currency)} if everybody takes it"),
        Card(f"profit for each {currency} spent", None if back is None else number(back, 2)),
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
    if plan.contacts:
        blocks.append(Figure(money_chart(campaign), "All amounts are expectations of the model."))
    blocks.append(Text(_interval_in_words(campaign)))
    return Section("The campaign", blocks)


def _of_whom(campaign: Campaign) -> str:
    """Say what became of the customers who are worth a contact and are not on the list."""
    left_out = {
        "in the control group": campaign.control.customers,
        "at rest": campaign.in_cooldown,
        "beyond the limits": campaign.positive
        - campaign.plan.contacts
        - campaign.control.customers
        - campaign.in_cooldown,
    }
    others = ", ".join(f"{customers:,} {words}" for words, customers in left_out.items() if customers > 0)
    return f"of {campaign.positive:,} worth one among {campaign.customers:,}{others and f'; {others}'}"


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
            "against this campaign": number(choice.profit.point - campaign.plan.profit.point, 0),
        }
        for choice in (campaign.plan, *campaign.choices)
    ]
    return Section(
        "What else could be done",
        [
            Table.of(rows, "Other ways to choose whom to contact.", right=[money, cost, "against this campaign"]),
            Figure(profit_chart(campaign), _curve_in_words(campaign)),
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
    value = f"expected value, {campaign.money.currency}"
    rows: list[dict[str, Cell]] = [
        {
            "customer": contact.customer,
            "rank": rank,
            "churn probability": percent(contact.probability),
            value: number(contact.expected_value, 2),
            "why": "; ".join(contact.reasons),
            "what would change it": contact.change,
        }
        for rank, contact in enumerate(campaign.first, start=1)
    ]
    blocks: list[Block] = []
    if campaign.audience is not None and campaign.plan.contacts:
        blocks.append(Figure(audience_chart(campaign.audience), _audience_in_words(campaign.audience)))
    blocks.append(Table.of(rows, f"The first {len(rows)} of the list.", right=["churn probability", value]))
    lead = (
        "Strong: the reason at least doubles the odds of churn; some: it raises them by a quarter or more. What would "
        "change it: what customers of lower risk have; this does not prove that they stay because of it."
    )
    return Section("Who is on the list, and why", blocks, lead)


def _audience_in_words(audience: Audience) -> str:
    total = sum(map(sum, audience.contacted))
    cells = (
        (contacted, row, column)
        for row, line in zip(audience.rows, audience.contacted, strict=True)
        for column, contacted in zip(audience.columns, line, strict=True)
    )
    most, row, column = max(cells, key=lambda cell: cell[0])
    drawn = f" From a sample of {audience.sampled:,} customers."
    return (
        f"{percent(most / max(total, 1), 0)} of the list are customers with {audience.down} {row} and "
        f"{audience.across} {column}. These two columns tell the risks apart best.{drawn}"
    )


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
