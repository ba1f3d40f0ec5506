"""The change that a write makes to a table: rows an upsert adds or replaces, files of a replaced batch."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from churn.core.errors import StoreError
from churn.data.tables import INGESTED_AT
from churn.ports.tables import TableSpec

from .delta_table import DeltaVersion, Stamp
from .digest import Digest, digest_of
from .duck import Duck, Staged, literal, quoted, stage
from .incoming import stage_stream

__all__ = ["BatchReplacement", "Upsert", "plan_upsert"]


@dataclass(frozen=True)
class Upsert:
    """What an upsert has to write.

    Attributes:
        new: How many rows have a key that the table lacks.
        changed: How many rows have a key that it has, with other values.
        difference: What the upsert adds to the table's digest.
        files: The table's files that hold a row to be replaced.
        content: Selects the rows to be written in place of these files.
    """

    new: int
    changed: int
    difference: Digest
    files: tuple[Path, ...]
    content: str


def plan_upsert(connection: duckdb.DuckDBPyConnection, base: DeltaVersion, key: Sequence[str], rows: str) -> Upsert:
    """Compare `rows` with the table; a value that differs in `ingested_at` alone does not count.

    Args:
        connection: Where the comparison runs; `content` holds there.
        base: The table; a column that only it has counts as null in `rows`.
        key: The columns that identify a row.
        rows: What to select the rows from: each key once, without columns that the table lacks.
    """
    columns = ", ".join(map(quoted, base.schema.names))
    using = ", ".join(map(quoted, key))
    values = [quoted(name) for name in base.schema.names if name not in {*key, INGESTED_AT}]
    differs = " OR ".join(f"given.{name} IS DISTINCT FROM there.{name}" for name in values) or "false"
    connection.execute(f"""
        CREATE TEMP TABLE written AS
        SELECT given.*, there.file_index AS _file
        FROM {base.aligned(rows)} AS given LEFT JOIN {base.relation()} AS there USING ({using})
        WHERE there.file_index IS NULL OR {differs}""")
    per_file = dict(connection.execute("SELECT _file, count(*) FROM written GROUP BY _file").fetchall())
    new = per_file.pop(None, 0)
    files = tuple(base.files[position] for position in sorted(per_file))
    stored = f"{base.relation(files)} AS there"
    comes = f"SELECT {columns} FROM written"
    goes = f"SELECT {columns} FROM {stored} SEMI JOIN written USING ({using})"
    came, gone = (
        digest_of(connection.sql(query).to_arrow_reader(), leave_out=[INGESTED_AT]) for query in (comes, goes)
    )
    return Upsert(
        new=new,
        changed=sum(per_file.values()),
        difference=came - gone,
        files=files,
        content=f"SELECT {columns} FROM {stored} ANTI JOIN written USING ({using}) UNION ALL {comes}",
    )


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
            raise StoreError(f"Batches of {table.name!r} cannot be identified by {column!r}: it is not in its key.")
        base = DeltaVersion.newest(path)
        written, digest = stage_stream(
            duck, path, table, rows, now=now, existing=base.schema if base else None, batch=(column, value)
        )
        return cls(table, column, value, written, digest)

    def plan(self, connection: duckdb.DuckDBPyConnection, base: DeltaVersion) -> tuple[list[Path], Staged, Digest, int]:
        """Return the files that go, those that come, and what that adds to the table's digest and row count.

        Rows of other batches that share a file with those that go are written anew.
        """
        table, mine = base.relation(), f"{quoted(self.column)} = {literal(self.value)}"
        counted = f"SELECT file_index, count(*) FILTER ({mine}), count(*) FROM {table} GROUP BY ALL"
        per_file = [row for row in connection.execute(counted).fetchall() if row[1]]
        files = [base.files[position] for position, _, _ in per_file]
        names = ", ".join(map(quoted, base.schema.names))
        removed = connection.sql(f"SELECT {names} FROM {base.relation(files)} WHERE {mine}").to_arrow_reader()
        difference = self.digest - digest_of(removed, leave_out=[INGESTED_AT])
        comes = self.written
        if any(replaced < total for _, replaced, total in per_file):
            rest = (
                f"SELECT {names} FROM {base.relation(files)} WHERE {quoted(self.column)} IS DISTINCT FROM "
                + literal(self.value)
            )
            comes = replace(comes, files={**comes.files, **stage(connection, rest, base.path).files})
        return files, comes, difference, self.written.rows - sum(replaced for _, replaced, _ in per_file)

    def discard_all_but_the_batch(self, comes: Staged) -> None:
        """Remove the files that `plan` wrote for rows of other batches."""
        for folder in {file.parent for file in comes.files} - {self.written.folder}:
            shutil.rmtree(folder)

    def stamp(self) -> Stamp:
        """Return what a commit says of a table that holds this batch alone."""
        return Stamp(self.table.key, self.written.rows, str(self.digest))
