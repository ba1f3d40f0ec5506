"""What the ledger and the registry say about one model at one moment, held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..core.errors import DecisionRefused, NotFound
from ..ports.ledger import Decision
from ..ports.registry import CHALLENGER, CHAMPION, MODEL_DIGEST, ModelVersion
from .history import Live, history, lineage

__all__ = ["Situation"]

_BEGUN = {"promotion_begun", "rollback_begun"}
_GATE = {"gate_passed", "gate_refused"}


@dataclass(frozen=True)
class Situation:
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
    def history(self) -> tuple[Live, ...]:
        """What was live when, oldest first."""
        return history(self.records)

    @cached_property
    def lineage(self) -> tuple[int, ...]:
        """The champions that led to the one that is live, which comes last."""
        return lineage(self.records)

    @property
    def live(self) -> int | None:
        """The version that is live by the ledger, unless the registry no longer has it."""
        return self.lineage[-1] if self.lineage and self.lineage[-1] in self.versions else None

    @property
    def unfinished(self) -> Decision | None:
        """The change of the champion that was begun and not ended, by a run that is at it or was killed."""
        changes = [record for record in self.records if record.kind in _BEGUN or "begun" in record.digests]
        return changes[-1] if changes and changes[-1].kind in _BEGUN else None

    @property
    def champion(self) -> ModelVersion | None:
        """The version that is live; None where none is.

        Raises:
            DecisionRefused: `@Champion` names another version than the ledger, or none: somebody moved it.
        """
        named = self.named(CHAMPION)
        if (named.version if named else None) == self.live:
            return named
        says = f"version {self.live}" if self.live else "no version"
        there = f"version {named.version}" if named else "nothing"
        raise DecisionRefused(
            f"@{CHAMPION} of {self.model} names {there}, and {says} is live by the ledger: it was moved without a "
            f"decision. `python run.py audit` shows what does not fit; {self._way_back}."
        )

    @property
    def challenger(self) -> ModelVersion | None:
        """The candidate, the version that `@Challenger` names; None where it names none."""
        return self.named(CHALLENGER)

    def named(self, alias: str) -> ModelVersion | None:
        """Return the version that an alias names."""
        return next((version for version in self.versions.values() if alias in version.aliases), None)

    def version(self, number: int) -> ModelVersion:
        """Return a version.

        Raises:
            NotFound: the registry has no such version, or none at all.
        """
        if number in self.versions:
            return self.versions[number]
        if not self.versions:
            raise NotFound(
                f"There is no registered model {self.model!r}: run `python run.py --pipeline training` first, or name "
                "another with --model NAME."
            )
        numbers = ", ".join(map(str, self.versions))
        raise NotFound(f"{self.model} has no version {number}; it has {numbers}. `python run.py models` lists them.")

    def digest(self, number: int | None) -> str:
        """Return the digest of what a version does; empty where there is no such version, or it never had one."""
        found = None if number is None else self.versions.get(number)
        return "" if found is None else found.tags.get(MODEL_DIGEST, "")

    def predecessor(self, line: tuple[int, ...]) -> int | None:
        """Return the version of a lineage, still in the registry, that a rollback from its last one goes to."""
        before = reversed(line[:-1])
        return next((version for version in before if version in self.versions and version != line[-1]), None)

    def gate(self, version: int) -> Decision | None:
        """Return the newest verdict of the gate on a version."""
        verdicts = (each for each in reversed(self.records) if each.version == version and each.kind in _GATE)
        return next(verdicts, None)

    @property
    def _way_back(self) -> str:
        if self.live is not None or self.predecessor((*self.lineage, -1)) is not None:
            return '`python run.py rollback --reason "…"` puts it back'
        return "no version was ever live by a decision, so remove the alias in the MLflow UI (`python run.py ui`)"
