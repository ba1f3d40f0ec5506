"""A simulated year: what each policy of retraining earned, as lines for a screen and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from churn.core.wording import amount, counted, interval, number, percent, span
from churn.lifecycle.year_result import GOAL, PolicyYear, YearResult

from .chart_style import COLOURS, DASHED, chart, drawn_once
from .page import Block, Callout, Card, Cards, Cell, Figure, Section, Table, Text, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["year_headline", "year_lines", "year_page"]

_MORE = "more than the loop"
_IDLE = "found no reason to act"
_whole = partial(number, digits=0)
_COLOURS = {"loop": "primary", "never": "muted", "monthly": "secondary", "demo": "good"}


def year_headline(year: YearResult) -> str:
    """Return what the year came to, in one or two sentences."""
    loop, *rest = year.policies
    missed = [goal for goal, reached in year.goals if not reached]
    goals = "Every goal was reached." if not missed else f"Missed: {'; '.join(missed)}."
    beside = "; ".join(
        f"{_short(policy)} {percent(policy.share.point)} with {policy.trainings}"
        for policy in rest
        if policy.name in {"never", "monthly"}
    )
    return (
        f"The loop earned {amount(loop.profit.point, year.currency)}, {percent(loop.share.point)} of what could be "
        f"earned ({span(loop.share, percent)}), with {counted(loop.trainings, 'training')} after the first"
        f"{f' ({beside})' if beside else ''}. {goals}"
    )


def year_lines(year: YearResult) -> list[str]:
    """Return what a terminal shows, line by line."""
    months = len(year.optimum.months)
    lines = [
        f"{year.scenario}: {year.description} ({year.customers:,} customers, {months} months)",
        f"{'policy':<48} {year.currency:>9} {'of the reachable':>22} {_MORE:>26} {'trainings':>9}",
    ]
    for policy in (*year.policies, year.optimum):
        share = _share(policy, year)
        against = "" if policy.name == "loop" else interval(policy.against_loop, _whole)
        trainings = "" if policy is year.optimum else policy.trainings
        lines.append(
            f"{policy.label:<48} {_whole(policy.profit.point):>9} {share:>22} {against:>26} {trainings:>9}".rstrip()
        )
    lines += [f"Goal    {'reached' if reached else 'MISSED'}: {goal}" for goal, reached in year.goals]
    lines += [f"Loop    {start}: {sentence}" for start, sentence in _story(year.policies[0])] or [f"Loop    {_IDLE}"]
    ranges = f"Ranges are {percent(year.confidence, 0)} intervals over customers."
    return [*lines, f"Note    {ranges} {_method_of(year)}", f"Took    {year.seconds:,.0f} s"]


def year_page(year: YearResult) -> str:
    """Return the page as one HTML file."""
    facts: dict[str, Cell] = {
        "data set": year.dataset,
        "scenario": year.scenario,
        "customers": year.customers,
        "months": len(year.optimum.months),
        "took": f"{year.seconds:,.0f} s",
    }
    if year.faults:
        facts["faults"] = ", ".join(year.faults)
    sections = [_policies(year), _months(year), _what_happened(year), _method(year)]
    return page(f"A simulated year: {year.scenario}", sections, lead=year_headline(year), facts=facts)


def _policies(year: YearResult) -> Section:
    loop = year.policies[0]
    cards = [
        Card(
            "of the reachable profit",
            percent(loop.share.point),
            f"{span(loop.share, percent)}; the goal is {percent(GOAL, 0)}",
            "good" if loop.share.point >= GOAL else "bad",
        ),
        Card("earned by the loop", amount(loop.profit.point, year.currency), span(loop.profit, _whole)),
        Card("trainings after the first", loop.trainings, f"{counted(loop.promotions, 'version')} went live"),
        Card("customers kept", loop.kept, f"of {loop.contacted:,} contacts; {loop.left:,} left"),
    ]
    rows: list[dict[str, Cell]] = [
        {
            "policy": policy.label,
            f"earned, {year.currency}": _whole(policy.profit.point),
            "of the reachable": _share(policy, year),
            _MORE: None if policy is loop else interval(policy.against_loop, _whole),
            "trainings": None if policy is year.optimum else policy.trainings,
            "contacts": policy.contacted,
            "kept": policy.kept,
            "left": policy.left,
        }
        for policy in (*year.policies, year.optimum)
    ]
    blocks: list[Block] = [Cards(cards)]
    blocks += [Callout(f"Missed: {goal}.", "warn") for goal, reached in year.goals if not reached]
    blocks.append(Table.of(rows, right=[f"earned, {year.currency}", "of the reachable", _MORE]))
    lead = (
        f"{year.description[:1].upper()}{year.description[1:]}. All policies had the same customers and random draws."
    )
    return Section("What each policy earned", blocks, lead)


def _months(year: YearResult) -> Section:
    caption = (
        "What each policy earned more than the loop, summed over the months so far: below 0 the loop is ahead. A dot "
        "is a month in which the loop retrained, had the feed mended, or told monitoring that a change is real."
    )
    return Section("Month by month", [Figure(lead_chart(year), caption), _table(year)])


@drawn_once
def lead_chart(year: YearResult) -> str:
    """Draw what each policy is ahead of the loop, month by month; policies that earned the same are one line."""
    loop, *rest = year.policies
    earned = {policy.name: tuple(np.cumsum([month.profit for month in policy.months])) for policy in year.policies}
    months = [f"{month.start:%b %y}" for month in loop.months]
    places, step = np.arange(len(months)), -(-len(months) // 4)

    def draw(axes: Axes) -> None:
        dots = places[[bool(month.happened) for month in loop.months]]
        axes.axhline(0, color=COLOURS["primary"], label=_short(loop), **DASHED)
        axes.plot(dots, np.zeros(len(dots)), "o", color=COLOURS["primary"], markersize=5)
        for line in dict.fromkeys(earned[policy.name] for policy in rest):
            same = [policy for policy in rest if earned[policy.name] == line]
            label = ", ".join(_short(policy) for policy in same)
            axes.plot(places, np.subtract(line, earned[loop.name]), color=COLOURS[_COLOURS[same[0].name]], label=label)
        axes.set_xticks(places[::step], months[::step])
        axes.legend(loc="best")

    return chart("Earned more than the loop, so far", "month", year.currency, draw)


def _short(policy: PolicyYear) -> str:
    return policy.label.partition(":")[0]


def _table(year: YearResult) -> Table:
    rows: list[dict[str, Cell]] = []
    for place, best in enumerate(year.optimum.months):
        profits: dict[str, Cell] = {_short(policy): _whole(policy.months[place].profit) for policy in year.policies}
        rows.append({"month": f"{best.start:%Y-%m}", **profits, "the optimum": _whole(best.profit)})
    names = [name for name in rows[0] if name != "month"]
    return Table.of(rows, f"Profit of each month, {year.currency}", right=names, folded=True)


def _what_happened(year: YearResult) -> Section:
    blocks: list[Block] = []
    for policy in year.policies:
        rows = [{"month": start, "what happened": sentence} for start, sentence in _story(policy)]
        if rows:
            blocks.append(Table.of(rows, policy.label, folded=policy.name != "loop"))
    if not any(_story(year.policies[0])):
        blocks.insert(0, Text(f"The loop {_IDLE}."))
    return Section("What happened", blocks)


def _story(policy: PolicyYear) -> Iterator[tuple[str, str]]:
    for month in policy.months:
        for sentence in month.happened:
            yield f"{month.start:%Y-%m}", sentence


def _method(year: YearResult) -> Section:
    text = (
        "A contacted customer accepts by the chance that the settings give (money.acceptance), and one who accepts "
        "stays for the outcome window. What a contact earned is its expected value by the true probability of "
        "leaving, which only the simulation knows; models, gate and monitoring see the rows and outcomes that have "
        "arrived. The optimum contacts by the true probabilities, with the same control group, limits and rest. It "
        "weighs each month by itself, so that a policy can come out slightly above it by chance.\n\n"
        "Customers, outcomes and acceptance are drawn by place and month, the same for every policy. Intervals are "
        f"over customers, at {percent(year.confidence, 0)} confidence; differences are paired. {_method_of(year)}"
    )
    return Section("How this was measured", [Text(text)])


def _method_of(year: YearResult) -> str:
    return (
        f"The control group ({percent(year.control_share, 0)} of the customers, never contacted) costs "
        f"{amount(year.control_cost, year.currency)}, which no policy could earn."
    )


def _share(policy: PolicyYear, year: YearResult) -> str:
    if policy.name == year.optimum.name:
        return percent(1, 0)
    return f"{percent(policy.share.point)} ({span(policy.share, percent)})"
