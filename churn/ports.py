"""What the lifecycle needs from the outside world; the docstrings are what every adapter is tested against."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from .decisions.record import Decision, Entry
from .feature_store import FeatureStore
from .fitting.trials import Trial
from .tables import TableRef

__all__ = [
    "DecisionLedger",
    "ExperimentTracker",
    "FeatureStore",
    "ModelRegistry",
    "ModelVersion",
    "StageMirror",
]


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, as a registry knows it. `description` and `tags` are never half there."""

    name: str
    version: int
    run_id: str | None
    description: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_at: dt.datetime | None = None


class ModelRegistry(ABC):
    """Registered models with versions 1, 2, 3, …; an alias names exactly one version."""

    @abstractmethod
    def register(
        self, name: str, package: Path, *, description: str, tags: Mapping[str, str], run_id: str
    ) -> ModelVersion:
        """Store the packaged model in the folder `package` with the run that trained it, and register it as a version.

        A reader never sees a version without its files, description and tags. No alias is set, and the number of a
        version that was deleted is not used again.

        Raises:
            NotFound: there is no such run.
            StoreError: the registry does not answer, the name is not valid, or the folder holds no packaged model.
        """

    @abstractmethod
    def versions(self, name: str) -> list[ModelVersion]:
        """Return every version, oldest first; empty for a model that is not there."""

    @abstractmethod
    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """Return the version that `alias` names, or None."""

    @abstractmethod
    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `alias` name `version`, whatever it named before.

        Raises:
            NotFound: there is no such version.
        """

    @abstractmethod
    def delete_alias(self, name: str, alias: str) -> None:
        """Let `alias` name nothing; where it names nothing, that is all right.

        Raises:
            NotFound: there is no such model.
        """

    @abstractmethod
    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Give a version these tags, in place of those of the same names; its other tags stay.

        Raises:
            NotFound: there is no such version.
        """

    @abstractmethod
    def delete_version(self, name: str, version: int) -> None:
        """Remove a version that has no alias.

        Raises:
            NotFound: there is no such version.
            StoreError: the version has an alias.
        """

    @abstractmethod
    def download(self, name: str, version: int, into: Path) -> Path:
        """Copy the packaged model of a version below `into` and return its folder.

        Raises:
            NotFound: there is no such version, or its files are gone.
        """


class DecisionLedger(ABC):
    """The append-only record of every decision about the models of one dataset, each chained to the one before."""

    @abstractmethod
    def read(self) -> list[Decision]:
        """Return every record in the order of its sequence, as it is stored, whether or not the chain holds.

        Raises:
            StoreError: the store does not answer, or holds something that is no record.
        """

    @abstractmethod
    def append(self, entry: Entry, *, after: str) -> Decision:
        """Write `entry` as the next record, and return it when it is there to stay; all of it is written or nothing.

        Args:
            entry: What to record.
            after: The hash of the record that the caller believes is the last; empty for a ledger without any.

        Raises:
            WriteConflict: another record is the last; nothing was written.
            StoreError: the store refuses; nothing was written.
        """

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Let one process and thread of this machine at a time decide; others wait, and a killed one lets go.

        It cannot be entered twice by the same thread.

        Raises:
            StoreError: the place of the lock cannot be written.
        """


class StageMirror(ABC):
    """What a model control plane shows of the versions of a registered model."""

    @abstractmethod
    def show_candidate(self, model: str, version: int, description: str) -> None:
        """Make a version known, in staging; the one that was there goes to the archive. The champion stays where it is.

        Raises:
            StoreError: the control plane does not answer.
        """

    @abstractmethod
    def show_champion(self, model: str, version: int) -> None:
        """Show a version in production, and make it known where it is not; the one that was there goes to the archive.

        Raises:
            StoreError: the control plane does not answer.
        """


class ExperimentTracker(ABC):
    """Where a training run leaves its record: one run, its trials nested in it."""

    @abstractmethod
    def run_id(self) -> str:
        """Return the id of the run that is open."""

    @abstractmethod
    def log_params(self, params: Mapping[str, object]) -> None:
        """Record the settings of the run; recording the same again changes nothing."""

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record finite numbers under their names."""

    @abstractmethod
    def log_dataset(self, ref: TableRef, sample: pa.Table, label: str) -> None:
        """Record a table as an input of the run, with its digest and version; `sample` gives the schema."""

    @abstractmethod
    def log_trials(self, study: str, trials: Sequence[Trial]) -> None:
        """Record each trial as a run nested in this one; a trial that is recorded already is left alone."""

    @abstractmethod
    def log_file(self, name: str, content: str | bytes) -> None:
        """Store a file under `name` (folders allowed) with the run."""
