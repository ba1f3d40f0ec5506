"""The tables of one data set in Unity Catalog: managed Delta tables, read and written by Spark."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import pyarrow as pa

from churn.core.errors import NotFound, StoreError, nearest
from churn.data.tables import ARRIVED_AT, EVENT_TIME, FEATURE_TIME
from churn.ports.tables import Erased, FeatureStore, TableRef, TableSpec

from ..rows import TIME
from ..spark.errors import explained, until_first
from ..spark.frames import arrow_schema, as_known, column, commented, known_until, newest, parts, viewed, widened
from ..spark.sql import all_equal, content, quoted, text
from .catalog import TableText, UnityCatalog
from .incoming import STAGING, Incoming, incoming, staged
from .lease import Lease
from .merge import MergePlan

__all__ = ["UnityTables"]

_UNFINISHED = dt.timedelta(days=1)
"""How old a table of a write is taken to have lost its writer."""


class UnityTables(FeatureStore):
    """Managed Delta tables in one schema; a version is that of Delta, so that `VERSION AS OF` finds it.

    Spark does the work, and this process holds some rows of a write or read at a time. What a version holds is counted
    and fingerprinted by Spark when it is first named, since Delta keeps no such figures: one pass over the table.
    Databricks removes replaced files by age alone; see `vacuum` and `erase`.

    Args:
        catalog: The schema, and the Spark session.
        dataset: The data set's name.
        texts: What each table says of itself, by name.
        clock: Tells the time of a write, in UTC; None takes the engine's.
        written_at_once: How many rows of a write are sent to Spark at a time.
        read_at_once: How many rows of a read are in memory at a time.
    """

    def __init__(
        self,
        catalog: UnityCatalog,
        dataset: str,
        *,
        texts: Mapping[str, TableText] | None = None,
        clock: Callable[[], dt.datetime] | None = None,
        written_at_once: int = 65_536,
        read_at_once: int = 1_000_000,
    ) -> None:
        self._catalog, self._dataset, self._clock = catalog, dataset, clock or catalog.now
        self._texts, self._written_at_once, self._read_at_once = texts or {}, written_at_once, read_at_once
        self._known: dict[tuple[str, int], tuple[int, str]] = {}

    def upsert(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        """Compare with the newest version, then MERGE by key; new columns come with the same commit."""
        with self._incoming(table, rows) as arriving:
            return until_first(self._words(table.name), lambda: self._merge(table, arriving))

    def replace(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        """Overwrite in one commit; the primary key is that of `rows` afterwards."""
        with self._incoming(table, rows, whole=True) as arriving:
            return until_first(self._words(table.name), lambda: self._overwrite(table, arriving))

    def latest(self, name: str) -> TableRef:
        """Read the newest commit; a version that this process has not seen is counted and fingerprinted."""
        version = self._catalog.newest(name)
        if version is None:
            raise NotFound(f"There is no table {name!r} in {self._catalog.schema}: run the pipeline that writes it.")
        rows, content_id = self._content(name, version)
        return TableRef(
            dataset=self._dataset,
            name=name,
            version=version,
            rows=rows,
            content_id=content_id,
            key=self._catalog.key(name),
            uri=f"{self._catalog.schema}.{name}",
        )

    def read(self, ref: TableRef, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows into memory, sorted by Spark."""
        frame, names = self._open(ref, columns)
        with self._reading(ref):
            return _held(
                frame.orderBy(*(column(name).asc_nulls_last() for name in ref.key)).select(*map(column, names))
            )

    def scan(
        self,
        ref: TableRef,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        *,
        where: Mapping[str, str] | None = None,
    ) -> pa.RecordBatchReader:
        """Read a million rows at a time, by a hash of the key; each time Spark passes over the table."""
        frame, names = self._open(ref, columns)
        return self._streamed(ref, frame.where(all_equal(where)), names, batch_rows)

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
        """Let Spark group by customer, then read a million customers at a time."""
        frame, names = self._open(ref, columns)
        entity = _customer_of(ref, arrow_schema(frame))
        return self._streamed(
            ref, newest(frame.where(all_equal(where)), entity, _utc(as_of), max_age), names, batch_rows
        )

    def known_until(self, ref: TableRef, as_of: dt.datetime) -> dt.datetime | None:
        """Let Spark look at the times alone."""
        frame, _ = self._open(ref, None)
        _customer_of(ref, arrow_schema(frame))
        with self._reading(ref):
            newest: dt.datetime | None = known_until(frame, _utc(as_of)).toArrow()[0][0].as_py()
        return None if newest is None else newest.astimezone(dt.UTC)

    def replace_batch(self, table: TableSpec, column: str, value: str, rows: pa.RecordBatchReader) -> TableRef:
        """MERGE as `upsert` does, and delete the batch's other rows in the same commit."""
        if column not in table.key:
            raise StoreError(f"Batches of {table.name!r} cannot be identified by {column!r}: it is not in its key.")
        batch = (column, value)
        with self._incoming(table, rows, batch) as arriving:
            return until_first(self._words(table.name), lambda: self._merge(table, arriving, batch))

    def vacuum(self, before: dt.datetime, keep: Mapping[str, Collection[int]] | None = None) -> dict[str, int]:
        """Have Databricks remove by age what no version needs that is younger than the oldest to be kept.

        Versions between that one and `before` stay, too, for Databricks cannot tell versions apart. Tables that writers
        left behind go after a day.
        """
        freed: dict[str, int] = {}
        for name in self._catalog.tables():
            if name.startswith(STAGING):
                began = dt.datetime.strptime(name.removeprefix(STAGING)[:15], "%Y%m%dt%H%M%S").replace(tzinfo=dt.UTC)
                if self._catalog.now() - began > _UNFINISHED:
                    self._catalog.drop(name)
                continue
            history = sorted(self._catalog.history(name).items())
            replaced = {version: time for (version, _), (_, time) in pairwise(history)}
            kept = [replaced[version] for version in (keep or {}).get(name, ()) if version in replaced]
            since = min([_utc(before), *kept])
            if any(time < since for time in replaced.values()) and (gone := self._catalog.vacuum(name, since)):
                freed[name] = gone
        self._known.clear()
        return freed

    def erase(self, name: str, column: str, values: Collection[str]) -> Erased:
        """Delete the rows, then have Databricks remove every file that the newest version does not need.

        With the versions that hold such a row go others whose files have been replaced since: Databricks removes by age
        alone. Register models anew that name one.
        """
        history = sorted(self._catalog.history(name))
        if not values or not history:
            return Erased(0, ())
        chosen = f"{quoted(column)} IN ({', '.join(map(text, sorted(values)))})"
        held = [version for version in history if self._counted(name, version, column, chosen)]
        if not held:
            return Erased(0, ())
        rows = self._counted(name, history[-1], column, chosen)
        if rows:
            delete = f"DELETE FROM {self._catalog.name(name)} WHERE {chosen}"
            until_first(self._words(name), lambda: self._catalog.run(name, delete))
        self._catalog.vacuum(name)
        self._known.clear()
        return Erased(rows, tuple(held))

    def exclusive(self, purpose: str) -> AbstractContextManager[None]:
        """Hold a lease, a row of the table `churn_leases`, which ends by itself when its holder dies."""
        return Lease(self._catalog).held(purpose)

    def point_in_time_join(
        self, spine: TableRef, features: TableRef, into: TableSpec, *, known_by: dt.datetime | None = None
    ) -> TableRef:
        """Join in Spark into a table of its own, which then becomes the content of `into`."""
        left, right = self._open(spine, None)[0], self._open(features, None)[0]
        entity = _customer_of(features, arrow_schema(right))
        for ref, frame in ((spine, left), (features, right)):
            _refuse_unfit(ref, arrow_schema(frame), features, entity, arrow_schema(right))
        if not set(spine.key) <= set(into.key) <= {*left.columns}:
            raise StoreError(
                f"A row of {into.name!r} cannot be identified by ({', '.join(into.key)}): it is a row of "
                f"{spine.name!r}, identified by ({', '.join(spine.key)}); take that key."
            )
        joined = as_known(left, right, entity, None if known_by is None else _utc(known_by))
        with self._reading(spine), staged(self._catalog, joined) as arriving:
            return until_first(self._words(into.name), lambda: self._overwrite(into, arriving))

    def _incoming(
        self,
        table: TableSpec,
        rows: pa.Table | pa.RecordBatchReader,
        batch: tuple[str, str] | None = None,
        *,
        whole: bool = False,
    ) -> AbstractContextManager[Incoming]:
        """Give Spark the rows of a write; unless they are the `whole` content, columns keep their types."""
        keeps_types = not whole and self._catalog.newest(table.name) is not None
        return incoming(
            self._catalog,
            table,
            rows,
            now=self._clock(),
            existing=arrow_schema(self._catalog.rows(table.name)) if keeps_types else None,
            batch=batch,
            at_once=self._written_at_once,
        )

    def _merge(self, table: TableSpec, arriving: Incoming, batch: tuple[str, str] | None = None) -> TableRef:
        if self._catalog.newest(table.name) is None:
            return self._create(table, arriving)
        key, stored = self._catalog.key(table.name), arrow_schema(self._catalog.rows(table.name))
        if not set(key) <= set(table.key):
            raise StoreError(
                f"The rows of {table.name!r} are identified by ({', '.join(key)}), not by ({', '.join(table.key)}): "
                "use that key, or another table."
            )
        lacking = [field for field in arriving.schema if field.name not in stored.names]
        schema = pa.schema([*stored, *lacking])
        with viewed(self._commented(table.name, widened(arriving.frame, schema))) as view:
            plan = MergePlan(self._catalog.name(table.name), view, table.key, stored, lacking, batch)
            counted = self._catalog.run(table.name, plan.changes).to_pylist()[0]
            if not lacking and not any(counted.values()):
                return self.latest(table.name)
            self._catalog.run(table.name, plan.statement)
        if lacking or key != table.key:
            self._declare(table)
        return self.latest(table.name)

    def _overwrite(self, table: TableSpec, arriving: Incoming) -> TableRef:
        if self._catalog.newest(table.name) is None:
            return self._create(table, arriving)
        newest_ref, stored = self.latest(table.name), arrow_schema(self._catalog.rows(table.name))
        same_columns = {*stored} == {*arriving.schema}
        if same_columns and newest_ref.key == table.key:
            if _identified(arriving.frame, arriving.schema) == (newest_ref.rows, newest_ref.content_id):
                return newest_ref
        else:
            self._catalog.release(table.name)
        frame = self._commented(table.name, arriving.frame)
        self._catalog.overwrite(table.name, frame, other_columns=not same_columns)
        if not same_columns or newest_ref.key != table.key:
            self._declare(table)
        return self.latest(table.name)

    def _create(self, table: TableSpec, arriving: Incoming) -> TableRef:
        self._catalog.create(table.name, self._commented(table.name, arriving.frame), table.key)
        self._declare(table)
        return self.latest(table.name)

    def _declare(self, table: TableSpec) -> None:
        """Say of a table what its key and columns are; a key that has grown can be missing in older rows."""
        rows = self._catalog.rows(table.name)
        gaps = [name for name in table.key if not rows.where(column(name).isNull()).isEmpty()]
        self._catalog.declare(table.name, table.key, self._texts.get(table.name, TableText()), gaps)

    def _commented(self, name: str, frame: Any) -> Any:
        said = self._texts.get(name)
        return commented(frame, said.columns) if said else frame

    def _content(self, name: str, version: int) -> tuple[int, str]:
        if (name, version) not in self._known:
            with self._explained(name, version):
                frame = self._catalog.rows(name, version)
                self._known[name, version] = _identified(frame, arrow_schema(frame))
        return self._known[name, version]

    def _counted(self, name: str, version: int, column: str, chosen: str) -> int:
        """Return how many rows of a version are chosen by a text column; none where it cannot be read any more."""
        try:
            with self._explained(name, version):
                frame = self._catalog.rows(name, version)
                schema = arrow_schema(frame)
                if column not in schema.names or not pa.types.is_string(schema.field(column).type):
                    return 0
                return int(frame.where(chosen).count())
        except NotFound:
            return 0

    def _open(self, ref: TableRef, columns: Sequence[str] | None) -> tuple[Any, list[str]]:
        """Return the rows of a version, and the columns that are asked for."""
        if columns is not None and not columns:
            raise StoreError(f"No column of {ref.name!r} was asked for: name one, or leave `columns` out for all.")
        if ref.dataset != self._dataset or ref.version not in self._catalog.history(ref.name):
            raise self._gone(ref.name, ref.version)
        if self._content(ref.name, ref.version)[1] != ref.content_id:
            raise self._gone(ref.name, ref.version)
        frame = self._catalog.rows(ref.name, ref.version)
        for name in columns or ():
            if name not in frame.columns:
                raise NotFound(
                    f"The table {ref.name!r} has no column {name!r} in version {ref.version}"
                    f"{nearest(name, frame.columns)}."
                )
        return frame, list(columns) if columns else frame.columns

    def _streamed(self, ref: TableRef, frame: Any, names: list[str], batch_rows: int) -> pa.RecordBatchReader:
        asked = frame.select(*map(column, names))
        schema = arrow_schema(asked)

        def batches() -> Iterator[pa.RecordBatch]:
            for part in parts(frame, ref.key, -(-ref.rows // self._read_at_once)):
                with self._reading(ref):
                    rows = _held(part.select(*map(column, names)))
                yield from (batch for batch in rows.to_batches(batch_rows) if batch.num_rows)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _reading(self, ref: TableRef) -> AbstractContextManager[None]:
        return self._explained(ref.name, ref.version)

    def _explained(self, name: str, version: int) -> AbstractContextManager[None]:
        return explained(self._words(name), gone=str(self._gone(name, version)))

    def _gone(self, name: str, version: int) -> NotFound:
        return NotFound(
            f"{self._words(name).capitalize()} has no version {version} that is the one referred to: it was removed "
            "(`data vacuum`, or `data forget` of a customer in it) or built anew. Run the pipeline that writes it."
        )

    def _words(self, name: str) -> str:
        return f"the table {self._catalog.schema}.{name}"


def _identified(frame: Any, schema: pa.Schema) -> tuple[int, str]:
    """Return how many rows there are, and a text that changes with their content."""
    counted = frame.selectExpr(*content(schema)).toArrow().to_pylist()[0]
    return counted["rows"], "".join(f"{int(counted[lane]) % 2**64:016x}" for lane in ("low", "high"))


def _held(frame: Any) -> pa.Table:
    """Return the rows of a frame, in the types that tables hold."""
    return frame.toArrow().cast(arrow_schema(frame))


def _utc(time: dt.datetime) -> dt.datetime:
    return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)


def _customer_of(ref: TableRef, schema: pa.Schema) -> list[str]:
    if EVENT_TIME not in schema.names or schema.field(EVENT_TIME).type != TIME:
        raise StoreError(f"The table {ref.name!r} has no time {EVENT_TIME!r} to go by: add that column.")
    entity = [name for name in ref.key if name not in (EVENT_TIME, ARRIVED_AT)]
    if not entity:
        raise StoreError(f"The table {ref.name!r} has no customer in its key ({', '.join(ref.key)}): add one.")
    return entity


def _refuse_unfit(
    ref: TableRef, schema: pa.Schema, features: TableRef, entity: Sequence[str], wanted: pa.Schema
) -> None:
    if EVENT_TIME not in schema.names or schema.field(EVENT_TIME).type != TIME:
        raise StoreError(f"The table {ref.name!r} has no time {EVENT_TIME!r} to join on: add that column.")
    if FEATURE_TIME in schema.names:
        raise StoreError(f"The table {ref.name!r} has a column {FEATURE_TIME!r}, which the join makes: rename it.")
    for name in entity:
        if name not in schema.names or schema.field(name).type != wanted.field(name).type:
            raise StoreError(
                f"The table {ref.name!r} has no column {name!r} of type {wanted.field(name).type}, as "
                f"{features.name!r} has: add it, or cast it."
            )
