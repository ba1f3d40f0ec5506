"""What the settings make of the gate's verdict, and whom they let approve."""

from __future__ import annotations

from ..core.errors import DecisionRefused
from ..ports.ledger import Decision, Kind
from ..ports.registry import ModelVersion
from .settings import ApprovalSettings
from .situation import Situation

__all__ = ["REGISTERED_BY", "answer", "separate"]

REGISTERED_BY = "registered_by"
"""The tag that says who registered a version."""


def answer(settings: ApprovalSettings, situation: Situation, gate: Decision) -> tuple[Kind, str]:
    """Return what becomes of a version by the verdict of the gate, and why.

    What the gate refused is rejected. What it passed is approved under `auto` and waits for a person under `manual`; it
    also waits where a person rejected the version or went back from it, since no policy overrules a person.
    """
    if gate.kind == "gate_refused":
        return "rejected", gate.why
    if refusal := _refusal_by_a_person(situation, gate.version):
        verb = "went back from it" if refusal.kind == "rolled_back" else "rejected it"
        return "pending", f"{refusal.who} {verb} on {refusal.at:%Y-%m-%d}: {refusal.why}"
    if settings.policy == "manual":
        return "pending", "The policy is manual."
    return "approved", gate.why


def separate(settings: ApprovalSettings, version: ModelVersion, who: str) -> None:
    """Refuse an approval by the one who registered the version, where the settings ask for two people.

    Raises:
        DecisionRefused: it is the same person, or nobody knows who registered the version.
    """
    if not settings.separation_of_duties:
        return
    registered_by = version.tags.get(REGISTERED_BY, "").strip()
    if not registered_by:
        raise DecisionRefused(
            f"Version {version.version} of {version.name} does not say who registered it (tag `{REGISTERED_BY}`), and "
            "`approval.separation_of_duties` asks for two people: train it again, so that it says so."
        )
    if registered_by.casefold() == who.casefold():
        raise DecisionRefused(
            f"{who} registered version {version.version} of {version.name}, and `approval.separation_of_duties` leaves "
            "the approval to somebody else: let them run the same command."
        )


def _refusal_by_a_person(situation: Situation, version: int) -> Decision | None:
    """Return the last word of a person about a version, if it was no."""
    for record in reversed(situation.records):
        if record.kind == "rolled_back" and record.champion == version:
            return record
        if record.version == version and not record.by_policy:
            if record.kind == "rejected":
                return record
            if record.kind in {"approved", "rolled_back"}:
                return None
    return None
