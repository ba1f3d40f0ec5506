"""Which of the rows given to a table are new, and which change a row that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from churn.data.tables import INGESTED_AT

from .delta_table import DeltaVersion
from .digest import Digest, digest_of
from .duck import quoted
from .rows import align

__all__ = ["Upsert", "plan_upsert"]


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


def plan_upsert(
    connection: duckdb.DuckDBPyConnection, base: DeltaVersion, key: Sequence[str], rows: pa.Table
) -> Upsert:
    """Compare `rows` with the table; a value that differs in `ingested_at` alone does not count.

    Args:
        connection: Where the comparison runs; `content` holds there.
        base: The table; a column that only it has counts as null in `rows`.
        key: The columns that identify a row.
        rows: Rows in the table's types, each key once, without columns that the table lacks.
    """
    aligned = align(rows, base.schema)
    columns = ", ".join(map(quoted, aligned.column_names))
    using = ", ".join(map(quoted, key))
    values = [quoted(name) for name in aligned.column_names if name not in {*key, INGESTED_AT}]
    differs = " OR ".join(f"given.{name} IS DISTINCT FROM there.{name}" for name in values) or "false"
    connection.register("given", aligned)
    connection.execute(f"""
        CREATE TEMP TABLE written AS
        SELECT given.*, there.file_index AS _file
        FROM given LEFT JOIN {base.relation()} AS there USING ({using})
        WHERE there.file_index IS NULL OR {differs}""")
    per_file = dict(connection.execute("SELECT _file, count(*) FROM written GROUP BY _file").fetchall())
    new = per_file.pop(None, 0)
    files = tuple(base.files[position] for position in sorted(per_file))
    there = f"{base.relation(files)} AS there"
    comes = f"SELECT {columns} FROM written"
    goes = f"SELECT {columns} FROM {there} SEMI JOIN written USING ({using})"
    came, gone = (digest_of(connection.sql(rows).to_arrow_reader(), leave_out=[INGESTED_AT]) for rows in (comes, goes))
    return Upsert(
        new=new,
        changed=sum(per_file.values()),
        difference=came - gone,
        files=files,
        content=f"SELECT {columns} FROM {there} ANTI JOIN written USING ({using}) UNION ALL {comes}",
    )
