"""The state of one model: ledger and registry compared, and the status of each version that follows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from pydantic import Field

from ..core.errors import DecisionRefused, NotFound
from ..core.frozen import Frozen
from ..ports.ledger import Decision, DecisionKind
from ..ports.registry import CHALLENGER, CHAMPION, MODEL_DIGEST, ModelVersion
from .settings import ApprovalSettings

__all__ = [
    "DECISION",
    "GATE_KINDS",
    "REGISTERED_BY",
    "LivePeriod",
    "ModelState",
    "VersionStatus",
    "check_separation_of_duties",
    "digest_in",
    "policy_answer",
    "settled_by",
    "status_of",
    "succeeded",
]

DECISION = "decision"
"""The tag with the hash of the record that the state rests on: it shows when the end of the ledger was cut off.

It is written after the others."""
REGISTERED_BY = "registered_by"
"""The tag that says who registered a version."""
ApprovalState = Literal["none", "pending", "approved", "rejected", "lapsed"]


@dataclass(frozen=True)
class LivePeriod:
    """A time during which one version was the champion; `until` is None for the one that is live now."""

    version: int
    since: dt.datetime
    until: dt.datetime | None
    who: str
    why: str


def succeeded(line: tuple[int, ...], version: int, *, back: bool) -> tuple[int, ...]:
    """Return the lineage after `version` has become the champion: by going `back` to it, or forward."""
    if back and version in line:
        newest = len(line) - line[::-1].index(version)
        return line[:newest]
    return (*line, version)


_BEGUN = {"promotion_begun", "rollback_begun"}
_CHANGED = {"promoted", "rolled_back"}
_GONE = {"retired", "withdrawn"}
GATE_KINDS = {"gate_passed", "gate_refused"}
_REJECTED = {"rejected": "Rejected", "rollout_aborted": "Its rollout was aborted", "withdrawn": "Taken back"}
"""The records of a version that keep it from going live, in words."""
_ROLLBACK = '`python run.py rollback --reason "…"`'


@dataclass(frozen=True)
class ModelState:
    """The records and the versions of one model.

    Attributes:
        model: The registered model.
        ledger: Every record, those of other models too, in order.
        versions: The versions in the registry, by number.
    """

    model: str
    ledger: tuple[Decision, ...]
    versions: Mapping[int, ModelVersion]

    @cached_property
    def records(self) -> tuple[Decision, ...]:
        """The records of this model, in order."""
        return tuple(record for record in self.ledger if record.model == self.model)

    @cached_property
    def history(self) -> tuple[LivePeriod, ...]:
        """What was live when, oldest first."""
        periods: list[LivePeriod] = []
        for record in self.records:
            ended = periods and periods[-1].until is None
            if ended and (record.kind in _CHANGED or (record.kind in _GONE and record.version == periods[-1].version)):
                periods[-1] = replace(periods[-1], until=record.at)
            if record.kind in _CHANGED:
                periods.append(LivePeriod(record.version, record.at, None, record.who, record.why))
        return tuple(periods)

    @cached_property
    def lineage(self) -> tuple[int, ...]:
        """The champions that led to the one that is live, which comes last unless it was retired or withdrawn.

        A version that was rolled back from is not among them: after 1, 2, 3 and a rollback the lineage is 1, 2, so that
        the next rollback goes to 1. Neither is one that was retired.
        """
        line: tuple[int, ...] = ()
        for record in self.records:
            if record.kind in _CHANGED:
                line = succeeded(line, record.version, back=record.kind == "rolled_back")
            elif record.kind in _GONE:
                line = tuple(version for version in line if version != record.version)
        return line

    @property
    def live(self) -> int | None:
        """The version that is live by the ledger, whether or not the registry has it; None where none is."""
        return self.history[-1].version if self.history and self.history[-1].until is None else None

    @property
    def unfinished(self) -> Decision | None:
        """The change of the champion that was begun and not ended, by a run that is at it or was killed."""
        changes = [record for record in self.records if record.kind in _BEGUN or "begun" in record.digests]
        return changes[-1] if changes and changes[-1].kind in _BEGUN else None

    @property
    def named_champion(self) -> int | None:
        """The number of the version that `@Champion` names, whatever the ledger says; None where it names none."""
        version = self.by_alias(CHAMPION)
        return None if version is None else version.version

    @property
    def champion(self) -> ModelVersion | None:
        """The version that is live; None where none is.

        Raises:
            DecisionRefused: the registry has another model than the ledger knows, or no longer has the one that is
                live, or `@Champion` names another version than the ledger, or none: somebody moved it.
        """
        self.require_recorded_models()
        if self.live is not None and self.live not in self.versions:
            back = f"go back to version {self.previous} ({_ROLLBACK}), " if self.previous is not None else ""
            raise DecisionRefused(
                f"Version {self.live} of {self.model} is live by the ledger, and the registry has it no more. Restore "
                f"it from a backup of the registry, {back}or declare it gone ({self._retire(self.live)}); only then is "
                "the next version judged as a first one."
            )
        if self.named_champion == self.live:
            return self.by_alias(CHAMPION)
        by_ledger = f"version {self.live}" if self.live else "no version"
        by_registry = f"version {self.named_champion}" if self.named_champion else "nothing"
        raise DecisionRefused(
            f"@{CHAMPION} of {self.model} names {by_registry}, and {by_ledger} is live by the ledger: it was moved "
            f"without a decision. `python run.py audit` shows what does not fit; {self._way_back}."
        )

    def records_of(self, version: int) -> tuple[Decision, ...]:
        """Return the records about a version, decided about or live, since it was last retired."""
        about = [record for record in self.records if version in {record.version, record.champion}]
        retired = self.retirement(version)
        return tuple(record for record in about if retired is None or record.sequence > retired.sequence)

    def retirement(self, version: int) -> Decision | None:
        """Return the record that last retired a version; None where none did."""
        newest = reversed(self.records)
        return next((record for record in newest if record.version == version and record.kind == "retired"), None)

    def recorded_digest(self, version: int) -> str:
        """Return the digest of the model that the newest record of a version is about; empty where none is."""
        return next(filter(None, (digest_in(record, version) for record in reversed(self.records_of(version)))), "")

    @cached_property
    def former_champions(self) -> tuple[int, ...]:
        """The versions that were live at some time and were not retired since, by number."""
        versions = sorted({period.version for period in self.history})
        return tuple(v for v in versions if any(r.kind in _CHANGED and r.version == v for r in self.records_of(v)))

    def contradiction(self, version: int) -> Decision | None:
        """Return the first record that is about another model than the registry has as that version; None if none is.

        A version that the registry does not have contradicts nothing.
        """
        if version not in self.versions:
            return None
        digest = self.digest(version)
        return next((r for r in self.records_of(version) if digest_in(r, version) not in {"", digest}), None)

    @cached_property
    def unrecorded(self) -> tuple[int, ...]:
        """The versions whose tag `decision` names a record that the ledger does not hold."""
        hashes = {"", *(record.hash for record in self.ledger)}
        return tuple(number for number in self.versions if self.versions[number].tags.get(DECISION, "") not in hashes)

    def require_whole_ledger(self) -> None:
        """Refuse to act by a ledger that lacks records which the registry knows of.

        Raises:
            DecisionRefused: naming a version, the record, and the remedy.
        """
        for version in self.unrecorded:
            raise DecisionRefused(
                f"The tag `{DECISION}` of version {version} of {self.model} names a record "
                f"({self.versions[version].tags[DECISION][:12]}) that the ledger does not hold: records were cut off, "
                "or the ledger is another one or an older copy. Nothing acts by it: restore the table `decisions` to "
                "its last good version, or, where it was begun anew on purpose, remove that tag in the MLflow UI "
                "(`python run.py ui`). `python run.py audit` names every such version."
            )

    def require_recorded_models(self) -> None:
        """Refuse to act where registry and ledger are not about the same models and decisions.

        Raises:
            DecisionRefused: a version is another model than a record is about, or names a record that is not there; it
                says which, and the remedy.
        """
        self.require_whole_ledger()
        for version in self.versions:
            record = self.contradiction(version)
            if record is not None:
                raise DecisionRefused(
                    f"Version {version} of {self.model} in the registry is another model than the ledger knows: its "
                    f"digest is {self.digest(version)[:12] or 'missing'}, and record {record.sequence} "
                    f"({record.kind}, {_day(record.at)}) is about {digest_in(record, version)[:12]}. Nothing acts on "
                    "this registry: restore it from a backup, or, if it was lost and made anew, declare the old model "
                    f"gone: {self._retire(version)}. `python run.py audit` names every such version."
                )

    def _retire(self, version: int) -> str:
        return f'`python run.py retire --version {version} --reason "…"`'

    @property
    def challenger(self) -> ModelVersion | None:
        """The candidate, the version that `@Challenger` names; None where it names none."""
        return self.by_alias(CHALLENGER)

    def by_alias(self, alias: str) -> ModelVersion | None:
        """Return the version that an alias names."""
        return next((version for version in self.versions.values() if alias in version.aliases), None)

    def version(self, number: int) -> ModelVersion:
        """Return a version.

        Raises:
            NotFound: the registry has no such version, or none at all.
        """
        if number in self.versions:
            return self.versions[number]
        if not self.versions and self.records:
            raise NotFound(
                f"The registry has no version of {self.model} any more, and the ledger has {len(self.records)} records "
                f"of it: restore the registry from a backup, or declare each version gone ({self._retire(number)})."
            )
        if not self.versions:
            raise NotFound(
                f"There is no registered model {self.model!r}: run `python run.py --pipeline training` first, or name "
                "another with --model NAME."
            )
        numbers = ", ".join(map(str, self.versions))
        raise NotFound(f"{self.model} has no version {number}; it has {numbers}. `python run.py models` lists them.")

    def candidate(self, number: int | None) -> ModelVersion:
        """Return a version, or without a number the challenger.

        Raises:
            DecisionRefused: the registry has other models than the ledger is about.
            NotFound: there is no such version, or no challenger.
        """
        self.require_recorded_models()
        if number is not None:
            return self.version(number)
        if self.challenger is None:
            raise NotFound(
                f"{self.model} has no @{CHALLENGER}: run `python run.py --pipeline training` first, or name a version "
                "with --version N."
            )
        return self.challenger

    def digest(self, number: int | None) -> str:
        """Return the digest of what a version does; empty where there is no such version, or it never had one."""
        version = None if number is None else self.versions.get(number)
        return "" if version is None else version.tags.get(MODEL_DIGEST, "")

    def predecessor(self, line: tuple[int, ...]) -> int | None:
        """Return the version of a lineage, still in the registry, that a rollback from its last one goes to."""
        before = reversed(line[:-1])
        return next((version for version in before if version in self.versions and version != line[-1]), None)

    @property
    def previous(self) -> int | None:
        """The version that a rollback goes to from the one that is live, or was until it was retired."""
        return self.predecessor(self.lineage if self.live is not None else (*self.lineage, -1))

    def gate(self, version: int) -> Decision | None:
        """Return the newest verdict of the gate on a version."""
        about = reversed(self.records_of(version))
        return next((record for record in about if record.version == version and record.kind in GATE_KINDS), None)

    @property
    def _way_back(self) -> str:
        if self.live in self.versions or self.previous is not None:
            return f"{_ROLLBACK} puts it back"
        return "no version was ever live by a decision, so remove the alias in the MLflow UI (`python run.py ui`)"


def digest_in(record: Decision, version: int) -> str:
    """Return the digest of a version that a record is about; empty where it has none."""
    return record.digests.get("model" if record.version == version else "champion", "")


def settled_by(state: ModelState, version: int) -> Decision | None:
    """Return the newest record that says whether a version may be live."""
    settling = {"pending", "approved", "rejected", "promoted", "rolled_back", "rollout_aborted", "withdrawn"}
    for record in reversed(state.records_of(version)):
        if record.version == version and record.kind in settling:
            return record
        if record.kind == "rolled_back" and record.champion == version:
            return record
    return None


class VersionStatus(Frozen):
    """What the ledger says of a version at one moment."""

    model: str
    version: int
    state: ApprovalState
    why: str = Field(description="A sentence for who reads the state.")
    gate: Decision | None = Field(default=None, description="The newest verdict of the gate on it.")
    decision: Decision | None = Field(default=None, description="The record that the state rests on.")


def status_of(state: ModelState, version: int, settings: ApprovalSettings, now: dt.datetime) -> VersionStatus:
    """Return whether a version may become the champion, and why.

    An approval is bound to one report of the gate, to the model that was judged and to the champion it was held
    against. It lapses when the champion changes, when either model is another than the digests say, and after
    `expires_after_days`; the gate must then run again. The version that is live is approved.

    Raises:
        NotFound: the registry has no such version.
    """
    state.version(version)
    if record := state.contradiction(version):
        why = f"The registry has another model under this number than the one of record {record.sequence}."
        return VersionStatus(model=state.model, version=version, state="lapsed", why=why)
    gate, decision = state.gate(version), settled_by(state, version)
    lapsed = next(_lapses(state, gate, decision, settings, now), None) if gate and decision else None
    approval, why = _approval(state, version, gate, decision, lapsed)
    return VersionStatus(model=state.model, version=version, state=approval, why=why, gate=gate, decision=decision)


def _approval(
    state: ModelState, version: int, gate: Decision | None, decision: Decision | None, lapsed: str | None
) -> tuple[ApprovalState, str]:
    if state.live == version:
        return "approved", f"Live since {_day(state.history[-1].since)}."
    answered = decision is not None and (gate is None or gate.sequence < decision.sequence)
    if decision is not None and answered and (decision.kind in _REJECTED or decision.version != version):
        verb = _REJECTED.get(decision.kind, "Taken back")
        return "rejected", f"{verb} by {decision.who} on {_day(decision.at)}: {decision.why}"
    if gate is None or decision is None or not answered:
        return "none", _unanswered(gate)
    if lapsed:
        return "lapsed", lapsed
    if decision.kind == "pending":
        return "pending", f"It passed the gate on {_day(gate.at)} and waits for a person. {decision.why}"
    return "approved", f"Approved by {decision.who} on {_day(decision.at)}: {decision.why}"


def _unanswered(gate: Decision | None) -> str:
    if gate is None:
        return "The gate has not judged it."
    return f"The gate judged it on {_day(gate.at)}, and the run ended before the policy answered."


def _lapses(
    state: ModelState, gate: Decision, decision: Decision, settings: ApprovalSettings, now: dt.datetime
) -> Iterator[str]:
    """Yield why what was decided no longer holds."""
    judged, live = f"The gate of {_day(gate.at)}", _named(state.live)
    later = {record.kind for record in state.records if record.sequence > gate.sequence}
    if gate.champion != state.live or later & _CHANGED:
        yield f"{judged} held it against {_named(gate.champion)}, and the champion changed since: it is {live}."
    if state.digest(gate.champion) != gate.digests["champion"]:
        yield f"{judged} compared it with another model than {live} is now: the digest changed."
    if state.digest(gate.version) != gate.digests["model"]:
        yield f"{judged} judged another model than it is now: the digest changed."
    if decision.digests.get("gate_report") != gate.digests["gate_report"]:
        yield "What was decided is about another report of the gate."
    if settings.expires_after_days is not None:
        until = decision.at + dt.timedelta(days=settings.expires_after_days)
        if now > until:
            yield f"What was decided on {_day(decision.at)} held until {_day(until)}."


def _named(version: int | None) -> str:
    return "no champion" if version is None else f"version {version}"


def _day(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def policy_answer(settings: ApprovalSettings, state: ModelState, gate: Decision) -> tuple[DecisionKind, str]:
    """Return what becomes of a version by the verdict of the gate, and why.

    What the gate refused is rejected. What it passed is approved under `auto` and waits for a person under `manual`; it
    also waits where a person rejected the version or went back from it, since no policy overrules a person, and where
    its rollout was aborted: the rows that the gate judges by say nothing about what went wrong there.
    """
    if gate.kind == "gate_refused":
        return "rejected", gate.why
    if refusal := _refusal_by_a_person(state, gate.version):
        verb = {"rolled_back": "went back from it", "rollout_aborted": "aborted its rollout"}.get(
            refusal.kind, "rejected it"
        )
        return "pending", f"{refusal.who} {verb} on {refusal.at:%Y-%m-%d}: {refusal.why}"
    if settings.policy == "manual":
        return "pending", "The policy is manual."
    return "approved", gate.why


def check_separation_of_duties(settings: ApprovalSettings, version: ModelVersion, who: str) -> None:
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


def _refusal_by_a_person(state: ModelState, version: int) -> Decision | None:
    """Return the last word of a person, or of a rollout, about a version, if it was no."""
    for record in reversed(state.records_of(version)):
        if record.kind == "rolled_back" and record.champion == version and not record.by_policy:
            return record
        if record.kind == "rollout_aborted" and record.version == version:
            return record
        if record.version == version and not record.by_policy:
            if record.kind == "rejected":
                return record
            if record.kind in {"approved", "rolled_back"}:
                return None
    return None
