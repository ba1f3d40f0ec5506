"""Which of the rows given to a table are new, and which change a row that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from churn.data.tables import INGESTED_AT

from .delta_table import DeltaVersion
from .digest import Digest, digest_of
from .duck import quoted

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
    there = f"{base.relation(files)} AS there"
    comes = f"SELECT {columns} FROM written"
    goes = f"SELECT {columns} FROM {there} SEMI JOIN written USING ({using})"
    came, gone = (
        digest_of(connection.sql(query).to_arrow_reader(), leave_out=[INGESTED_AT]) for query in (comes, goes)
    )
    return Upsert(
        new=new,
        changed=sum(per_file.values()),
        difference=came - gone,
        files=files,
        content=f"SELECT {columns} FROM {there} ANTI JOIN written USING ({using}) UNION ALL {comes}",
    )
