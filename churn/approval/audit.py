"""The audit: does the chain of the ledger hold, and does the registry show what the ledger says?"""

from __future__ import annotations

from collections.abc import Iterator

from ..core.frozen import Frozen
from ..ports.ledger import breaks
from ..ports.registry import CHAMPION, PREVIOUS_CHAMPION
from .context import APPROVAL_CHECK, DECISION, GATE, ApprovalContext, mirrored_tags
from .state import ModelState

__all__ = ["Audit", "Finding", "audit"]

_ROLLBACK = '`python run.py rollback --reason "…"`'


class Finding(Frozen):
    """Something that does not fit."""

    subject: str
    problem: str
    remedy: str


class Audit(Frozen):
    """What was looked at, and what does not fit; nothing where `findings` is empty."""

    model: str
    records: int
    versions: int
    findings: tuple[Finding, ...]


def audit(context: ApprovalContext) -> Audit:
    """Hold the whole ledger against itself, and what it says of the model against the registry. Nothing is written.

    Raises:
        StoreError: the registry or the ledger does not answer.
    """
    state = context.state_of(context.ledger.read())
    while (records := context.ledger.read()) != list(state.ledger):  # somebody decided between the two readings
        state = context.state_of(records)
    findings = [
        *(_broken(what) for what in breaks(records)),
        *_unfinished(state),
        *_unapproved(state),
        *_aliases(state),
        *(finding for version in state.versions for finding in _tags(state, version)),
        *_models(state),
    ]
    return Audit(model=state.model, records=len(records), versions=len(state.versions), findings=tuple(findings))


def _broken(what: str) -> Finding:
    return Finding(
        subject="ledger",
        problem=what,
        remedy="Nothing is decided until the table `decisions` is restored to its last good version, or moved away to "
        "begin anew.",
    )


def _unfinished(state: ModelState) -> Iterator[Finding]:
    if begun := state.unfinished:
        what = begun.kind.removesuffix("_begun")
        yield Finding(
            subject=f"record {begun.sequence}",
            problem=f"The {what} to version {begun.version} by {begun.who} was begun on {begun.at:%Y-%m-%d %H:%M} UTC "
            "and not ended: a run is at it, or was killed.",
            remedy="The next deployment, approval or rollback completes it.",
        )


def _unapproved(state: ModelState) -> Iterator[Finding]:
    approved = set()
    for record in state.records:
        if record.kind == "approved":
            approved.add(record.version)
        if record.kind == "promoted" and record.version not in approved:
            yield Finding(
                subject=f"record {record.sequence}",
                problem=f"Version {record.version} was promoted without an approval on record.",
                remedy=f"Look into who wrote the record; {_ROLLBACK} goes back to the version before.",
            )


def _aliases(state: ModelState) -> Iterator[Finding]:
    if state.unfinished:
        return  # they are on their way
    line = state.lineage
    expected = {CHAMPION: state.live, PREVIOUS_CHAMPION: state.predecessor(line) if line else None}
    for alias, version in expected.items():
        named = state.by_alias(alias)
        present = named.version if named else None
        if present != version:
            yield Finding(
                subject=f"@{alias}",
                problem=f"It names {_version(present)}, and by the ledger it should name {_version(version)}: it was "
                "moved without a decision.",
                remedy=f"{_ROLLBACK} puts it back, and leaves a record."
                if alias == CHAMPION and state.live is not None
                else "Correct it in the MLflow UI (`python run.py ui`); no decision rests on it.",
            )


def _tags(state: ModelState, version: int) -> Iterator[Finding]:
    expected, present = mirrored_tags(state, version), state.versions[version].tags
    hashes = {record.hash for record in state.ledger}
    # Earlier versions of this project had a tag a check, and none with the verdict of the whole gate.
    earlier = {GATE} if GATE not in present and any(name.startswith("gate.") for name in present) else set()
    for name in sorted({APPROVAL_CHECK, *expected} - {DECISION} - earlier):
        if present.get(name) != expected.get(name):
            yield Finding(
                subject=f"version {version}",
                problem=f"Its tag {name} is {present.get(name, 'missing')!r}, and by the ledger it should be "
                f"{expected.get(name, 'missing')!r}: it was set without a decision, and counts for nothing.",
                remedy="Correct the tag in the MLflow UI (`python run.py ui`).",
            )
    if DECISION in present and present[DECISION] not in hashes:
        yield Finding(
            subject=f"version {version}",
            problem=f"Its tag {DECISION} names a record that the ledger does not hold: records were cut off, or the "
            "whole ledger was written anew.",
            remedy="Restore the table `decisions` to its last good version.",
        )


def _models(state: ModelState) -> Iterator[Finding]:
    """Yield the versions that were judged and are gone, or are another model now."""
    judged = {record.version: record for record in state.records if record.digests.get("model")}
    for version, record in judged.items():
        if version not in state.versions:
            yield Finding(
                subject=f"version {version}",
                problem=f"The ledger knows it (record {record.sequence}), and the registry has it no more.",
                remedy="Keep versions that were judged: without them a decision cannot be understood later.",
            )
        elif state.digest(version) != record.digests["model"]:
            yield Finding(
                subject=f"version {version}",
                problem=f"Its model digest is {state.digest(version)!r}, and record {record.sequence} was about "
                f"{record.digests['model']!r}.",
                remedy="Do not trust it: register the model anew, and let the gate judge that version.",
            )


def _version(number: int | None) -> str:
    return "nothing" if number is None else f"version {number}"
