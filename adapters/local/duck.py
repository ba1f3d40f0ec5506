"""DuckDB within fixed memory, and the Parquet files that it writes for tables."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from .at_work import AtWork

__all__ = ["ROW_GROUP", "Duck", "Staged", "literal", "quoted", "stage"]

ROW_GROUP = 61_440
"""Rows in a row group: what one thread of DuckDB reads or writes at a time, and holds in memory meanwhile."""

# A dictionary pays for columns of few values; to look for one in the others costs a third of the writing time.
_PARQUET = f"FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP}, ROW_GROUPS_PER_FILE 18, DICTIONARY_SIZE_LIMIT 1024"


# To open a database takes 25 ms, to open another connection to it less than one.
_OPEN: dict[tuple[int, Duck], tuple[duckdb.DuckDBPyConnection, Path]] = {}
_OPENING = threading.Lock()
_KEPT = 2


@dataclass(frozen=True)
class Staged:
    """Parquet files in a folder within a table's folder, which belong to no version yet.

    Attributes:
        folder: Where they lie, and nothing else.
        files: Rows and bytes of each.
        schema: Their columns, in the types that tables hold.
    """

    folder: Path
    files: Mapping[Path, tuple[int, int]]
    schema: pa.Schema

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(rows for rows, _ in self.files.values())

    @property
    def relation(self) -> str:
        """The rows as something to select from."""
        return f"read_parquet([{', '.join(literal(str(file)) for file in self.files)}])"

    def discard(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Duck:
    """How to open DuckDB.

    Attributes:
        memory_limit: What it may hold in memory, such as "1GB".
        threads: How many threads it may use.
        spill: The folder in which it may make a folder for what does not fit, gone with the session.
    """

    memory_limit: str
    threads: int
    spill: Path

    @contextmanager
    def session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a connection whose times are UTC, with no tables but those that it makes for itself."""
        AtWork(self.spill).note(in_place_of_dead=True)
        key = (os.getpid(), self)  # a fork has none of the threads of its parent's database
        with _OPENING:
            database, spill = _OPEN.pop(key) if key in _OPEN else self._database()
            _OPEN[key] = database, spill
            for old in [other for other in _OPEN if other[0] == key[0]][:-_KEPT]:
                del _OPEN[old]
        try:
            with database.cursor() as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute("SET enable_progress_bar = false")  # it would be drawn into the output of a run
                yield connection
        finally:
            if spill.exists():  # it goes with its database
                with _OPENING:
                    _OPEN.pop(key, None)

    def _database(self) -> tuple[duckdb.DuckDBPyConnection, Path]:
        spill = self.spill / f".spill-{uuid.uuid4()}"
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self.memory_limit,
            "threads": self.threads,
            "preserve_insertion_order": False,  # or results would wait in memory for their turn
            "temp_directory": str(spill),
            "enable_external_file_cache": False,  # or what was read once would fill the memory
            "autoinstall_known_extensions": False,
        }
        return duckdb.connect(config=settings), spill


def stage(connection: duckdb.DuckDBPyConnection, query: str, table: Path) -> Staged:
    """Write the rows of a query to new files in a folder of their own within the folder `table`."""
    folder = table / str(uuid.uuid4())
    folder.mkdir(parents=True)
    AtWork(table.parent).note(in_place_of_dead=True)
    try:
        copy = f"COPY ({query}) TO {literal(str(folder))} ({_PARQUET}, RETURN_STATS)"
        written = connection.execute(copy).fetchall()
    except duckdb.Error:
        shutil.rmtree(folder)
        raise
    files = {Path(path): (rows, size) for path, rows, size, *_ in written}
    return Staged(folder, files, pq.read_schema(next(iter(files))))


def quoted(name: str) -> str:
    """Return a column name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
