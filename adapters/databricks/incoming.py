"""Rows to be written into a table of Unity Catalog: conformed, checked, and handed to Spark as a frame."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.core.errors import StoreError
from churn.data.tables import INGESTED_AT
from churn.ports.tables import TableSpec

from ..rows import TIME, check_key, conform
from ..spark.frames import arrow_schema, column, frame_from
from .catalog import UnityCatalog

__all__ = ["STAGING", "Incoming", "incoming", "staged"]

STAGING = "churn_staging_"
"""How the names of tables begin that hold rows for the time of one write; the time at which it began follows."""


@dataclass(frozen=True)
class Incoming:
    """Rows that a write brings.

    Attributes:
        frame: The rows, as Spark sees them.
        schema: Their columns, in the types that tables hold.
    """

    frame: Any
    schema: pa.Schema


@contextmanager
def incoming(
    catalog: UnityCatalog,
    table: TableSpec,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    now: dt.datetime,
    existing: pa.Schema | None = None,
    batch: tuple[str, str] | None = None,
    at_once: int = 65_536,
) -> Iterator[Incoming]:
    """Give Spark the rows of a write: at once where they are few, else in a table that is dropped at the end.

    Args:
        catalog: Where the table is, and the one that holds the rows meanwhile.
        table: Name and key.
        rows: The rows. Those without `ingested_at` get `now`.
        now: The time of the write.
        existing: Columns that keep their type.
        batch: A text column and the value that it has in every row.
        at_once: How many rows are sent to Spark at a time, and of a reader are held here.

    Raises:
        StoreError: a key is missing, null or stands twice, a row is of another batch, or a column is of a type that the
            table, or any, cannot hold.
    """

    def conformed(rows: pa.Table) -> pa.Table:
        fitting = conform(rows, existing)
        check_key(table, fitting)
        if batch is not None and pc.any(pc.not_equal(fitting[batch[0]], batch[1])).as_py():
            raise StoreError(
                f"A row of {table.name!r} has another {batch[0]!r} than {batch[1]!r}, with which it is written: write "
                "each batch by itself."
            )
        if INGESTED_AT in fitting.column_names:
            return fitting
        return fitting.append_column(INGESTED_AT, pa.repeat(pa.scalar(now, TIME), fitting.num_rows))

    parts = _parts(rows, conformed, at_once)
    first = next(parts)
    second = next(parts, None)
    session = catalog.session
    if second is None:
        yield Incoming(frame_from(session, first), first.schema)
        return
    frames = (frame_from(session, part.cast(first.schema)) for part in chain([first, second], parts))
    with _table_of(catalog, table.key, frames) as frame:
        _refuse_duplicates(frame, table)
        yield Incoming(frame, first.schema)


@contextmanager
def staged(catalog: UnityCatalog, frame: Any) -> Iterator[Incoming]:
    """Compute a frame once, into a table that is dropped at the end."""
    with _table_of(catalog, (), iter([frame])) as rows:
        yield Incoming(rows, arrow_schema(rows))


@contextmanager
def _table_of(catalog: UnityCatalog, key: tuple[str, ...], frames: Iterator[Any]) -> Iterator[Any]:
    name = f"{STAGING}{catalog.now():%Y%m%dt%H%M%S}_{uuid.uuid4().hex[:8]}"
    try:
        catalog.create(name, next(frames), key)
        for frame in frames:
            catalog.append(name, frame)
        yield catalog.rows(name)
    finally:
        catalog.drop(name)


def _parts(
    rows: pa.Table | pa.RecordBatchReader, conformed: Callable[[pa.Table], pa.Table], at_once: int
) -> Iterator[pa.Table]:
    """Yield the rows conformed, in parts of few rows; one without rows where there are none."""
    if isinstance(rows, pa.Table):
        whole = conformed(rows)
        for start in range(0, max(1, whole.num_rows), at_once):
            yield whole.slice(start, at_once)
        return
    held, sent = [rows.schema.empty_table()], False
    for arrived in rows:
        held.append(pa.Table.from_batches([arrived]))
        if sum(part.num_rows for part in held) >= at_once:
            yield conformed(pa.concat_tables(held))
            held, sent = held[:1], True
    if len(held) > 1 or not sent:
        yield conformed(pa.concat_tables(held))


def _refuse_duplicates(frame: Any, table: TableSpec) -> None:
    key = [column(name) for name in table.key]
    twins = frame.groupBy(*key).count().where("count > 1").limit(1).toArrow()
    if twins.num_rows:
        first = ", ".join(f"{name}={twins[position][0]}" for position, name in enumerate(table.key))
        raise StoreError(f"A key of {table.name!r} stands in more than one row ({first}): keep one row for each.")
