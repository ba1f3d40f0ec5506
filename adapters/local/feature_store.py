"""The feature store on a laptop: Delta tables in a folder, queried by DuckDB within a fixed amount of memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import DeltaError
from filelock import FileLock

from churn.core.errors import StoreError
from churn.data.tables import INGESTED_AT
from churn.ports.tables import Erased, FeatureStore, TableRef, TableSpec

from ..rows import TIME, check_key, conform
from .changes import BatchReplacement, plan_upsert
from .delta_table import DeltaVersion, Outrun, Stamp
from .digest import Digest
from .disk_errors import explained
from .duck import ROW_GROUP, Staged, literal, quoted, stage
from .erasure import erase_from_newest, erase_from_older
from .incoming import stage_stream
from .latest_rows import customer_of, known_until, newest_rows, newest_when_known
from .point_in_time import PointInTimeJoin, plan_join
from .tables_on_disk import TablesOnDisk, digest_of_rows
from .vacuum import committed_files, vacuum_dataset

__all__ = ["LocalFeatureStore"]

_SMALL, _JOINED = 4 << 20, 32 << 20
"""Bytes: files below the first are joined into ones of the second, once there are many."""


class LocalFeatureStore(TablesOnDisk, FeatureStore):
    """Delta tables under `root/dataset`, a folder each.

    Rows that bring no `ingested_at` are given the time of the write. Constructing a store touches no disk, and no call
    leaves a connection behind, so threads may share one.

    Args:
        root: The folder that holds a folder for each dataset.
        dataset: The dataset's name.
        memory_limit: What DuckDB may hold in memory; what does not fit goes to a folder beside the tables meanwhile. A
            join takes up to 250 MB more for libraries and row groups on their way, whatever its size (measured with
            10 M feature rows of 21 numbers and 1 M spine rows: 0.5 GB in all at "256MB", 1.1 GB at "1GB").
        threads: How many threads DuckDB may use.
        many: How many small files batches may leave before they are joined.
        clock: Tells the time of a write, in UTC.

    Raises:
        StoreError: the path holds characters that the Delta library cannot name.
    """

    def upsert(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        """Compare with the newest version, and rewrite the files that hold a row to be replaced.

        Streamed rows are written to files first, which become the table where there is none.
        """
        if isinstance(rows, pa.RecordBatchReader):
            return self._upsert_stream(table, rows)

        def attempt(base: DeltaVersion | None) -> TableRef:
            conformed = self._given(table, rows, base.schema if base else None)
            if base is not None:
                return self._upsert(table, conformed, conformed.schema, base)
            staged, stamp = self._staged(table, conformed)
            with self._discarded_unless_committed(staged):
                return self._publish(staged, stamp, None)

        return self._until_first(table.name, attempt)

    def replace(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        """Write new files; columns, types and key become those of `rows`."""
        if isinstance(rows, pa.RecordBatchReader):
            staged, stamp = self._staged_stream(table, rows, None)
        else:
            staged, stamp = self._staged(table, self._given(table, rows))
        return self._published(table.name, staged, lambda base: self._publish(staged, stamp, base))

    def latest(self, name: str) -> TableRef:
        """Read the newest commit, which holds row count and digest; another program's rows are counted and digested."""
        path = self._folder / name
        with explained(path):
            return self._ref(DeltaVersion(path))

    def read(self, ref: TableRef, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows into memory, sorted by DuckDB."""
        version, query = self._select(ref, columns)
        order = f" ORDER BY {', '.join(map(quoted, ref.key))}" if ref.key else ""
        with explained(version.path), self._duck.session() as connection:
            return connection.sql(query + order).to_arrow_table()

    def scan(
        self,
        ref: TableRef,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        *,
        where: Mapping[str, str] | None = None,
    ) -> pa.RecordBatchReader:
        """Stream the rows; DuckDB reads a few batches ahead, and passes over row groups that `where` leaves out."""
        version, query = self._select(ref, columns)
        only = _all_equal(where)
        return self._stream(version, columns, f"{query} WHERE {only}" if only else query, batch_rows)

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
        """Find the newest rows by key and time alone, one bit a row, then stream their values."""
        version, _ = self._select(ref, columns)
        customer_of(version, ref.key)
        query = newest_when_known(version, columns or version.schema.names)

        def newest() -> dict[str, pa.Table]:
            with self._duck.session() as connection:
                condition = _all_equal(where)
                rows = newest_rows(connection, version, ref.key, as_of, max_age=max_age, condition=condition)
            return {"newest": rows}

        return self._stream(version, columns, query, batch_rows, tables=newest)

    def known_until(self, ref: TableRef, as_of: dt.datetime) -> dt.datetime | None:
        """Read the times alone."""
        version = self._open(ref)
        with explained(version.path), self._duck.session() as connection:
            newest: dt.datetime | None = connection.execute(known_until(version, as_of)).fetchall()[0][0]
        return None if newest is None else newest.astimezone(dt.UTC)

    def replace_batch(self, table: TableSpec, column: str, value: str, rows: pa.RecordBatchReader) -> TableRef:
        """Stream the rows into files, then exchange them for those that hold the batch; join many small files."""
        path = self._folder / table.name
        with explained(path):
            batch = BatchReplacement.stage(
                self._duck, path, table=table, column=column, value=value, rows=rows, now=self._clock()
            )
        ref = self._published(table.name, batch.written, lambda base: self._replace_batch(batch, base))
        self._join_small_files(path)
        return ref

    def vacuum(self, before: dt.datetime, keep: Mapping[str, Collection[int]] | None = None) -> dict[str, int]:
        """Read the tables' logs, and leave a table alone whose log another program has shortened."""
        with explained(self._folder):
            return vacuum_dataset(self._folder, before, keep or {})

    def erase(self, name: str, column: str, values: Collection[str]) -> Erased:
        """Rewrite the files of the newest version that hold such a row, then unlink those of older versions."""
        path = self._folder / name
        if not values or not path.is_dir():
            return Erased(0, ())

        def attempt(base: DeltaVersion | None) -> int:
            return erase_from_newest(self._duck, base, self._stamp(base), column, values) if base else 0

        rows = self._until_first(name, attempt)
        with explained(path):
            versions = erase_from_older(path, DeltaVersion.newest(path), column, values)
        return Erased(rows, tuple(versions))

    @contextmanager
    def exclusive(self, purpose: str) -> Iterator[None]:
        """Hold a lock of the operating system on a file beside the tables."""
        with explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / f".{purpose}.lock").acquire()
        with lock:
            yield

    def point_in_time_join(
        self, spine: TableRef, features: TableRef, into: TableSpec, *, known_by: dt.datetime | None = None
    ) -> TableRef:
        """Join by DuckDB's as-of join, which spills what exceeds `memory_limit`, and stream the result into files.

        Raises:
            StoreError: the tables do not share a customer and an event time, or a row of the result could not be told
                by the key of `into`.
        """
        join = plan_join(self._open(spine), self._open(features), features.key, known_by)
        if not set(spine.key) <= set(into.key) <= {*join.spine.schema.names}:
            raise StoreError(
                f"A row of {into.name!r} cannot be identified by ({', '.join(into.key)}): it is a row of "
                f"{spine.name!r}, identified by ({', '.join(spine.key)}); take that key."
            )
        path = self._folder / into.name
        with explained(path):
            staged = self._joined(join, path)
        with explained(path), self._duck.session() as connection:  # a new one: the join's memory is free
            rows = connection.sql(f"FROM {staged.relation}").to_arrow_reader(ROW_GROUP)
            stamp = Stamp(into.key, staged.rows, str(digest_of_rows(rows)))
        return self._published(into.name, staged, lambda base: self._publish(staged, stamp, base))

    def _joined(self, join: PointInTimeJoin, table: Path) -> Staged:
        """Write the result of a join into new files within the folder `table`."""
        with self._duck.session() as connection:
            return join.run(connection, lambda query: stage(connection, query, table))

    def _given(self, table: TableSpec, rows: pa.Table, schema: pa.Schema | None = None) -> pa.Table:
        conformed = conform(rows, schema)
        check_key(table, conformed)
        if INGESTED_AT in conformed.column_names:
            return conformed
        return conformed.append_column(INGESTED_AT, pa.repeat(pa.scalar(self._clock(), TIME), conformed.num_rows))

    def _upsert_stream(self, table: TableSpec, rows: pa.RecordBatchReader) -> TableRef:
        path = self._folder / table.name
        with explained(path):
            newest = DeltaVersion.newest(path)
        staged, stamp = self._staged_stream(table, rows, newest.schema if newest else None)

        def attempt(base: DeltaVersion | None) -> TableRef:
            if base is None:
                return self._publish(staged, stamp, None)
            return self._upsert(table, staged.relation, staged.schema, base)

        ref = self._published(table.name, staged, attempt)
        if not committed_files(path) & {*staged.files}:
            staged.discard()
        return ref

    def _upsert(self, table: TableSpec, incoming: pa.Table | str, schema: pa.Schema, base: DeltaVersion) -> TableRef:
        base, before = self._with_columns_of(table, schema, base)
        with self._duck.session() as connection:
            if isinstance(incoming, pa.Table):
                connection.register("incoming", incoming)
            plan = plan_upsert(connection, base, table.key, incoming if isinstance(incoming, str) else "incoming")
            if not plan.new and not plan.changed:
                return self._ref(base)
            staged = stage(connection, plan.content, base.path)
        digest = Digest.parse(before.digest) + plan.difference
        with self._discarded_unless_committed(staged):
            base.exchange(plan.files, staged, Stamp(table.key, before.rows + plan.new, str(digest)))
        return self._ref(DeltaVersion(base.path, base.version + 1))

    def _staged_stream(
        self, table: TableSpec, rows: pa.RecordBatchReader, existing: pa.Schema | None
    ) -> tuple[Staged, Stamp]:
        path = self._folder / table.name
        if not table.key:
            raise StoreError(f"Rows of {table.name!r} need a key, and lack one: add the column.")
        with explained(path):
            staged, digest = stage_stream(self._duck, path, table, rows, now=self._clock(), existing=existing)
        return staged, Stamp(table.key, staged.rows, str(digest))

    def _staged(self, table: TableSpec, incoming: pa.Table) -> tuple[Staged, Stamp]:
        """Write rows to files, which no version needs yet, with what a commit says of them."""
        path = self._folder / table.name
        with explained(path), self._duck.session() as connection:
            connection.register("given", incoming)
            staged = stage(connection, "FROM given", path)
        return staged, Stamp(table.key, incoming.num_rows, str(digest_of_rows(incoming.to_batches())))

    def _replace_batch(self, batch: BatchReplacement, base: DeltaVersion | None) -> TableRef:
        if base is None:
            return self._publish(batch.written, batch.stamp(), None)
        base, before = self._with_columns_of(batch.table, batch.written.schema, base)
        with self._duck.session() as connection:
            gone, comes, difference, more = batch.plan(connection, base)
        if difference == Digest() and not more:
            comes.discard()
            return self._ref(base)
        digest = Digest.parse(before.digest) + difference
        try:
            base.exchange(gone, comes, Stamp(batch.table.key, before.rows + more, str(digest)))
        except Outrun:
            batch.discard_all_but_the_batch(comes)
            raise
        return self._ref(DeltaVersion(base.path, base.version + 1))

    def _join_small_files(self, path: Path) -> None:
        """Keep reading fast where many small batches were written; where that fails, the next one tries again."""
        with suppress(DeltaError, OSError, StoreError):
            newest = DeltaVersion(path)
            if newest.smaller_than(_SMALL) > self._many:
                newest.compact(self._stamp(newest), _JOINED)


def _all_equal(where: Mapping[str, str] | None) -> str:
    """Return the condition that columns hold these values, in SQL; empty without any."""
    return " AND ".join(f"{quoted(name)} = {literal(value)}" for name, value in (where or {}).items())
