"""Erases rows from every version of a Delta table, and their bytes from the disk."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from churn.data.tables import INGESTED_AT

from .delta_table import DeltaVersion, Stamp
from .digest import Digest, digest_of
from .duck import Duck, literal, quoted, stage
from .vacuum import parquet_files, remove, versions_with

__all__ = ["erase_from_newest", "erase_from_older"]


def _holds(file: Path, column: str, values: Collection[str]) -> bool:
    """Return whether a Parquet file has a row whose text column is one of `values`."""
    rows = pyarrow.dataset.dataset(file, format="parquet")
    if column not in rows.schema.names or not pa.types.is_string(rows.schema.field(column).type):
        return False
    return bool(rows.count_rows(filter=pc.field(column).isin(list(values))))


def erase_from_newest(duck: Duck, base: DeltaVersion, before: Stamp, column: str, values: Collection[str]) -> int:
    """Commit a version without the rows, where the newest one has any, and return how many there were.

    Raises:
        Outrun: another writer made the next version first; nothing was written.
    """
    files = [file for file in base.files if _holds(file, column, values)]
    if not files or column not in base.schema.names:
        return 0
    names, stored = ", ".join(map(quoted, base.schema.names)), base.relation(files)
    chosen = f"{quoted(column)} IN ({', '.join(map(literal, values))})"
    with duck.session() as connection:
        gone = connection.sql(f"SELECT {names} FROM {stored} WHERE {chosen}").to_arrow_table()
        rest = f"SELECT {names} FROM {stored} WHERE ({chosen}) IS NOT TRUE"
        staged = stage(connection, rest, base.path)
    difference = digest_of(gone.to_batches(), leave_out=[INGESTED_AT])
    stamp = Stamp(before.key, before.rows - gone.num_rows, str(Digest.parse(before.digest) - difference))
    try:
        base.exchange(files, staged, stamp)
    except BaseException:
        staged.discard()
        raise
    return int(gone.num_rows)


def erase_from_older(table: Path, newest: DeltaVersion | None, column: str, values: Collection[str]) -> list[int]:
    """Remove every file with such a row that the newest version does not need, and return the versions that had one.

    Those of writers that never committed are among them.
    """
    needed = {*newest.files} if newest else set()
    files = [file for file in parquet_files(table) if file not in needed and _holds(file, column, values)]
    versions = versions_with(table, files)
    for file in files:
        remove(file)
    return versions
