"""A feature store in memory, written for plainness: every rule as a loop over rows."""

from __future__ import annotations

import datetime as dt
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from adapters.local.digest import digest_of
from adapters.rows import TIME, check_key, conform
from churn.core.errors import NotFound, StoreError
from churn.data.tables import ARRIVED_AT, EVENT_TIME, FEATURE_TIME, INGESTED_AT, LABEL_TIME
from churn.ports.tables import Erased, FeatureStore, TableRef, TableSpec

__all__ = ["MemoryFeatureStore", "as_known_at"]

Row = Mapping[str, Any]


def as_known_at(time: dt.datetime | None, rows: Sequence[Row], known_by: dt.datetime | None = None) -> Row | None:
    """Return the newest of one customer's feature rows that could be seen at `time`, by looking at each."""

    def arrival(row: Row) -> Any:
        return row.get(ARRIVED_AT) or row[EVENT_TIME]

    seen = [
        row
        for row in rows
        if time is not None
        and row[EVENT_TIME] <= time
        and arrival(row) <= time
        and (known_by is None or arrival(row) <= known_by)
    ]
    return max(seen, key=lambda row: (row[EVENT_TIME], arrival(row)), default=None)


@dataclass(frozen=True)
class _Version:
    rows: pa.Table
    key: tuple[str, ...]
    digest: str
    at: dt.datetime


