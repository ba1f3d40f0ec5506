"""A model with versions, a ledger and a mirror in memory, and what a gate could have said of the versions."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adapters.mlflow.manifest import package_digest
from churn.approval.audit import Audit, audit
from churn.approval.context import ApprovalContext
from churn.approval.decide import decide, record_gate
from churn.approval.promote import Promotion, promote
from churn.approval.settings import ApprovalSettings
from churn.approval.state import VersionStatus
from churn.core.errors import ModelError
from churn.gate.report import Check, GateReport, VersionSummary
from churn.gate.settings import GateSettings
from churn.ports.ledger import Decision, Entry
from churn.ports.registry import CHALLENGER, CHAMPION, MODEL_DIGEST, PREVIOUS_CHAMPION, ModelRegistry, ModelVersion
from tests.fakes.ports.ledger import InMemoryLedger
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.stages import InMemoryStages

MODEL = "churn_gym"
START = dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC)
MANUAL = ApprovalSettings(policy="manual")
PASSING = (Check(name="profit", verdict="pass", value=0.5, sentence="It earns more."),)
FAILING = (*PASSING, Check(name="slices", verdict="fail", value=0.01, sentence="It is worse for seniors."))


@dataclass
class Clock:
    """A minute later at every look; `skip` lets days go by."""

    now: dt.datetime = START

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(minutes=1)
        return self.now

    def skip(self, days: float) -> None:
        self.now += dt.timedelta(days=days)


class Killed(BaseException):
    """What a `kill -9` is to the code that it stops: nothing catches it."""


@dataclass
class Doom:
    """Ends the process at the write with this number, before or after it is done; None spares it."""

    at: int | None = None
    done: bool = False
    writes: int = 0
    error: type[BaseException] = Killed

    @contextmanager
    def write(self) -> Iterator[None]:
        self.writes += 1
        fatal = self.writes == self.at
        if fatal and not self.done:
            raise self.error("killed before a write")
        yield
        if fatal:
            raise self.error("killed after a write")


class DoomedRegistry(InMemoryModelRegistry):
    """A registry whose writes may be the last thing a process does."""

    def __init__(self, doom: Doom) -> None:
        super().__init__({"run-1"})
        self._doom = doom

    def set_alias(self, name: str, alias: str, version: int) -> None:
        with self._doom.write():
            super().set_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        with self._doom.write():
            super().delete_alias(name, alias)

    def set_tags(self, name: str, version: int, tags: Any) -> None:
        for tag, value in tags.items():  # as MLflow does
            with self._doom.write():
                super().set_tags(name, version, {tag: value})


class DoomedLedger(InMemoryLedger):
    """A ledger whose appends may be the last thing a process does."""

    def __init__(self, doom: Doom) -> None:
        super().__init__()
        self._doom = doom

    def append(self, entry: Entry, *, after: str) -> Decision:
        with self._doom.write():
            return super().append(entry, after=after)


class DoomedStages(InMemoryStages):
    """A mirror whose writes may be the last thing a process does."""

    def __init__(self, doom: Doom) -> None:
        super().__init__()
        self._doom = doom

    def show_champion(self, model: str, version: int) -> None:
        with self._doom.write():
            super().show_champion(model, version)


@dataclass
class Office:
    """Where the decisions about one model are made."""

    settings: ApprovalSettings = field(default_factory=ApprovalSettings)
    clock: Clock = field(default_factory=Clock)
    doom: Doom = field(default_factory=Doom)

    def __post_init__(self) -> None:
        self.registry = DoomedRegistry(self.doom)
        self.ledger = DoomedLedger(self.doom)
        self.stages = DoomedStages(self.doom)
        self.damaged: dict[int, str] = {}
        self.lost: set[str] = set()

    @property
    def context(self) -> ApprovalContext:
        return ApprovalContext(self.registry, self.ledger, self.stages, MODEL, self.settings, self.clock, self._verify)

    @property
    def champion(self) -> int | None:
        return self._named(CHAMPION)

    @property
    def previous(self) -> int | None:
        return self._named(PREVIOUS_CHAMPION)

    @property
    def kinds(self) -> list[str]:
        return [record.kind for record in self.ledger.records]

    def tags(self, version: int) -> dict[str, str]:
        return dict(self.context.read().version(version).tags)

    def register(self, count: int = 1) -> int:
        """Register versions, as the training does, and return the number of the last, which is @Challenger."""
        for _ in range(count):
            version = register(self.registry, "run-1")
        return version

    def judge(self, version: int, checks: tuple[Check, ...] = PASSING) -> VersionStatus:
        """Let the gate say this about a version, and the policy answer."""
        record_gate(self.context, self.report(version, checks), who="ada")
        return decide(self.context, version, who="ada")

    def report(self, version: int, checks: tuple[Check, ...] = PASSING, **changes: Any) -> GateReport:
        """Return what a gate that held a version against the champion could have found."""
        return gate_report(self.context, version, checks, **changes)

    def go_live(self, *versions: int) -> Promotion:
        """Judge and promote one version after the other."""
        for version in versions:
            self.judge(version)
            done = promote(self.context, version, who="ada")
        return done

    def audit(self, expect: str | None = None) -> Audit:
        """Audit the model; `damaged` says what is wrong with packages, and a report is there unless it is in `lost`."""
        return audit(
            self.context,
            report_fault=lambda digest: f"The report {digest} is gone." if digest in self.lost else None,
            expect=expect,
        )

    def make_anew(self, *versions: int) -> None:
        """Lose the registry, and let each of the versions be another model."""
        for version in versions:
            self.registry.set_tags(MODEL, version, {MODEL_DIGEST: f"another model {version}"})

    def delete(self, version: int) -> None:
        """Delete a version with its aliases, as MLflow does."""
        for alias in self.context.read().version(version).aliases:
            InMemoryModelRegistry.delete_alias(self.registry, MODEL, alias)
        self.registry.delete_version(MODEL, version)

    def under(self, settings: ApprovalSettings) -> Office:
        """Return the same office under other settings."""
        other = replace(self, settings=settings)
        other.registry, other.ledger, other.stages = self.registry, self.ledger, self.stages
        return other

    def _verify(self, version: ModelVersion, into: Path) -> None:
        if fault := self.damaged.get(version.version):
            raise ModelError(fault)

    def _named(self, alias: str) -> int | None:
        version = self.registry.by_alias(MODEL, alias)
        return version and version.version


def office(versions: int = 3, *live: int, settings: ApprovalSettings | None = None) -> Office:
    """Return an office with registered versions, of which some were live one after the other."""
    made = Office(settings or ApprovalSettings())
    made.register(versions)
    if live:
        made.go_live(*live)
    return made


def register(
    registry: ModelRegistry, run_id: str, *, model: str = MODEL, package: Path | None = None, **tags: str
) -> int:
    """Register a version, let @Challenger name it, and return its number; without a package it has a digest alone."""
    number = len(registry.versions(model)) + 1
    digest = f"digest of {number}" if package is None else package_digest(package)
    with tempfile.TemporaryDirectory() as folder:
        if package is None:
            package = Path(folder)
            (package / "MLmodel").write_text("flavors: {}\n")
        known = {MODEL_DIGEST: digest, "registered_by": "ada", "dataset": "gym", **tags}
        made = registry.register(model, package, description="A model.", tags=known, run_id=run_id)
    registry.set_alias(model, CHALLENGER, made.version)
    return made.version


def gate_report(
    context: ApprovalContext, version: int, checks: tuple[Check, ...] = PASSING, **changes: Any
) -> GateReport:
    """Return what a gate that held a version against the champion could have found."""
    state = context.read()
    live = state.live
    report = GateReport(
        model=context.model,
        at=context.clock(),
        settings=GateSettings(),
        currency="USD",
        relation="recipe" if live else "first",
        challenger=_contestant(version, state.digest(version)),
        champion=_contestant(live, state.digest(live)) if live else None,
        checks=checks,
    )
    return report.model_copy(update=changes)


def _contestant(version: int, digest: str) -> VersionSummary:
    return VersionSummary(version=version, digest=digest, description="A model.")
