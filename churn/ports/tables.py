"""The port of the tables of one dataset; its docstrings are what every adapter is tested against."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic import model_validator

from ..core.frozen import Frozen

__all__ = ["Erased", "FeatureStore", "TableRef", "TableSpec"]


class TableSpec(Frozen):
    """A table: its name within the dataset and the columns that identify a row."""

    name: str
    key: tuple[str, ...]


class TableRef(Frozen):
    """One version of one table; the same reference always reads the same rows.

    Attributes:
        dataset: The data set whose table it is.
        name: The table's name within the data set.
        version: The version of the table, counted by the adapter.
        rows: Rows of this version.
        content_id: Opaque text by which an adapter says that two versions of tables that it wrote hold the same rows,
            `ingested_at` aside: equal text, equal rows. Different text says nothing. References stored earlier
            call it `digest`.
        key: The columns that identify a row.
        uri: Where the table is, for people.
    """

    dataset: str
    name: str
    version: int
    rows: int
    content_id: str
    key: tuple[str, ...]
    uri: str

    @model_validator(mode="before")
    @classmethod
    def _reads_the_first_format(cls, stored: Any) -> Any:
        if isinstance(stored, Mapping) and "digest" in stored and "content_id" not in stored:
            return {"content_id" if name == "digest" else name: value for name, value in stored.items()}
        return stored


class Erased(NamedTuple):
    """What was erased of a table: rows of its newest version, and the older versions that held such a row."""

    rows: int
    versions: tuple[int, ...]


class FeatureStore(ABC):
    """Keyed, versioned tables of one dataset. Every write is atomic: a reader sees all of it or nothing."""

    @abstractmethod
    def upsert(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        """Insert rows whose key is new, replace rows whose key is known and whose values differ, keep the rest.

        The table is created on the first write, and gains the columns it lacks (older rows are null there); a key may
        grow by such columns, and never loses one. A column that `rows` lacks is null in them; one of type null is left
        out. Numbers take the column's type where it holds them exactly. Rows without `ingested_at` get the time of the
        write. Rows that change nothing make no new version; `ingested_at` alone is no change. Two writers at once both
        succeed, one after the other. A reader is streamed once, within the adapter's stated memory.

        Raises:
            StoreError: a key is null or stands twice in `rows`, or lacks a column of the table's; a column changes its
                type or is of a type that no table holds; names differ in case alone; or the disk refuses.
            WriteConflict: other writers kept winning; nothing was written.
        """

    @abstractmethod
    def replace(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
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
        self,
        ref: TableRef,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        *,
        where: Mapping[str, str] | None = None,
    ) -> pa.RecordBatchReader:
        """Stream the rows of exactly that version in bounded memory, in any order. Raises as `read` does.

        With `where`, only rows whose text columns hold these values, such as `{"batch_id": "3f2a…"}`.
        """

    @abstractmethod
    def latest_rows(
        self,
        ref: TableRef,
        as_of: dt.datetime,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        *,
        max_age: dt.timedelta | None = None,
        where: Mapping[str, str] | None = None,
    ) -> pa.RecordBatchReader:
        """Stream one row for each customer: the newest of those that were known by `as_of`; in any order.

        A row is known from the later of its event time and its arrival (without one, from its event time); of
        several with the same event time, the one that arrived last counts. Customers without such a row are
        left out, and those whose newest event time lies more than `max_age` before the newest of all. Memory
        stays within the adapter's stated limit. With `where`, the result is that of a table that holds only the rows
        whose text columns have these values, such as those of one customer: `{"customer_id": "7590-VHVEG"}`.

        Raises:
            NotFound: the version is gone, or a column was never there.
            StoreError: the table has no event time, or no customer in its key.
        """

    @abstractmethod
    def known_until(self, ref: TableRef, as_of: dt.datetime) -> dt.datetime | None:
        """Return the newest time, not after `as_of`, at which a row became known; None where none was.

        Between that time and `as_of`, `latest_rows` are the same. Raises as `latest_rows` does.
        """

    @abstractmethod
    def replace_batch(self, table: TableSpec, column: str, value: str, rows: pa.RecordBatchReader) -> TableRef:
        """Make `rows` all rows of the table whose `column` is `value`; the table is created, or gains columns.

        The rows are streamed in bounded memory. Equal content makes no new version. Of two writers of one batch the
        last one's rows stay; writers of different batches do not disturb each other.

        Raises:
            StoreError: as `upsert`; also where `column` is not in the key, or a row has another value there.
            WriteConflict: other writers kept winning; nothing was written.
        """

    @abstractmethod
    def vacuum(self, before: dt.datetime, keep: Mapping[str, Collection[int]] | None = None) -> dict[str, int]:
        """Remove what no kept version of any table needs, and what writers that were killed left behind.

        Kept are each table's newest version, those that were the newest at `before` or later (real time, as of the
        commits), and the versions in `keep`, by table: those that registered models name. A removed version can no
        longer be read. Files of a write that may be under way stay. Where the platform removes by age alone, every
        version stays that is younger than the oldest to be kept.

        Returns:
            The bytes that were removed, by table; under "" what belongs to none.
        """

    @abstractmethod
    def erase(self, name: str, column: str, values: Collection[str]) -> Erased:
        """Remove the rows whose text column is one of `values` for good.

        A version without them becomes the newest; older versions that hold one can no longer be read, and their rows
        leave the storage. Older versions without such a row stay, unless the platform removes by age alone. What
        writers that were killed left behind is searched too. A table that is not there has none. Repeated after a kill
        it completes what was begun.

        Raises:
            WriteConflict: other writers kept winning; the older versions are there still.
        """

    @abstractmethod
    def exclusive(self, purpose: str) -> AbstractContextManager[None]:
        """Let one process and thread at a time work on this data set for a purpose; others wait, in any order.

        Whoever is killed lets go. It cannot be entered twice by the same thread.

        Args:
            purpose: Lower-case letters and `_`; different purposes do not wait for each other.

        Raises:
            StoreError: the place of the lock cannot be written.
        """

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
