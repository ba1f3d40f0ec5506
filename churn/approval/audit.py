"""The audit: checks the hash chain of the ledger, and compares registry, packages and reports with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from pydantic import Field

from ..core.errors import ConfigError, NotFound
from ..core.frozen import Frozen
from ..ports.ledger import Decision, breaks
from ..ports.registry import CHAMPION, PREVIOUS_CHAMPION
from .context import APPROVAL_CHECK, GATE, ApprovalContext, mirrored_tags
from .state import DECISION, GATE_KINDS, ModelState, digest_in

__all__ = ["Audit", "Finding", "audit"]

_SHORTEST_HASH = 8
_CLOCKS_DIFFER = dt.timedelta(minutes=5)
"""What clocks of two machines may differ by."""
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
    reports: int = Field(description="Reports of the gate that were read.")
    head: str = Field(description="The hash of the newest record; empty in a ledger without any.")
    findings: tuple[Finding, ...]


def audit(
    context: ApprovalContext,
    *,
    report_fault: Callable[[str], str | None],
    expect: str | None = None,
) -> Audit:
    """Hold the whole ledger against itself, and what it says of the model against everything else. Nothing is written.

    Args:
        context: Whose ledger it is.
        report_fault: Says what is wrong with the report of the gate that has this digest; None where nothing is.
        expect: The hash of a record, kept elsewhere: the ledger must still hold it. At least 8 characters.

    Raises:
        ConfigError: `expect` is too short.
        NotFound: neither the ledger nor the registry knows the model.
        StoreError: the registry or the ledger does not answer.
    """
    if expect is not None and len(expect) < _SHORTEST_HASH:
        raise ConfigError(f"--expect {expect!r} is too short: give the hash that `run.py audit` printed.")
    state = context.state_of(context.ledger.read())
    while (records := context.ledger.read()) != list(state.ledger):  # somebody decided between the two readings
        state = context.state_of(records)
    if not state.records and not state.versions:
        raise NotFound(
            f"Neither the ledger nor the registry knows a model {state.model!r}: `python run.py models` lists the "
            "versions of the data set's own, and --model NAME names another."
        )
    gates = {record.digests["gate_report"]: record for record in state.records if record.kind in GATE_KINDS}
    findings = [
        *(_broken(what) for what in breaks(records)),
        *_kept_elsewhere(records, expect),
        *_backwards(records),
        *_unfinished(state),
        *_unapproved(state),
        *_aliases(state),
        *(finding for version in state.versions for finding in _tags(state, version)),
        *_models(state),
        *_faulty(
            (
                (f"version {number}", context.package_fault(version))
                for number, version in state.versions.items()
                if state.retirement(number) is None or state.records_of(number)
            ),
            "Restore its files from a backup of the registry's artifacts. `python run.py --pipeline training` "
            "registers a whole one anew.",
        ),
        *_faulty(
            ((f"record {record.sequence}", report_fault(digest)) for digest, record in gates.items()),
            "Restore the table `gate_reports` to its last good version: the decision cannot be understood without it.",
        ),
    ]
    return Audit(
        model=state.model,
        records=len(records),
        versions=len(state.versions),
        reports=len(gates),
        head=records[-1].hash if records else "",
        findings=tuple(findings),
    )


def _kept_elsewhere(records: list[Decision], expect: str | None) -> Iterator[Finding]:
    if expect is not None and not any(record.hash.startswith(expect) for record in records):
        yield Finding(
            subject="ledger",
            problem=f"It holds no record with the hash {expect}, which was kept elsewhere: records were cut off, or "
            "the whole ledger was written anew.",
            remedy="Restore the table `decisions` to its last good version, and find out who could write it.",
        )


def _backwards(records: list[Decision]) -> Iterator[Finding]:
    """Yield the records that are older than the one before them by more than clocks of two machines differ."""
    for before, record in pairwise(records):
        if before.at - record.at > _CLOCKS_DIFFER:
            yield Finding(
                subject=f"record {record.sequence}",
                problem=f"It is of {record.at:%Y-%m-%d %H:%M} UTC, and the record before it of "
                f"{before.at:%Y-%m-%d %H:%M} UTC: a clock was wrong, or set back.",
                remedy="Look into who wrote it and when; the order of the records holds all the same.",
            )


def _faulty(faults: Iterable[tuple[str, str | None]], remedy: str) -> Iterator[Finding]:
    """Yield a finding for each subject with which something is wrong."""
    for subject, fault in faults:
        if fault:
            yield Finding(subject=subject, problem=fault, remedy=remedy)


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
        if record.kind in {"promoted", "rollout_started"} and record.version not in approved:
            yield Finding(
                subject=f"record {record.sequence}",
                problem=f"Version {record.version} was "
                f"{'promoted' if record.kind == 'promoted' else 'rolled out'} without an approval on record.",
                remedy=f"Look into who wrote the record; {_ROLLBACK} goes back to the version before, and "
                '`python run.py rollout abort --reason "…"` ends a rollout.',
            )


def _aliases(state: ModelState) -> Iterator[Finding]:
    if state.unfinished:
        return  # they are on their way
    expected = {CHAMPION: state.live, PREVIOUS_CHAMPION: state.previous}
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
    if version in state.unrecorded:
        yield Finding(
            subject=f"version {version}",
            problem=f"Its tag {DECISION} names a record that the ledger does not hold: records were cut off, or the "
            "whole ledger was written anew.",
            remedy="Nothing acts by this ledger: restore the table `decisions` to its last good version, or, where it "
            "was begun anew on purpose, remove that tag in the MLflow UI (`python run.py ui`).",
        )


def _models(state: ModelState) -> Iterator[Finding]:
    """Yield the versions that the ledger is about and that are gone, or are another model now."""
    for version in sorted({record.version for record in state.records}):
        about = [record for record in state.records_of(version) if record.version == version]
        if version not in state.versions and state.recorded_digest(version):
            yield Finding(
                subject=f"version {version}",
                problem=f"The ledger knows it (record {about[-1].sequence}), and the registry has it no more.",
                remedy="Keep versions that were judged: without them a decision cannot be understood later. Restore it "
                f'from a backup, or declare it gone: `python run.py retire --version {version} --reason "…"`.',
            )
        elif record := state.contradiction(version):
            yield Finding(
                subject=f"version {version}",
                problem=f"Its model digest is {state.digest(version) or 'missing'}, and record {record.sequence} was "
                f"about {digest_in(record, version)}.",
                remedy="Nothing acts on this registry: restore it from a backup, or declare the old model gone: "
                f'`python run.py retire --version {version} --reason "…"`; the gate then judges what is there.',
            )


def _version(number: int | None) -> str:
    return "nothing" if number is None else f"version {number}"
