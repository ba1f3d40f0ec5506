"""The effect of campaigns, as a page and as lines for a screen."""

from __future__ import annotations

from functools import partial

from churn.campaign.effect import CampaignEffect, GroupOutcome, ReadOut
from churn.core.estimate import Estimate
from churn.core.wording import Named, amount, interval, moment, number, percent

from .campaign_charts import effect_chart
from .page import Block, Callout, Card, Cards, Cell, Code, Figure, Section, Table, Text, page

__all__ = [
    "acceptance_settings",
    "effect_headline",
    "effect_lines",
    "effect_page",
    "effect_sections",
    "read_out_headline",
    "read_out_sections",
]

_whole = partial(number, digits=0)
_POINTS = Named("difference", "pp", 1)
_PREDICTED = "predicted without contact"
_FALL = "fall of churn (below 0: a rise)"


def effect_headline(effect: CampaignEffect) -> str:
    """Return what was found, in one or two sentences."""
    which = "The campaign" if len(effect.campaigns) == 1 else f"The {len(effect.campaigns)} campaigns"
    if effect.verdict == "no control group":
        return (
            f"{which} had no control group, so that nobody can tell what the contacts changed: most of the contacted "
            "would have stayed anyway. Set `campaign.control_share` above 0 before the next one."
        )
    if effect.drop is None or effect.net is None:
        outcomes = f"{effect.contacted.known:,} and {effect.control.known:,}"
        groups = f"{effect.contacted.customers:,} contacted and {effect.control.customers:,} control customers"
        return f"It is too early to tell: of {groups} the outcomes of {outcomes} are known. {_due(effect)}"
    net, currency = interval(effect.net, _whole, effect.currency), effect.currency
    churn = f"{percent(effect.contacted.churn or 0)} of the contacted churned and {percent(effect.control.churn or 0)}"
    change, size = _change(effect.drop)
    within = " within each campaign" if len(effect.campaigns) > 1 else ""
    fell = f"{churn} of the control group, a {change} of {_POINTS.interval(size)}{within}."
    return {
        "earned": f"{which} earned {net} net. {fell}",
        "lost": f"{which} lost money: {interval(_negative(effect.net), _whole, currency)} net. {fell}",
        "kept": f"{which} kept customers; whether that paid is open: {net} net. {fell}",
        "unclear": (
            f"{fell} Groups of this size cannot show less than {_POINTS.text(effect.detectable_drop or 0)}, so that "
            f"neither an effect nor its absence is shown; net {net}."
        ),
    }[effect.verdict]


def effect_lines(effect: CampaignEffect) -> list[str]:
    """Return what a terminal shows, line by line."""
    names = ", ".join(effect.campaigns[:3]) + (" and others" if len(effect.campaigns) > 3 else "")
    lines = [f"Campaign {names} (control group drawn by the salt {effect.salt!r})", effect_headline(effect)]
    for name, group in (("contacted", effect.contacted), ("control", effect.control)):
        churn = f"{group.churned:,} churned" if group.known else "no outcome is known yet"
        lines.append(f"  {name:<10} {group.customers:,} customers, {group.known:,} outcomes known, {churn}")
    if effect.drop is not None and effect.saved is not None:
        saved = interval(effect.saved, _whole, effect.currency)
        lines.append(f"  money      saved {saved}, spent {amount(effect.spent, effect.currency)}")
        prior = effect.acceptance.prior
        by_setting = f"{percent(prior.mean)} by the settings, Beta({prior.alpha:g}, {prior.beta:g})"
        lines.append(f"  acceptance {by_setting}; {_acceptance(effect)}")
    lines += [f"  note       {note}" for note in _notes(effect)]
    return lines


def effect_page(effect: CampaignEffect) -> str:
    """Return the page as one HTML file."""
    facts: dict[str, Cell] = {
        "campaigns": len(effect.campaigns),
        "control group drawn by": effect.salt,
        "measured": moment(effect.measured_at),
        "outcomes known from": moment(effect.known_from),
    }
    return page("What the campaigns changed", effect_sections(effect), lead=effect_headline(effect), facts=facts)


def effect_sections(effect: CampaignEffect) -> tuple[Section, ...]:
    """Return what both groups did, money, acceptance, segments, and how it was measured."""
    sections = [_result(effect)]
    if effect.drop is not None:
        sections += [_money(effect), _believed(effect)]
        if effect.segments:
            sections.append(_segments(effect))
    return (*sections, _method(effect))


def read_out_headline(read_out: ReadOut) -> str:
    """Return what was found, or why there is nothing to read out yet."""
    return read_out.nothing if read_out.effect is None else effect_headline(read_out.effect)


def read_out_sections(read_out: ReadOut) -> tuple[Section, ...]:
    """Return what the campaigns changed, or why there is nothing to read out yet."""
    if read_out.effect is not None:
        return effect_sections(read_out.effect)
    return (Section("What the campaigns changed", [Cards([Card("campaigns", 0)]), Callout(read_out.nothing)]),)


def acceptance_settings(effect: CampaignEffect) -> str:
    """Return the options that take the posterior over into the settings."""
    fitted = effect.acceptance.fitted
    return f"--set money.acceptance.alpha={fitted.alpha:.2f} --set money.acceptance.beta={fitted.beta:.2f}"


