"""The feature store on a laptop: Delta tables in a folder, queried by DuckDB within a fixed amount of memory."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from churn.errors import NotFound, StoreError, WriteConflict, nearest
from churn.ports import FeatureStore
from churn.tables import INGESTED_AT, TableRef, TableSpec

from .delta_table import DeltaVersion, Outrun, Stamp
from .digest import Digest, digest_of
from .disk_errors import explained, refuse_path
from .duck import ROW_GROUP, Duck, Staged, quoted, stage
from .point_in_time import plan_join
from .rows import TIME, check_key, conform
from .upsert import plan_upsert

__all__ = ["LocalFeatureStore"]

_ATTEMPTS = 20
_LONGEST_PAUSE = 0.25  # seconds


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class LocalFeatureStore(FeatureStore):
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
        clock: Tells the time of a write, in UTC.

    Raises:
        StoreError: the path holds characters that the Delta library cannot name.
    """

    def __init__(
        self,
        root: Path,
        dataset: str,
        *,
        memory_limit: str = "1GB",
        threads: int = 2,
        clock: Callable[[], dt.datetime] = _now,
    ) -> None:
        self._folder = root / dataset
        refuse_path(self._folder)
        self._dataset = dataset
        self._duck = Duck(memory_limit, threads, self._folder)
        self._clock = clock

    def upsert(self, table: TableSpec, rows: pa.Table) -> TableRef:
        """Compare with the newest version, and rewrite the files that hold a row to be replaced."""

        def attempt(base: DeltaVersion | None) -> TableRef:
            given = self._given(table, rows, base.schema if base else None)
            return self._upsert(table, given, base) if base else self._replace(table, given, None)

        return self._until_first(table.name, attempt)

    def replace(self, table: TableSpec, rows: pa.Table) -> TableRef:
        """Write new files; columns, types and key become those of `rows`."""
        given = self._given(table, rows)
        return self._until_first(table.name, lambda base: self._replace(table, given, base))

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
        self, ref: TableRef, columns: Sequence[str] | None = None, batch_rows: int = 65_536
    ) -> pa.RecordBatchReader:
        """Stream the rows; DuckDB reads a few batches ahead."""
        version, query = self._select(ref, columns)
        schema = pa.schema([version.schema.field(name) for name in columns or version.schema.names])

        def batches() -> Iterator[pa.RecordBatch]:
            with explained(version.path), self._duck.session() as connection:
                yield from connection.sql(query).to_arrow_reader(batch_rows)

        return pa.RecordBatchReader.from_batches(schema, batches())

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
                f"A row of {into.name!r} cannot be told by ({', '.join(into.key)}): it is a row of {spine.name!r}, "
                f"told by ({', '.join(spine.key)}); take that key."
            )
        path = self._folder / into.name
        with explained(path), self._duck.session() as connection:
            join.match(connection)
            staged = stage(connection, join.result, path)
        with explained(path), self._duck.session() as connection:  # a new one: the join's memory is free
            rows = connection.sql(f"FROM {staged.relation}").to_arrow_reader(ROW_GROUP)
            stamp = Stamp(into.key, staged.rows, str(_digest(rows)))
        return self._until_first(into.name, lambda base: self._publish(staged, stamp, base))

    def _given(self, table: TableSpec, rows: pa.Table, schema: pa.Schema | None = None) -> pa.Table:
        given = conform(rows, schema)
        check_key(table, given)
        if INGESTED_AT in given.column_names:
            return given
        return given.append_column(INGESTED_AT, pa.repeat(pa.scalar(self._clock(), TIME), given.num_rows))

    def _upsert(self, table: TableSpec, given: pa.Table, base: DeltaVersion) -> TableRef:
        before = self._stamp(base)
        if before.key != table.key and before.key:
            raise StoreError(
                f"The rows of {table.name!r} are told by ({', '.join(before.key)}), not by ({', '.join(table.key)}): "
                "use that key, or another table."
            )
        lacking = [field for field in given.schema if field.name not in base.schema.names]
        if lacking:
            base.add_columns(lacking, Stamp(table.key, before.rows, before.digest))
            base = DeltaVersion(base.path, base.version + 1)
        with self._duck.session() as connection:
            plan = plan_upsert(connection, base, table.key, given)
            if not plan.new and not plan.changed:
                return self._ref(base)
            staged = stage(connection, plan.content, base.path)
        digest = Digest.parse(before.digest) + plan.difference
        try:
            base.exchange(plan.files, staged, Stamp(table.key, before.rows + plan.new, str(digest)))
        except Outrun:
            staged.discard()
            raise
        return self._ref(DeltaVersion(base.path, base.version + 1))

    def _replace(self, table: TableSpec, given: pa.Table, base: DeltaVersion | None) -> TableRef:
        with self._duck.session() as connection:
            connection.register("given", given)
            staged = stage(connection, "FROM given", self._folder / table.name)
        return self._publish(staged, Stamp(table.key, given.num_rows, str(_digest(given.to_batches()))), base)

    def _publish(self, staged: Staged, stamp: Stamp, base: DeltaVersion | None) -> TableRef:
        """Make files the whole content of their table, unless it already is."""
        if base is None:
            DeltaVersion.create(staged, stamp)
        elif self._stamp(base) == stamp and set(base.schema.names) == set(staged.schema.names):
            staged.discard()
            return self._ref(base)
        else:
            base.overwrite(staged, stamp)
        return self._ref(DeltaVersion(staged.folder.parent, base.version + 1 if base else 0))

    def _stamp(self, version: DeltaVersion) -> Stamp:
        """Return what the commit says, or find it out where another program wrote the table."""
        said = version.stamp()
        if said:
            return said
        with self._duck.session() as connection:
            rows = connection.execute(f"SELECT count(*) FROM {version.relation()}").fetchall()[0][0]
            digest = _digest(connection.sql(_selection(version, version.schema.names)).to_arrow_reader(ROW_GROUP))
        return Stamp(version.key(), rows, str(digest))

    def _ref(self, version: DeltaVersion) -> TableRef:
        stamp = self._stamp(version)
        return TableRef(
            dataset=self._dataset,
            name=version.path.name,
            version=version.version,
            rows=stamp.rows,
            digest=stamp.digest,
            key=stamp.key,
            uri=str(version.path),
        )

    def _open(self, ref: TableRef) -> DeltaVersion:
        path = self._folder.parent / ref.dataset / ref.name
        with explained(path):
            version = DeltaVersion(path, ref.version)
            said = version.stamp()
            if (said and said.digest != ref.digest) or not all(file.exists() for file in version.files):
                raise NotFound(
                    f"Version {ref.version} of the table at {path} is no longer the one that was referred to: it was "
                    "removed or built anew. Run the pipeline that writes it again."
                )
            return version

    def _select(self, ref: TableRef, columns: Sequence[str] | None) -> tuple[DeltaVersion, str]:
        version = self._open(ref)
        names = version.schema.names if columns is None else list(columns)
        if not names:
            raise StoreError(f"No column of {ref.name!r} was asked for: name one, or leave `columns` out for all.")
        for name in names:
            if name not in version.schema.names:
                raise NotFound(
                    f"The table {ref.name!r} has no column {name!r} in version {ref.version}"
                    f"{nearest(name, version.schema.names)}."
                )
        return version, _selection(version, names)

    def _until_first(self, name: str, attempt: Callable[[DeltaVersion | None], TableRef]) -> TableRef:
        """Repeat an attempt on the newest version until no other writer is faster."""
        path = self._folder / name
        for number in range(_ATTEMPTS):
            try:
                with explained(path):
                    return attempt(DeltaVersion.newest(path))
            except Outrun:
                time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.01 * 2**number)))
        raise WriteConflict(f"The table at {path} was changed by others at each of {_ATTEMPTS} attempts: run again.")


def _selection(version: DeltaVersion, names: Sequence[str]) -> str:
    return f"SELECT {', '.join(map(quoted, names))} FROM {version.relation()}"


def _digest(batches: Iterable[pa.RecordBatch]) -> Digest:
    return digest_of(batches, leave_out=[INGESTED_AT])
