"""The audit: does the chain of the ledger hold, and does the registry show what the ledger says?"""

from __future__ import annotations

from collections.abc import Iterator

from ..core.frozen import Frozen
from ..ports.ledger import breaks
from ..ports.registry import CHAMPION, PREVIOUS_CHAMPION
from .governance import Governance
from .situation import Situation
from .tags import APPROVAL_CHECK, DECISION, GATE, mirrored

__all__ = ["Audit", "Finding", "audit"]

_ROLLBACK = '`python run.py rollback --reason "…"`'


class Finding(Frozen):
    """Something that does not fit."""

    subject: str
    found: str
    remedy: str


class Audit(Frozen):
    """What was looked at, and what does not fit; nothing where `findings` is empty."""

    model: str
    records: int
    versions: int
    findings: tuple[Finding, ...]


def audit(governance: Governance) -> Audit:
    """Hold the whole ledger against itself, and what it says of the model against the registry. Nothing is written.

    Raises:
        StoreError: the registry or the ledger does not answer.
    """
    situation = governance.beside(governance.ledger.read())
    while (records := governance.ledger.read()) != list(situation.ledger):  # somebody decided between the two looks
        situation = governance.beside(records)
    findings = [
        *(_broken(what) for what in breaks(records)),
        *_unfinished(situation),
        *_unapproved(situation),
        *_aliases(situation),
        *(finding for version in situation.versions for finding in _tags(situation, version)),
        *_models(situation),
    ]
    return Audit(
        model=situation.model, records=len(records), versions=len(situation.versions), findings=tuple(findings)
    )


def _broken(what: str) -> Finding:
    return Finding(
        subject="ledger",
        found=what,
        remedy="Nothing is decided until the table `decisions` is restored to its last good version, or moved away to "
        "begin anew.",
    )


def _unfinished(situation: Situation) -> Iterator[Finding]:
    if begun := situation.unfinished:
        what = begun.kind.removesuffix("_begun")
        yield Finding(
            subject=f"record {begun.sequence}",
            found=f"The {what} to version {begun.version} by {begun.who} was begun on {begun.at:%Y-%m-%d %H:%M} UTC "
            "and not ended: a run is at it, or was killed.",
            remedy="The next deployment, approval or rollback completes it.",
        )


def _unapproved(situation: Situation) -> Iterator[Finding]:
    approved = set()
    for record in situation.records:
        if record.kind == "approved":
            approved.add(record.version)
        if record.kind == "promoted" and record.version not in approved:
            yield Finding(
                subject=f"record {record.sequence}",
                found=f"Version {record.version} was promoted without an approval on record.",
                remedy=f"Look into who wrote the record; {_ROLLBACK} goes back to the version before.",
            )


def _aliases(situation: Situation) -> Iterator[Finding]:
    if situation.unfinished:
        return  # they are on their way
    line = situation.lineage
    expected = {CHAMPION: situation.live, PREVIOUS_CHAMPION: situation.predecessor(line) if line else None}
    for alias, version in expected.items():
        named = situation.named(alias)
        there = named.version if named else None
        if there != version:
            yield Finding(
                subject=f"@{alias}",
                found=f"It names {_version(there)}, and by the ledger it should name {_version(version)}: it was moved "
                "without a decision.",
                remedy=f"{_ROLLBACK} puts it back, and leaves a record."
                if alias == CHAMPION and situation.live is not None
                else "Correct it in the MLflow UI (`python run.py ui`); no decision rests on it.",
            )


def _tags(situation: Situation, version: int) -> Iterator[Finding]:
    wanted, there = mirrored(situation, version), situation.versions[version].tags
    hashes = {record.hash for record in situation.ledger}
    # Earlier versions of this project had a tag a check, and none with the verdict of the whole gate.
    earlier = {GATE} if GATE not in there and any(name.startswith("gate.") for name in there) else set()
    for name in sorted({APPROVAL_CHECK, *wanted} - {DECISION} - earlier):
        if there.get(name) != wanted.get(name):
            yield Finding(
                subject=f"version {version}",
                found=f"Its tag {name} is {there.get(name, 'missing')!r}, and by the ledger it should be "
                f"{wanted.get(name, 'missing')!r}: it was set without a decision, and counts for nothing.",
                remedy="Correct the tag in the MLflow UI (`python run.py ui`).",
            )
    if DECISION in there and there[DECISION] not in hashes:
        yield Finding(
            subject=f"version {version}",
            found=f"Its tag {DECISION} names a record that the ledger does not hold: records were cut off, or the "
            "whole ledger was written anew.",
            remedy="Restore the table `decisions` to its last good version.",
        )


def _models(situation: Situation) -> Iterator[Finding]:
    """Yield the versions that were judged and are gone, or are another model now."""
    judged = {record.version: record for record in situation.records if record.digests.get("model")}
    for version, record in judged.items():
        if version not in situation.versions:
            yield Finding(
                subject=f"version {version}",
                found=f"The ledger knows it (record {record.sequence}), and the registry has it no more.",
                remedy="Keep versions that were judged: without them a decision cannot be understood later.",
            )
        elif situation.digest(version) != record.digests["model"]:
            yield Finding(
                subject=f"version {version}",
                found=f"Its model digest is {situation.digest(version)!r}, and record {record.sequence} was about "
                f"{record.digests['model']!r}.",
                remedy="Do not trust it: register the model anew, and let the gate judge that version.",
            )


def _version(number: int | None) -> str:
    return "nothing" if number is None else f"version {number}"