class MemoryFeatureStore(FeatureStore):
    """Keeps every version of every table."""

    def __init__(
        self, dataset: str = "memory", *, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        self._dataset = dataset
        self._clock = clock
        self._tables: dict[str, list[_Version]] = {}
        self._removed: dict[str, set[int]] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def upsert(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        rows = _in_memory(rows)
        versions = self._tables.get(table.name)
        if not versions:
            return self.replace(table, rows)
        before = versions[-1]
        if not set(before.key) <= set(table.key):
            raise StoreError(f"The rows of {table.name!r} are identified by ({', '.join(before.key)}): use that key.")
        given = _align(self._given(table, rows, before.rows.schema), before.rows.schema)
        merged = {_identity(row, table.key): row for row in _align(before.rows, given.schema).to_pylist()}
        for row in given.to_pylist():
            known = merged.get(_identity(row, table.key))
            if known is None or _canonical(known) != _canonical(row):
                merged[_identity(row, table.key)] = row
        return self._keep(table, pa.Table.from_pylist(list(merged.values()), given.schema))

    def replace(self, table: TableSpec, rows: pa.Table | pa.RecordBatchReader) -> TableRef:
        return self._keep(table, self._given(table, _in_memory(rows)))

    def latest(self, name: str) -> TableRef:
        if name not in self._tables:
            raise NotFound(f"There is no table {name!r}: run the pipeline that writes it.")
        number = len(self._tables[name]) - 1
        version = self._tables[name][number]
        return TableRef(
            dataset=self._dataset,
            name=name,
            version=number,
            rows=version.rows.num_rows,
            content_id=version.digest,
            key=version.key,
            uri=f"memory:{self._dataset}/{name}",
        )

    def read(self, ref: TableRef, columns: Sequence[str] | None = None) -> pa.Table:
        versions = self._tables.get(ref.name, [])
        kept = ref.version < len(versions) and ref.version not in self._removed.get(ref.name, ())
        if not kept or versions[ref.version].digest != ref.content_id:
            raise NotFound(f"The table {ref.name!r} has no version {ref.version}.")
        rows = versions[ref.version].rows
        if columns is not None and not columns:
            raise StoreError(f"No column of {ref.name!r} was asked for: name one, or leave `columns` out for all.")
        for name in columns or ():
            if name not in rows.column_names:
                raise NotFound(f"The table {ref.name!r} has no column {name!r} in version {ref.version}.")
        return rows if columns is None else rows.select(list(columns))

    def scan(
        self,
        ref: TableRef,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        *,
        where: Mapping[str, str] | None = None,
    ) -> pa.RecordBatchReader:
        self.read(ref, columns)
        table = self.read(ref)
        if where:
            kept = [row for row in table.to_pylist() if all(row[name] == value for name, value in where.items())]
            table = pa.Table.from_pylist(kept, table.schema)
        return (table if columns is None else table.select(list(columns))).to_reader(max_chunksize=batch_rows)

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
        self.read(ref, columns)
        rows, entity, as_of = self.read(ref), _customer_of(ref, self.read(ref)), _in_utc(as_of)
        by_customer: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows.to_pylist():
            if row[EVENT_TIME] is not None and all(row[name] == value for name, value in (where or {}).items()):
                by_customer.setdefault(_identity(row, entity), []).append(row)
        newest = [found for several in by_customer.values() if (found := as_known_at(as_of, several))]
        last = max((row[EVENT_TIME] for row in newest), default=None)
        newest = [row for row in newest if max_age is None or row[EVENT_TIME] >= last - max_age]
        table = pa.Table.from_pylist(newest, rows.schema)
        return (table if columns is None else table.select(list(columns))).to_reader(max_chunksize=batch_rows)

    def known_until(self, ref: TableRef, as_of: dt.datetime) -> dt.datetime | None:
        rows, as_of = self.read(ref), _in_utc(as_of)
        _customer_of(ref, rows)
        seen = [max(row[EVENT_TIME], row.get(ARRIVED_AT) or row[EVENT_TIME]) for row in rows.to_pylist()]
        return max((time for time in seen if time <= as_of), default=None)

    def replace_batch(self, table: TableSpec, column: str, value: str, rows: pa.RecordBatchReader) -> TableRef:
        if column not in table.key:
            raise StoreError(f"Batches of {table.name!r} cannot be identified by {column!r}: it is not in its key.")
        given = self._given(table, rows.read_all())
        if any(each != value for each in given[column].to_pylist()):
            raise StoreError(f"A row of {table.name!r} has another {column!r} than {value!r}: write it by itself.")
        if table.name not in self._tables:
            return self._keep(table, given)
        before = self._tables[table.name][-1].rows
        others = [row for row in _align(before, given.schema).to_pylist() if row[column] != value]
        schema = _align(before, given.schema).schema
        return self._keep(table, pa.Table.from_pylist(others + _align(given, schema).to_pylist(), schema))

    def vacuum(self, before: dt.datetime, keep: Mapping[str, Collection[int]] | None = None) -> dict[str, int]:
        freed: dict[str, int] = {}
        for name, versions in self._tables.items():
            for number, (version, successor) in enumerate(pairwise(versions)):
                removed = self._removed.setdefault(name, set())
                if successor.at < before and number not in (keep or {}).get(name, ()) and number not in removed:
                    removed.add(number)
                    freed[name] = freed.get(name, 0) + version.rows.nbytes
        return freed

    def erase(self, name: str, column: str, values: Collection[str]) -> Erased:
        versions, removed = self._tables.get(name, []), self._removed.setdefault(name, set())
        held = [
            number
            for number, version in enumerate(versions)
            if number not in removed and any(_chosen(version.rows, column, values))
        ]
        rows = 0
        if held and held[-1] == len(versions) - 1:
            newest, chosen = versions[-1], _chosen(versions[-1].rows, column, values)
            self._keep(TableSpec(name=name, key=newest.key), newest.rows.filter(pa.array([not one for one in chosen])))
            rows = sum(chosen)
        removed.update(held)
        return Erased(rows, tuple(held))

    @contextmanager
    def exclusive(self, purpose: str) -> Iterator[None]:
        with self._locks[purpose]:
            yield

    def point_in_time_join(
        self, spine: TableRef, features: TableRef, into: TableSpec, *, known_by: dt.datetime | None = None
    ) -> TableRef:
        left, right = self.read(spine), self.read(features)
        entity = [name for name in features.key if name not in (EVENT_TIME, ARRIVED_AT)]
        _refuse_unfit(left, right, entity, into, spine)
        if known_by is not None and known_by.tzinfo is None:
            known_by = known_by.replace(tzinfo=dt.UTC)
        taken = [name for name in right.column_names if name not in {*left.column_names, *entity, EVENT_TIME}]
        fields = [right.schema.field(name) for name in taken]
        by_customer: dict[tuple[Any, ...], list[Row]] = {}
        for row in right.to_pylist():
            by_customer.setdefault(_identity(row, entity), []).append(row)
        rows = []
        for row in left.to_pylist():
            if known_by is not None and LABEL_TIME in row and not (row[LABEL_TIME] and row[LABEL_TIME] <= known_by):
                continue
            same = by_customer.get(_identity(row, entity), [])
            found = as_known_at(row[EVENT_TIME], same, known_by) or {}
            rows.append({**row, **{name: found.get(name) for name in taken}, FEATURE_TIME: found.get(EVENT_TIME)})
        schema = pa.schema([*left.schema, *fields, pa.field(FEATURE_TIME, TIME)])
        return self._keep(into, pa.Table.from_pylist(rows, schema))

    def _given(self, table: TableSpec, rows: pa.Table, schema: pa.Schema | None = None) -> pa.Table:
        given = conform(rows, schema)
        check_key(table, given)
        if INGESTED_AT in given.column_names:
            return given
        return given.append_column(INGESTED_AT, pa.array([self._clock()] * given.num_rows, TIME))

    def _keep(self, table: TableSpec, rows: pa.Table) -> TableRef:
        rows = rows.sort_by([(name, "ascending") for name in table.key])
        version = _Version(rows, table.key, str(digest_of(rows.to_batches(), leave_out=[INGESTED_AT])), self._clock())
        versions = self._tables.setdefault(table.name, [])
        last = versions[-1] if versions else None
        same = last and (last.digest, last.key) == (version.digest, version.key)
        if not last or not same or set(last.rows.column_names) != set(rows.column_names):
            versions.append(version)
        return self.latest(table.name)


def _chosen(rows: pa.Table, column: str, values: Collection[str]) -> list[bool]:
    there = rows[column].to_pylist() if column in rows.column_names else [None] * rows.num_rows
    return [value in values for value in there]


def _in_memory(rows: pa.Table | pa.RecordBatchReader) -> pa.Table:
    return rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows


def _in_utc(time: dt.datetime) -> dt.datetime:
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _customer_of(ref: TableRef, rows: pa.Table) -> list[str]:
    if EVENT_TIME not in rows.column_names:
        raise StoreError(f"The table {ref.name!r} has no time {EVENT_TIME!r} to go by: add that column.")
    entity = [name for name in ref.key if name not in (EVENT_TIME, ARRIVED_AT)]
    if not entity:
        raise StoreError(f"The table {ref.name!r} has no customer in its key: add one.")
    return entity


def _identity(row: Row, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in key)


def _canonical(row: Row) -> list[tuple[str, str]]:
    """Return what counts of a row: no nulls, no `ingested_at`; one zero and one NaN, and 1 is not 1.0."""
    return sorted(
        (name, repr(value + 0.0) if isinstance(value, float) else f"{type(value).__name__} {value}")
        for name, value in row.items()
        if value is not None and name != INGESTED_AT
    )


def _refuse_unfit(left: pa.Table, right: pa.Table, entity: list[str], into: TableSpec, spine: TableRef) -> None:
    if not entity:
        raise StoreError("The feature table has no customer in its key: add one.")
    for table in (left, right):
        types = {field.name: field.type for field in table.schema}
        if types.get(EVENT_TIME) != TIME:
            raise StoreError(f"A table of the join has no time {EVENT_TIME!r}: add that column.")
        if FEATURE_TIME in types:
            raise StoreError(f"A table of the join has a column {FEATURE_TIME!r}, which the join makes: rename it.")
        for name in entity:
            if types.get(name) != right.schema.field(name).type:
                raise StoreError(f"A table of the join has no column {name!r} of the features' type: add it.")
    if not set(spine.key) <= set(into.key) <= set(left.column_names):
        raise StoreError(f"A row of {into.name!r} cannot be identified by ({', '.join(into.key)}): use the spine's.")


def _align(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `rows` with the columns of `schema` first, null where `rows` lacks them, then its own."""
    for field in schema:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select([*schema.names, *(name for name in rows.column_names if name not in schema.names)])
