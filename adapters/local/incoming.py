"""Record batches to be written into a table's files: conformed, checked and digested as they stream."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.core.errors import StoreError
from churn.data.tables import INGESTED_AT
from churn.ports.tables import TableSpec

from ..rows import TIME, conform
from .digest import Digest, digest_of, row_words
from .duck import Duck, Staged, quoted, stage

__all__ = ["stage_stream"]

_ROWS = 16_384
"""Rows that are conformed at a time: text that repeats becomes several times as large."""


def stage_stream(
    duck: Duck,
    path: Path,
    table: TableSpec,
    rows: pa.RecordBatchReader,
    *,
    now: dt.datetime,
    existing: pa.Schema | None = None,
    batch: tuple[str, str] | None = None,
) -> tuple[Staged, Digest]:
    """Write streamed rows to files in a folder of the table `path`, which belong to no version yet.

    Args:
        duck: Writes the files, within its memory.
        path: The table's folder.
        table: Name and key.
        rows: The rows, looked at once; those without `ingested_at` get `now`.
        now: The time of the write.
        existing: Columns that keep their type.
        batch: A text column and the value that it has in every row.

    Returns:
        The files, and the digest of the rows.

    Raises:
        StoreError: a key is missing, null or duplicated, a row is of another batch, or a column is of a type that the
            table, or any, cannot hold.
    """
    stream = _Stream(rows, table, batch, now, existing)
    with duck.session() as connection:
        connection.register("given", pa.RecordBatchReader.from_batches(stream.schema, stream.batches()))
        try:
            written = stage(connection, "FROM given", path)
        except duckdb.Error:
            if stream.fault is not None:
                raise stream.fault from None
            raise
        if stream.may_repeat_a_key():
            _refuse_duplicates(connection, table, written)
    return written, stream.digest


class _Stream:
    """The batches, with the digest of those that have passed."""

    def __init__(
        self,
        rows: pa.RecordBatchReader,
        table: TableSpec,
        batch: tuple[str, str] | None,
        now: dt.datetime,
        existing: pa.Schema | None,
    ) -> None:
        self._rows, self._table, self._batch, self._now, self._existing = rows, table, batch, now, existing
        self.schema = self._conformed(rows.schema.empty_table()).schema
        self.digest = Digest()
        self.fault: Exception | None = None
        self._keys = [np.empty(0, dtype=np.uint64)]

    def may_repeat_a_key(self) -> bool:
        """Return whether two rows have the same 64 bits of their key; rarely they have two keys. 8 bytes a row."""
        first = np.uint64(60)
        parts = (np.concatenate([keys[keys >> first == part] for keys in self._keys]) for part in range(16))
        return any(len(np.unique(keys)) < len(keys) for keys in parts)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; what stops them is kept in `fault`, for DuckDB hides it."""
        try:
            for batch in self._rows:
                for start in range(0, batch.num_rows, _ROWS):
                    rows = self._conformed(pa.Table.from_batches([batch.slice(start, _ROWS)]))
                    self._check(rows)
                    for part in rows.cast(self.schema).to_batches():
                        self.digest += digest_of([part], leave_out=[INGESTED_AT])
                        self._keys.append(row_words(part, self._table.key))
                        yield part
        except Exception as fault:
            self.fault = fault
            raise

    def _conformed(self, rows: pa.Table) -> pa.Table:
        conformed = conform(rows, self._existing)
        if INGESTED_AT in conformed.column_names:
            return conformed
        return conformed.append_column(INGESTED_AT, pa.repeat(pa.scalar(self._now, TIME), conformed.num_rows))

    def _check(self, rows: pa.Table) -> None:
        for name in self._table.key:
            if name not in rows.column_names:
                raise StoreError(f"Rows of {self._table.name!r} need a key, and lack {name}: add the column.")
            if rows[name].null_count:
                raise StoreError(f"A row of {self._table.name!r} has no {name!r}, a part of the key: fill or drop it.")
        if self._batch is None:
            return
        column, value = self._batch
        if not pc.all(pc.equal(rows[column], value)).as_py():
            raise StoreError(
                f"A row of {self._table.name!r} has another {column!r} than {value!r}, with which it is written: write "
                "each batch by itself."
            )


def _refuse_duplicates(connection: duckdb.DuckDBPyConnection, table: TableSpec, written: Staged) -> None:
    key = ", ".join(map(quoted, table.key))
    twins = connection.execute(
        f"SELECT {key} FROM {written.relation} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    if twins:
        written.discard()
        first = ", ".join(f"{name}={value}" for name, value in zip(table.key, twins[0], strict=True))
        raise StoreError(f"A key of {table.name!r} stands in more than one row ({first}): keep one row for each.")
