"""The explanation of one customer, as a page and as lines for a screen."""

from __future__ import annotations

from collections.abc import Sequence

from churn.core.wording import amount, moment, number, percent, plain, times
from churn.model.reasons import SMALLEST
from churn.model.scorer import TREAT
from churn.scoring.customer import CustomerAnswer
from churn.scoring.what_if import Change

from .charts import reasons
from .page import Block, Callout, Card, Cards, Cell, Figure, Section, Table, page

__all__ = ["customer_lines", "customer_page"]

_REASONS = 5
_CHANGES = 6


def customer_page(answer: CustomerAnswer) -> str:
    """Return the page as one HTML file."""
    facts: dict[str, Cell] = {
        "model": f"{answer.model}, version {answer.version}",
        "facts true at": moment(answer.true_at),
        "known since": moment(answer.known_at),
        "as of": moment(answer.as_of),
    }
    if answer.batch_id:
        facts["batch"] = answer.batch_id
    return page(
        f"Customer {answer.customer}",
        (_prediction(answer), _changes(answer), _values(answer)),
        lead=_verdict(answer),
        facts=facts,
    )


def customer_lines(answer: CustomerAnswer) -> list[str]:
    """Return what a terminal shows, line by line."""
    lines = [
        f"Customer {answer.customer}, by {answer.model} version {answer.version} (@Champion)",
        f"Facts    true at {moment(answer.true_at)}, known since {moment(answer.known_at)}{_batch(answer)}",
        f"Risk     {percent(answer.probability)} within {answer.window_days} days; the model starts from "
        f"{percent(answer.starting_point)}",
        f"Decision {_verdict(answer)}",
    ]
    for head, sign in (("Raising", 1), ("Lowering", -1)):
        parts = [part for part in answer.parts if sign * part.added > SMALLEST][:_REASONS]
        lines += [
            f"{head if not place else '':<8} odds {times(part.added)}  {part.words}" for place, part in enumerate(parts)
        ]
    lines += [f"{'Change' if not place else '':<8} {text}" for place, text in enumerate(_changes_in_words(answer))]
    return lines


def _batch(answer: CustomerAnswer) -> str:
    return f"; of batch {answer.batch_id}: no row is in the feature table now" if answer.batch_id else ""


def _verdict(answer: CustomerAnswer) -> str:
    expected = f"{amount(abs(answer.expected_value), answer.currency)}"
    worth = f"the customer is worth {amount(answer.customer_value, answer.currency)}"
    if answer.threshold >= 1:
        return f"{answer.decision}: {worth}, too little to repay an offer at any risk."
    pays = f"{worth}, so that an offer pays above {percent(answer.threshold)}"
    if answer.decision == TREAT:
        return f"treat: an offer is expected to earn {expected}; {pays}."
    return f"leave alone: an offer is expected to lose {expected}; {pays}."


def _prediction(answer: CustomerAnswer) -> Section:
    cards = [
        Card(
            f"churn within {answer.window_days} days",
            percent(answer.probability),
            f"the model starts from {percent(answer.starting_point)}",
        ),
        Card("decision", answer.decision, f"an offer pays above {percent(answer.threshold)}"),
        Card("expected value of an offer", amount(answer.expected_value, answer.currency)),
        Card("customer value", amount(answer.customer_value, answer.currency)),
    ]
    chart = reasons([part.words for part in answer.parts], [part.added for part in answer.parts], answer.base)
    caption = "Each value multiplies the odds of churn by its factor; together they lead exactly to the prediction."
    return Section("The prediction", [Cards(cards), Figure(chart, caption)])


def _changes(answer: CustomerAnswer) -> Section:
    rows: list[dict[str, Cell]] = [
        {
            "what": change.description,
            "now": _text(change.before),
            "changed to": _text(change.after),
            "churn probability": percent(change.probability),
            f"expected value, {answer.currency}": number(change.expected_value, 2),
            "decision": f"{change.decision}{' (flips)' if change.flips else ''}",
        }
        for change in answer.changes
    ]
    right = ["churn probability", f"expected value, {answer.currency}"]
    blocks: list[Block] = [
        Callout(
            "This is what the model says of a customer who differs in one value. It is not the effect of changing it: "
            "that customers who have a thing stay does not prove that they stay because of it.",
            "warn",
        )
    ]
    if rows:
        blocks.append(Table.of(rows, right=right))
    if not any(change.flips for change in answer.changes):
        blocks.append(Callout("No change of a single value that the business can act on flips the decision."))
    lead = "One actionable value changed at a time, to values that other customers like this one have."
    return Section("What would change it", blocks, lead)


def _values(answer: CustomerAnswer) -> Section:
    rows: list[dict[str, Cell]] = [
        {
            "feature": part.words,
            "multiplies the odds by": times(part.added),
            "actionable": part.actionable,
        }
        for part in answer.parts
    ]
    return Section("Everything the model knew", [Table.of(rows, right=["multiplies the odds by"])])


def _changes_in_words(answer: CustomerAnswer) -> Sequence[str]:
    lines = [_words(change) for change in answer.changes[:_CHANGES]]
    if not any(change.flips for change in answer.changes):
        lines.insert(0, "no single actionable value flips the decision")
    return [*lines, "(what the model says of such a customer, not the effect of changing it)"]


def _words(change: Change) -> str:
    flips = f": {change.decision}" if change.flips else ""
    changed = f"{change.description}: {_text(change.before)} → {_text(change.after)}"
    return f"{changed}, then {percent(change.probability)}{flips}"


def _text(value: str | float | None) -> str:
    return "not known" if value is None else value if isinstance(value, str) else plain(value)
