"""What was decided about a version, as sections of a page: its standing in the ledger, and how a deployment ended."""

from __future__ import annotations

from churn.approval.standing import Standing
from churn.lifecycle.outcome import Deployment
from churn.ports.ledger import Decision

from .page import Block, Callout, Cell, Definitions, Section, Tone

__all__ = ["deployment_section", "standing_section"]

_STANDINGS: dict[str, Tone] = {"approved": "good", "pending": "warn"}
_OUTCOMES: dict[str, Tone] = {"promoted": "good", "unchanged": "plain", "waiting": "warn"}


def standing_section(standing: Standing) -> Section:
    """Return whether a version may be promoted, and the records that this rests on."""
    blocks: list[Block] = [Callout(standing.why, _STANDINGS.get(standing.state, "bad"))]
    for name, record in (("gate", standing.gate), ("decision", standing.decision)):
        if record is not None:
            blocks.append(Definitions(_record(name, record)))
    lead = "What the ledger says of the version; a tag without its record in the ledger counts for nothing."
    return Section(f"{standing.state.capitalize()}: version {standing.version}", blocks, lead)


def _record(name: str, record: Decision) -> dict[str, Cell]:
    return {
        name: record.kind.replace("_", " "),
        "by": record.who,
        "at": f"{record.at:%Y-%m-%d %H:%M} UTC",
        "because": record.why,
        "held against": "no champion" if record.champion is None else f"version {record.champion}",
        "record": f"{record.sequence}, hash {record.hash}",
    }


def deployment_section(outcome: Deployment) -> Section:
    """Return what a deployment run changed, and what is live now."""
    facts: dict[str, Cell] = {
        "live now (@Champion)": "no version" if outcome.champion is None else f"version {outcome.champion}",
        "live before this run": None if outcome.previous is None else f"version {outcome.previous}",
    }
    verdict = Callout(outcome.sentence, _OUTCOMES.get(outcome.state, "bad"))
    return Section(outcome.state.capitalize(), [verdict, *map(Callout, outcome.notes), Definitions(facts)])
