"""The context of decisions about one registered model: ledger, registry, acting user, tags."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import ChurnError, ConfigError, StoreError
from ..ports.ledger import Decision, DecisionKind, DecisionLedger, Entry, Verdict, breaks
from ..ports.registry import ModelRegistry, ModelVersion
from ..ports.stages import StageMirror
from .settings import ApprovalSettings
from .state import DECISION, ModelState, VersionStatus, settled_by, status_of

__all__ = ["APPROVAL_CHECK", "GATE", "ApprovalContext", "is_behind", "mirrored_tags", "person", "reason"]

APPROVAL_CHECK = "Approval_Check"
"""The tag with the state of the approval: Pending, Approved or Rejected."""
GATE = "gate"
"""The tag with the verdict of the newest gate: passed or refused."""


def mirrored_tags(state: ModelState, version: int) -> dict[str, str]:
    """Return the tags that a version should have by the ledger; empty where the ledger knows nothing of it.

    `gate` is the verdict of the newest gate; those of its checks are in the ledger.
    """
    gate = state.gate(version)
    tags = {GATE: gate.kind.removeprefix("gate_")} if gate else {}
    record = settled_by(state, version)
    if record is None:
        retired = state.retirement(version)
        # What was said of the model that is gone must not be read as said of what the registry has in its place.
        return {GATE: "retired", **tags, APPROVAL_CHECK: "Retired", DECISION: retired.hash} if retired else tags
    names = {"pending": "Pending", **dict.fromkeys(("rejected", "rollout_aborted", "withdrawn"), "Rejected")}
    # Who goes back from a version has rejected it.
    approval = names.get(record.kind, "Approved") if record.version == version else "Rejected"
    return {**tags, APPROVAL_CHECK: approval, DECISION: record.hash}


def is_behind(state: ModelState, version: int | None) -> bool:
    """Return whether a run may have been killed before it wrote the tags of a version.

    Tags that are up to date and yet wrong were set by hand; they are left for the audit to find.
    """
    if version is None or version not in state.versions:
        return False
    gate, record = state.gate(version), settled_by(state, version)
    if gate is not None and (record is None or record.sequence < gate.sequence):
        return True
    record = record or state.retirement(version)
    return record is not None and state.versions[version].tags.get(DECISION) != record.hash


@dataclass(frozen=True)
class ApprovalContext:
    """The ports and the rules by which versions of one model go live.

    Attributes:
        registry: Where the versions and their aliases are.
        ledger: The record of decisions, which counts where the registry says otherwise.
        stages: What the model control plane shows.
        model: The registered model.
        settings: Who approves, and for how long that holds.
        clock: Tells the time, in UTC.
        verify: Fetches a version below a folder and checks every file against its registered digest; raises ModelError
            or StoreError.
    """

    registry: ModelRegistry
    ledger: DecisionLedger
    stages: StageMirror
    model: str
    settings: ApprovalSettings
    clock: Callable[[], dt.datetime]
    verify: Callable[[ModelVersion, Path], None]

    def read(self) -> ModelState:
        """Read the ledger and the registry.

        Raises:
            StoreError: one of them does not answer, or the chain of the ledger does not hold.
        """
        state = self.state_of(self._records())
        # Somebody may have decided, and tagged, between the two readings.
        return self.state_of(self._records()) if state.unrecorded else state

    def _records(self) -> list[Decision]:
        records = self.ledger.read()
        if broken := next(breaks(records), None):
            raise StoreError(
                f"The ledger cannot be trusted, so that nothing is decided: {broken} `python run.py audit` names every "
                "such place. Restore the table `decisions` to its last good version, or move it away to begin anew."
            )
        return records

    def state_of(self, records: list[Decision]) -> ModelState:
        """Return the state by these records and by what the registry says now."""
        versions = {version.version: version for version in self.registry.versions(self.model)}
        return ModelState(self.model, tuple(records), versions)

    def status(self, version: int, state: ModelState | None = None) -> VersionStatus:
        """Return whether a version may become the champion, and why, by `state` or as it is now; see `status_of`."""
        return status_of(state or self.read(), version, self.settings, self.clock())

    def package_fault(self, version: ModelVersion) -> str | None:
        """Return what is wrong with the files of a version, or None; nothing of them is executed."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.verify(version, Path(folder))
            except ChurnError as error:
                return str(error)
        return None

    def write(
        self,
        state: ModelState,
        kind: DecisionKind,
        version: int,
        *,
        who: str,
        why: str,
        champion: int | None,
        digests: Mapping[str, str],
        numbers: Mapping[str, float] | None = None,
        verdicts: Mapping[str, Verdict] | None = None,
    ) -> ModelState:
        """Append a record to the ledger to which `state` belongs, and return the state with it.

        Raises:
            WriteConflict: the ledger has gone on since.
            StoreError: the ledger refuses; nothing was written.
        """
        entry = Entry(
            kind=kind,
            model=self.model,
            version=version,
            champion=champion,
            at=self.clock(),
            who=who,
            why=why,
            numbers=dict(numbers or {}),
            verdicts=dict(verdicts or {}),
            digests=dict(digests),
        )
        last = state.ledger[-1].hash if state.ledger else ""
        return replace(state, ledger=(*state.ledger, self.ledger.append(entry, after=last)))

    def tag(self, state: ModelState, *versions: int | None) -> None:
        """Let the tags of versions say what the ledger says of them; those that are gone have none."""
        for number in versions:
            if number is not None and number in state.versions:
                present = state.versions[number].tags.items()
                if missing := dict(tag for tag in mirrored_tags(state, number).items() if tag not in present):
                    self.registry.set_tags(self.model, number, missing)


def person(name: str) -> str:
    """Return the name of a person who decides.

    Raises:
        ConfigError: it is empty, no text, or one that the policies sign with.
    """
    cleaned = _words(name)
    if not cleaned:
        raise ConfigError("A decision needs the name of a person: give it with --as NAME.")
    if cleaned.lower().startswith("policy:"):
        raise ConfigError(f"{cleaned!r} is how the settings sign their decisions: give the name of a person with --as.")
    return cleaned


def reason(text: str) -> str:
    """Return the reason of a decision.

    Raises:
        ConfigError: it is empty or no text.
    """
    cleaned = _words(text)
    if not cleaned:
        raise ConfigError('A decision needs a reason that others can read later: give it with --reason "…".')
    return cleaned


def _words(text: str) -> str:
    """Return the text on one line; what a terminal would take for a command is left out."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{text!r} is not valid text: type it in UTF-8.") from error
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