def _result(effect: CampaignEffect) -> Section:
    blocks: list[Block] = []
    if effect.drop is not None and effect.net is not None:
        tone = {"earned": "good", "lost": "bad"}.get(effect.verdict, "plain")
        change, size = _change(effect.drop)
        blocks.append(
            Cards(
                [
                    Card(
                        "net of what was spent",
                        amount(effect.net.point, effect.currency),
                        f"{_whole(effect.net.lower)} to {_whole(effect.net.upper)}",
                        tone,  # type: ignore[arg-type]
                    ),
                    Card(
                        f"{change} of churn among the contacted",
                        _POINTS.text(size.point),
                        f"{_POINTS.span(size)}, at {percent(effect.confidence, 0)} confidence",
                    ),
                    Card("contacted", effect.contacted.customers, _known(effect.contacted)),
                    Card("control group", effect.control.customers, _known(effect.control)),
                ]
            )
        )
        caption = "Bars are shares of the known outcomes; a line is what the model predicted without a contact."
        blocks.append(Figure(effect_chart(effect), caption))
    blocks.append(
        Table.of(
            [_row("contacted", effect.contacted), _row("control group", effect.control)], right=["churn", _PREDICTED]
        )
    )
    blocks += [Callout(note, "warn") for note in _notes(effect)]
    return Section("The two groups", blocks)


def _row(name: str, group: GroupOutcome) -> dict[str, Cell]:
    return {
        "group": name,
        "customers": group.customers,
        "outcomes known": group.known,
        "churned": group.churned,
        "churn": percent(group.churn) if group.churn is not None else None,
        _PREDICTED: percent(group.predicted) if group.predicted is not None else None,
    }


def _money(effect: CampaignEffect) -> Section:
    assert effect.saved is not None
    assert effect.net is not None
    rows: list[dict[str, Cell]] = [
        {"amount": "value of the customers who were kept", effect.currency: interval(effect.saved, _whole)},
        {"amount": "contacts, and incentives of all contacted who stayed", effect.currency: _whole(-effect.spent)},
        {"amount": "net", effect.currency: interval(effect.net, _whole)},
    ]
    lead = "By the customer values at the time of the campaign and the costs of the settings, for known outcomes."
    return Section("Money", [Table.of(rows, right=[effect.currency])], lead)


def _believed(effect: CampaignEffect) -> Section:
    prior = effect.acceptance.prior
    text = (
        f"The settings count with {percent(prior.mean)} of the churners accepting the offer, Beta({prior.alpha:g}, "
        f"{prior.beta:g}); {_acceptance(effect)}. That changes no setting. To plan with it, add this to the command of "
        "the next inference, or write it into your configuration:"
    )
    return Section("What this says of the offer", [Text(text), Code(acceptance_settings(effect))])


def _segments(effect: CampaignEffect) -> Section:
    rows: list[dict[str, Cell]] = [
        {
            "segment": f"{segment.column} = {segment.value}",
            "contacted": segment.contacted,
            "control": segment.control,
            _FALL: _POINTS.interval(segment.drop),
        }
        for segment in effect.segments
    ]
    lead = "Segments with 30 known outcomes in both groups. The intervals hold together for all of them."
    return Section("By segment", [Table.of(rows, right=[_FALL])], lead)


def _method(effect: CampaignEffect) -> Section:
    text = (
        "The control group was drawn by a hash of the customer from those whom the campaign would have contacted, so "
        "that the groups differ by the contact and by chance alone. Everybody on the list counts as contacted, whether "
        "they were reached or not. A customer churned if the row that was scored came out so within its window. A row "
        "is a customer in one campaign; intervals take the customer as the unit."
    )
    batches = Table.of([{"batch": batch} for batch in effect.campaigns], "Batches", folded=True)
    return Section("How this was measured", [Text(text), batches])


def _acceptance(effect: CampaignEffect) -> str:
    believed = effect.acceptance
    return (
        f"given the outcomes it is {percent(believed.mean)} ({percent(believed.lower)} to {percent(believed.upper)}), "
        f"about Beta({believed.fitted.alpha:.1f}, {believed.fitted.beta:.1f})"
    )


def _notes(effect: CampaignEffect) -> list[str]:
    notes = []
    open_outcomes = (
        effect.contacted.customers + effect.control.customers - effect.contacted.known - effect.control.known
    )
    if open_outcomes and effect.drop is not None:
        notes.append(f"{open_outcomes:,} outcomes are not known. {_due(effect)}")
    if effect.control_contacted:
        notes.append(
            f"The control group was contacted outside the product meanwhile, {effect.control_contacted:,} times: if "
            "those contacts worked, the effect is larger than it seems."
        )
    return notes


def _due(effect: CampaignEffect) -> str:
    due = moment(effect.known_from)
    if effect.known_from > effect.measured_at:
        return f"All may be known from {due} on."
    return f"All were due by {due}: bring them into the tables by `python run.py --pipeline features`."


def _known(group: GroupOutcome) -> str:
    return f"{group.churned:,} of {group.known:,} known outcomes churned"


def _change(drop: Estimate) -> tuple[str, Estimate]:
    """Return whether churn fell or rose, and by how much."""
    return ("rise", _negative(drop)) if drop.point < 0 else ("fall", drop)


def _negative(estimate: Estimate) -> Estimate:
    return Estimate(point=-estimate.point, lower=-estimate.upper, upper=-estimate.lower, se=estimate.se)
