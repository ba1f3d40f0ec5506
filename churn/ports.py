"""What the lifecycle needs from the outside world; the docstrings are what every adapter is tested against."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa

from .decisions.record import Decision, Entry
from .fitting.trials import Trial
from .tables import TableRef, TableSpec

__all__ = [
    "DecisionLedger",
    "ExperimentTracker",
    "FeatureStore",
    "ModelRegistry",
    "ModelVersion",
    "Stage",
    "StageMirror",
]

Stage = Literal["staging", "production", "archived"]
"""Where a version stands, in the words of a model control plane."""


class FeatureStore(ABC):
    """Keyed, versioned tables of one dataset. Every write is atomic: a reader sees all of it or nothing."""

    @abstractmethod
    def upsert(self, table: TableSpec, rows: pa.Table) -> TableRef:
        """Insert rows whose key is new, replace rows whose key is known and whose values differ, keep the rest.

        The table is created on the first write, and gains the columns it lacks (older rows are null there). A column
        that `rows` lacks is null in them; one of type null is left out. Numbers take the column's type where it holds
        them exactly. Rows without `ingested_at` get the time of the write. Rows that change nothing make no new
        version; `ingested_at` alone is no change. Two writers at once both succeed, one after the other.

        Raises:
            StoreError: a key is null or stands twice in `rows`, is another than the table's, a column changes its type
                or is of a type that no table holds, names differ in case alone, or the disk refuses.
            WriteConflict: other writers kept winning; nothing was written.
        """

    @abstractmethod
    def replace(self, table: TableSpec, rows: pa.Table) -> TableRef:
        """Make `rows` the table's whole content, with their columns, types and key; equal content makes no new version.

        Raises as `upsert` does.
        """

    @abstractmethod
    def latest(self, name: str) -> TableRef:
        """Return the newest version of a table.

        Raises:
            NotFound: there is no such table.
        """

    @abstractmethod
    def read(self, ref: TableRef, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of exactly that version, sorted by key; times are UTC, in microseconds.

        Raises:
            NotFound: the version is gone, or a column was never there.
            StoreError: `columns` is empty.
        """

    @abstractmethod
    def scan(
        self, ref: TableRef, columns: Sequence[str] | None = None, batch_rows: int = 65_536
    ) -> pa.RecordBatchReader:
        """Stream the rows of exactly that version in bounded memory, in any order. Raises as `read` does."""

    @abstractmethod
    def point_in_time_join(
        self, spine: TableRef, features: TableRef, into: TableSpec, *, known_by: dt.datetime | None = None
    ) -> TableRef:
        """Give each row of `spine` the features as they were known at its event time, and store the result.

        For a spine row at time t, the feature row of the same customer with the greatest event time among those with
        event time ≤ t, arrival ≤ t and arrival ≤ `known_by`; of several with the same event time, the one that arrived
        last. A row without an arrival arrived at its event time. A spine row without any is kept, its features null;
        one whose `label_ts` is missing or after `known_by` is left out: its outcome was not known. Columns of the
        result: those of the spine, those of `features` beside key and event time, and `feature_ts`, the event time of
        the feature row (null without one). Where both have a column of the same name, the spine's wins. Memory stays
        within the adapter's stated limit.

        Raises:
            StoreError: a table lacks the event time or a column of the customer's key, already has `feature_ts`, or
                the key of `into` does not tell the spine's rows apart.
        """


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
    def set_stage(self, model: str, version: int, stage: Stage) -> None:
        """Show a version in a stage, and make it known where it is not; the same again changes nothing.

        One version at a time is in production and one in staging: the one that was goes to the archive.

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
