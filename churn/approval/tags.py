"""What the tags of a version say of it, so that the registry's pages show what the ledger holds."""

from __future__ import annotations

from ..ports.ledger import Decision
from .situation import Situation

__all__ = ["APPROVAL_CHECK", "DECISION", "GATE", "is_behind", "mirrored", "settled_by"]

APPROVAL_CHECK = "Approval_Check"
"""The tag with the state of the approval: Pending, Approved or Rejected."""
DECISION = "decision"
"""The tag with the hash of the record that the state rests on: it shows when the end of the ledger was cut off.

It is written after the others."""

GATE = "gate"
"""The tag with the verdict of the newest gate: passed or refused."""

_STATES = {
    "pending": "Pending",
    "approved": "Approved",
    "promoted": "Approved",
    "rolled_back": "Approved",
    "rejected": "Rejected",
}


def mirrored(situation: Situation, version: int) -> dict[str, str]:
    """Return the tags that a version should have by the ledger; empty where the ledger knows nothing of it.

    `gate` is the verdict of the newest gate; those of its checks are in the ledger.
    """
    gate = situation.gate(version)
    tags = {GATE: gate.kind.removeprefix("gate_")} if gate else {}
    record = settled_by(situation, version)
    if record is None:
        return tags
    # Who goes back from a version has rejected it.
    state = _STATES[record.kind] if record.version == version else "Rejected"
    return {**tags, APPROVAL_CHECK: state, DECISION: record.hash}


def is_behind(situation: Situation, version: int | None) -> bool:
    """Return whether a run may have been killed before it wrote the tags of a version.

    Tags that are up to date and yet wrong were set by hand; they are left for the audit to find.
    """
    if version is None or version not in situation.versions:
        return False
    gate, record = situation.gate(version), settled_by(situation, version)
    if gate is not None and (record is None or record.sequence < gate.sequence):
        return True
    return record is not None and situation.versions[version].tags.get(DECISION) != record.hash


def settled_by(situation: Situation, version: int) -> Decision | None:
    """Return the newest record that says whether a version may be live."""
    return next((each for each in reversed(situation.records) if _is_about(each, version)), None)


def _is_about(record: Decision, version: int) -> bool:
    if record.version == version:
        return record.kind in _STATES
    return record.kind == "rolled_back" and record.champion == version
