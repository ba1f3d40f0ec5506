"""Replacing one batch of a table: its rows streamed into files, and the files that it takes the place of."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from churn.core.errors import StoreError
from churn.data.tables import INGESTED_AT
from churn.ports.tables import TableSpec

from .delta_table import DeltaVersion, Stamp
from .digest import Digest, digest_of
from .duck import Duck, Staged, literal, quoted, stage
from .rows import TIME, conform

__all__ = ["BatchReplacement"]


@dataclass(frozen=True)
class BatchReplacement:
    """Rows that are to be all rows of a table whose `column` is `value`.

    Attributes:
        table: The table.
        column: A text column of its key.
        value: What it is in every row.
        written: The rows, in files that belong to no version yet.
        digest: Of the rows.
    """

    table: TableSpec
    column: str
    value: str
    written: Staged
    digest: Digest

    @classmethod
    def stage(
        cls,
        duck: Duck,
        path: Path,
        *,
        table: TableSpec,
        column: str,
        value: str,
        rows: pa.RecordBatchReader,
        now: dt.datetime,
    ) -> BatchReplacement:
        """Write the rows to files, looking at each once; a column that the table has keeps its type.

        Raises:
            StoreError: a row is of another batch, a key is null or stands twice, or a column is of a type that the
                table, or any, cannot hold.
        """
        if column not in table.key:
            raise StoreError(f"Batches of {table.name!r} cannot be told by {column!r}: it is not in its key.")
        base = DeltaVersion.newest(path)
        stream = _Stream(rows, table, (column, value), now, base.schema if base else None)
        with duck.session() as connection:
            connection.register("given", pa.RecordBatchReader.from_batches(stream.schema, stream.batches()))
            try:
                written = stage(connection, "FROM given", path)
            except duckdb.Error:
                if stream.fault is not None:
                    raise stream.fault from None
                raise
            _refuse_twins(connection, table, written)
        return cls(table, column, value, written, stream.digest)

    def plan(self, connection: duckdb.DuckDBPyConnection, base: DeltaVersion) -> tuple[list[Path], Staged, Digest, int]:
        """Return the files that go, those that come, and what that adds to the table's digest and row count.

        Rows of other batches that share a file with those that go are written anew.
        """
        there, mine = base.relation(), f"{quoted(self.column)} = {literal(self.value)}"
        counted = f"SELECT file_index, count(*) FILTER ({mine}), count(*) FROM {there} GROUP BY ALL"
        per_file = [row for row in connection.execute(counted).fetchall() if row[1]]
        files = [base.files[position] for position, _, _ in per_file]
        names = ", ".join(map(quoted, base.schema.names))
        gone = connection.sql(f"SELECT {names} FROM {base.relation(files)} WHERE {mine}").to_arrow_reader()
        difference = self.digest - digest_of(gone, leave_out=[INGESTED_AT])
        comes = self.written
        if any(own < total for _, own, total in per_file):
            rest = (
                f"SELECT {names} FROM {base.relation(files)} WHERE {quoted(self.column)} IS DISTINCT FROM "
                + literal(self.value)
            )
            comes = replace(comes, files={**comes.files, **stage(connection, rest, base.path).files})
        return files, comes, difference, self.written.rows - sum(own for _, own, _ in per_file)

    def discard_all_but_the_batch(self, comes: Staged) -> None:
        """Remove the files that `plan` wrote for rows of other batches."""
        for folder in {file.parent for file in comes.files} - {self.written.folder}:
            shutil.rmtree(folder)

    def stamp(self) -> Stamp:
        """Return what a commit says of a table that holds this batch alone."""
        return Stamp(self.table.key, self.written.rows, str(self.digest))


class _Stream:
    """Record batches on their way into files: conformed, checked and digested as they pass."""

    def __init__(
        self,
        rows: pa.RecordBatchReader,
        table: TableSpec,
        batch: tuple[str, str],
        now: dt.datetime,
        existing: pa.Schema | None,
    ) -> None:
        self._rows, self._table, self._now, self._existing = rows, table, now, existing
        self._column, self._value = batch
        self.schema = self._conformed(rows.schema.empty_table()).schema
        self.digest = Digest()
        self.fault: Exception | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; what stops them is kept in `fault`, for DuckDB hides it."""
        try:
            for batch in self._rows:
                rows = self._conformed(pa.Table.from_batches([batch]))
                self._check(rows)
                self.digest += digest_of(rows.to_batches(), leave_out=[INGESTED_AT])
                yield from rows.cast(self.schema).to_batches()
        except Exception as fault:
            self.fault = fault
            raise

    def _conformed(self, rows: pa.Table) -> pa.Table:
        given = conform(rows, self._existing)
        if INGESTED_AT in given.column_names:
            return given
        return given.append_column(INGESTED_AT, pa.repeat(pa.scalar(self._now, TIME), given.num_rows))

    def _check(self, rows: pa.Table) -> None:
        for name in self._table.key:
            if name not in rows.column_names:
                raise StoreError(f"Rows of {self._table.name!r} need a key, and lack {name}: add the column.")
            if rows[name].null_count:
                raise StoreError(f"A row of {self._table.name!r} has no {name!r}, a part of the key: fill or drop it.")
        if not pc.all(pc.equal(rows[self._column], self._value)).as_py():
            raise StoreError(
                f"A row of {self._table.name!r} has another {self._column!r} than {self._value!r}, with which it is "
                "written: write each batch by itself."
            )


def _refuse_twins(connection: duckdb.DuckDBPyConnection, table: TableSpec, written: Staged) -> None:
    key = ", ".join(map(quoted, table.key))
    twins = connection.execute(
        f"SELECT {key} FROM {written.relation} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    if twins:
        written.discard()
        first = ", ".join(f"{name}={value}" for name, value in zip(table.key, twins[0], strict=True))
        raise StoreError(f"A key of {table.name!r} stands in more than one row ({first}): keep one row for each.")
