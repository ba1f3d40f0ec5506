"""The online store in SQLite: one row a customer; readers do not wait for the publisher."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from churn.core.errors import StoreError
from churn.ports.online import OnlineColumns, OnlineRow, OnlineStore, OnlineWriter, Publication

from .packed_rows import FORMAT, check_format, columns_text, names_in, pack, publication_of, unpack

__all__ = ["SqliteOnlineStore"]

_LOCK_SECONDS = 60
_AT_ONCE = 500
_TABLES = """
    CREATE TABLE IF NOT EXISTS layouts (layout INTEGER PRIMARY KEY, columns TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS features (
        customer TEXT PRIMARY KEY, layout INTEGER NOT NULL, event_time INTEGER NOT NULL, arrived_at INTEGER NOT NULL,
        table_version INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS publications (number INTEGER PRIMARY KEY, publication TEXT NOT NULL);
"""
_UPSERT = """
    INSERT INTO features (table_version, layout, customer, event_time, arrived_at, row)
    VALUES ({table_version:d}, {layout:d}, ?, ?, ?, ?)
    ON CONFLICT (customer) DO UPDATE SET event_time = excluded.event_time, arrived_at = excluded.arrived_at,
        table_version = excluded.table_version, layout = excluded.layout, row = excluded.row
"""
_UNLESS_NEWER = " WHERE (excluded.event_time, excluded.arrived_at) >= (event_time, arrived_at)"
_SELECT = "SELECT customer, layout, event_time, arrived_at, table_version, row FROM features"


class SqliteOnlineStore(OnlineStore):
    """Rows in the file `<folder>/<dataset>.db`; each thread that reads has a connection of its own."""

    def __init__(self, folder: Path, dataset: str) -> None:
        """Do nothing yet: the file is made by the first publication."""
        self._path = folder / f"{dataset}.db"
        self._threads = threading.local()
        self._layouts: dict[int, tuple[str, ...]] = {}
        self._file = -1

    def publication(self) -> Publication | None:
        """Read the newest record; notice here that the file is another one."""
        with self._explained():
            file = self._path.stat().st_ino if self._path.exists() else -1
            if file != self._file:
                self._file, self._layouts = file, {}
            if (connection := self._reader()) is None:
                return None
            row = connection.execute("SELECT publication FROM publications ORDER BY number DESC LIMIT 1").fetchone()
        return publication_of(row[0], str(self._path)) if row else None

    @contextmanager
    def publishing(self, columns: OnlineColumns, *, full: bool) -> Iterator[OnlineWriter]:
        """Hold a lock of the operating system on a file beside the database."""
        with self._explained():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_suffix(".lock")).acquire()
        with lock, self._explained(), closing(self._opened()) as connection:
            connection.executescript(_TABLES)
            connection.execute("PRAGMA cache_size = -65536")
            # Pages of the index change in every batch: they are copied into the file after several, not after each.
            connection.execute("PRAGMA wal_autocheckpoint = 32768")
            text = columns_text(columns)
            layout = connection.execute("SELECT max(layout) FROM layouts WHERE columns = ?", (text,)).fetchone()[0]
            if layout is None:
                layout = connection.execute("INSERT INTO layouts (columns) VALUES (?)", (text,)).lastrowid
            yield _Writer(connection, layout, full=full)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rows(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
        """Read some hundred rows at a time by the primary key."""
        rows: list[OnlineRow] = []
        try:
            if (connection := self._reader()) is None:
                return rows
            for start in range(0, len(customers), _AT_ONCE):
                asked = customers[start : start + _AT_ONCE]
                for stored in connection.execute(_select(len(asked)), asked).fetchall():
                    rows.append(self._row(connection, *stored))
        except (OSError, sqlite3.Error) as error:
            raise self._silent(error) from error
        return rows

    def customers(self) -> Iterator[str]:
        """Stream the keys."""
        with self._explained():
            if (connection := self._reader()) is not None:
                yield from (customer for (customer,) in connection.execute("SELECT customer FROM features"))

    def erase(self, customer: str) -> bool:
        """Delete the row and write the file anew: pages that are free hold what was deleted."""
        with self._explained():
            if not self._path.exists():
                return False
            lock = FileLock(self._path.with_suffix(".lock")).acquire()
        with lock, self._explained(), closing(self._opened()) as connection:
            connection.executescript(_TABLES)
            deleted = connection.execute("DELETE FROM features WHERE customer = ?", (customer,)).rowcount > 0
            if deleted:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted

    def close(self) -> None:
        """Close this thread's connection."""
        _, connection = self._threads.__dict__.pop("opened", (None, None))
        if connection is not None:
            connection.close()

    def _row(self, connection: sqlite3.Connection, customer: str, layout: int, *packed: Any) -> OnlineRow:
        names = self._layouts.get(layout)
        if names is None:
            (text,) = connection.execute("SELECT columns FROM layouts WHERE layout = ?", (layout,)).fetchone()
            names = self._layouts[layout] = names_in(text)
        return unpack(names, customer, *packed)

    def _reader(self) -> sqlite3.Connection | None:
        """Return this thread's connection to the file that is there now; None where there is no store yet."""
        file, connection = getattr(self._threads, "opened", (-1, None))
        if (connection is None or file != self._file) and self._path.exists():
            self.close()
            connection = self._opened()
            connection.execute("PRAGMA query_only = 1")
            self._file = self._path.stat().st_ino
            self._threads.opened = (self._file, connection)
        return connection

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_LOCK_SECONDS, isolation_level=None)
        (stored_format,) = connection.execute("PRAGMA user_version").fetchone()
        if stored_format == 0:  # a new file
            connection.execute("PRAGMA page_size = 8192")  # half as many to write, check and copy as of 4096
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        else:
            check_format(stored_format, str(self._path))
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo the last batches, and harms none
        connection.execute("PRAGMA mmap_size = 1073741824")
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> StoreError:
        return StoreError(
            f"The online store {self._path} does not answer ({error}): see that its folder can be written and the disk "
            "has room, or remove the file and run `python run.py features publish`."
        )


@cache
def _select(customers: int) -> str:
    return f"{_SELECT} WHERE customer IN ({', '.join('?' * customers)})"


class _Writer(OnlineWriter):
    def __init__(self, connection: sqlite3.Connection, layout: int, *, full: bool) -> None:
        self._connection, self._layout = connection, layout
        self._statement = _UPSERT if full else _UPSERT + _UNLESS_NEWER

    def write(self, rows: pa.RecordBatch, table_version: int) -> None:
        """Write the rows in one transaction."""
        statement = self._statement.format(table_version=table_version, layout=self._layout)
        with self._transaction():
            self._connection.executemany(statement, pack(rows))

    def remove(self, customers: Sequence[str]) -> int:
        """Delete them in one transaction."""
        with self._transaction():
            names = ((customer,) for customer in customers)
            return self._connection.executemany("DELETE FROM features WHERE customer = ?", names).rowcount

    def record(self, publication: Publication) -> None:
        """Replace the record in one transaction."""
        with self._transaction():
            self._connection.execute("DELETE FROM publications")
            self._connection.execute(
                "INSERT INTO publications (publication) VALUES (?)", (publication.model_dump_json(),)
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
