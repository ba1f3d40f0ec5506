"""The online store in PostgreSQL, for several machines: the same rows as in SQLite, in a schema of the data set's."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg_pool import ConnectionPool, PoolTimeout

from churn.core.errors import StoreError
from churn.ports.online import OnlineColumns, OnlineRow, OnlineStore, OnlineWriter, Publication

from .packed_rows import FORMAT, check_format, columns_text, names_in, pack, publication_of, unpack

__all__ = ["PostgresOnlineStore"]

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 2
"""How long a reader waits for an answer."""
_PAUSE_SECONDS = 5
"""After a fault readers are refused at once for so long, so that requests that need no look-up do not wait for them."""
_LIFETIME_SECONDS = 45 * 60
"""Connections are renewed before a password of one hour ends."""
_TABLES = """
    CREATE SCHEMA IF NOT EXISTS {schema};
    CREATE TABLE IF NOT EXISTS {schema}.format (format INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS {schema}.layouts (layout SERIAL PRIMARY KEY, columns TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS {schema}.features (
        customer TEXT PRIMARY KEY, layout INTEGER NOT NULL, event_time BIGINT NOT NULL, arrived_at BIGINT NOT NULL,
        table_version BIGINT NOT NULL, row TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS {schema}.publications (publication TEXT NOT NULL);
    CREATE TEMP TABLE incoming (customer TEXT, event_time BIGINT, arrived_at BIGINT, row TEXT);
"""
_UPSERT = """
    INSERT INTO {schema}.features AS stored (customer, layout, event_time, arrived_at, table_version, row)
    SELECT customer, %s, event_time, arrived_at, %s, row FROM incoming
    ON CONFLICT (customer) DO UPDATE SET event_time = excluded.event_time, arrived_at = excluded.arrived_at,
        table_version = excluded.table_version, layout = excluded.layout, row = excluded.row
"""
_UNLESS_NEWER = " WHERE (excluded.event_time, excluded.arrived_at) >= (stored.event_time, stored.arrived_at)"
_SELECT = "SELECT customer, layout, event_time, arrived_at, table_version, row FROM {schema}.features"


class PostgresOnlineStore(OnlineStore):
    """Rows in the schema `churn_<dataset>`; readers share a pool of connections."""

    def __init__(
        self,
        address: str,
        dataset: str,
        password: Callable[[], str | None] = lambda: None,
        *,
        options: Callable[[], Mapping[str, Any]] | None = None,
        patience: float = 0.5,
    ) -> None:
        """Do nothing yet: connections are opened when something is asked for.

        Args:
            address: As libpq takes it, without a password: `postgresql://user@host:5432/database`.
            dataset: The data set.
            password: Called for each new connection, so that passwords may change; None where none is needed.
            options: Called for each new connection, where it says how to connect; `address` is then a name alone.
            patience: Seconds that a reader waits for a connection where those before it have ended.
        """
        self._address, self._password, self._given, self._patience = address, password, options, patience
        self._schema = sql.Identifier(f"churn_{dataset}")
        self._select = self._of_schema(_SELECT + " WHERE customer = ANY(%s)").as_string()
        self._layouts: dict[int, tuple[str, ...]] = {}
        self._opening = threading.Lock()
        self._pool: ConnectionPool[Any] | None = None
        self._fault: StoreError | None = None
        self._again_at = 0.0

    def publication(self) -> Publication | None:
        """Read the record."""
        with self._connection() as connection:
            if not self._is_there(connection):
                return None
            row = self._ask(connection, "SELECT publication FROM {schema}.publications").fetchone()
        return publication_of(row[0], self._address) if row else None

    @contextmanager
    def publishing(self, columns: OnlineColumns, *, full: bool) -> Iterator[OnlineWriter]:
        """Hold an advisory lock of the server, which ends with the connection."""
        with self._explained(), psycopg.connect(**self._options()) as connection:
            connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (self._schema.as_string(),))
            connection.execute("SET synchronous_commit = off")  # a power cut may undo the last batches, and harms none
            is_there = self._is_there(connection)
            self._ask(connection, _TABLES)
            if not is_there:
                self._ask(connection, "INSERT INTO {schema}.format VALUES (%s)", FORMAT)
            text = columns_text(columns)
            ((layout,),) = self._ask(connection, "SELECT max(layout) FROM {schema}.layouts WHERE columns = %s", text)
            if layout is None:
                made = "INSERT INTO {schema}.layouts (columns) VALUES (%s) RETURNING layout"
                ((layout,),) = self._ask(connection, made, text)
            yield _Writer(connection, self._of_schema, layout, full=full)

    def rows(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
        """Read all of them at once by the primary key, with a statement that the server has prepared.

        Connections that the server has ended, such as by a restart, are replaced once.
        """
        if self._fault is not None and time.monotonic() < self._again_at:
            raise self._fault
        readable = [customer for customer in customers if "\0" not in customer]  # which no text of PostgreSQL holds
        try:
            with self._explained():
                try:
                    rows = self._read(readable)
                except (psycopg.errors._WaitTimeout, PoolTimeout):
                    raise
                except psycopg.OperationalError:
                    self._opened().check()
                    rows = self._read(readable)
        except StoreError as fault:
            self._fault, self._again_at = fault, time.monotonic() + _PAUSE_SECONDS
            raise
        self._fault = None
        return rows

    def customers(self) -> Iterator[str]:
        """Stream the keys by a cursor of the server's."""
        with self._connection() as connection, connection.transaction():
            if self._is_there(connection):
                with connection.cursor("customers") as cursor:
                    cursor.execute(self._of_schema("SELECT customer FROM {schema}.features"))
                    yield from (customer for (customer,) in cursor)

    def erase(self, customer: str) -> bool:
        """Delete the row and write the table anew; the server's own log keeps it for as long as it is set up to."""
        with self._explained(), psycopg.connect(**self._options()) as connection:
            connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (self._schema.as_string(),))
            if not self._is_there(connection):
                return False
            deleted = self._ask(connection, "DELETE FROM {schema}.features WHERE customer = %s", customer).rowcount > 0
            if deleted:
                self._ask(connection, "VACUUM (FULL) {schema}.features")
            return deleted

    def close(self) -> None:
        """Close the pool."""
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _read(self, customers: list[str]) -> list[OnlineRow]:
        seconds = _CONNECT_SECONDS if self._pool is None else self._patience
        with self._opened().connection(seconds) as connection:
            try:
                stored = connection.execute(self._select, (customers,), prepare=True).fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                return []
            return [self._row(connection, *row) for row in stored]

    def _row(self, connection: psycopg.Connection[Any], customer: str, layout: int, *packed: Any) -> OnlineRow:
        names = self._layouts.get(layout)
        if names is None:
            ((text,),) = self._ask(connection, "SELECT columns FROM {schema}.layouts WHERE layout = %s", layout)
            names = self._layouts[layout] = names_in(text)
        return unpack(names, customer, *packed)

    def _is_there(self, connection: psycopg.Connection[Any]) -> bool:
        """Return whether something was ever published, in a format that this code reads."""
        try:
            row = self._ask(connection, "SELECT format FROM {schema}.format").fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return False
        if row is not None:
            check_format(row[0], f"{self._address} ({self._schema.as_string()})")
        return row is not None

    def _ask(self, connection: psycopg.Connection[Any], query: str, *values: object) -> psycopg.Cursor[Any]:
        return connection.execute(self._of_schema(query), values or None)

    def _of_schema(self, query: str) -> sql.Composed:
        return sql.SQL(query).format(schema=self._schema)

    def _options(self) -> dict[str, Any]:
        """Return how to connect, with the password of now."""
        options = {"conninfo": self._address, "autocommit": True, "connect_timeout": _CONNECT_SECONDS}
        if self._given is not None:
            return {**options, "conninfo": "", **self._given()}
        password = self._password()
        return options if password is None else {**options, "password": password}

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        with self._explained():
            pool = self._pool or self._opened()
            with pool.connection() as connection:
                yield connection

    def _opened(self) -> ConnectionPool[Any]:
        with self._opening:
            if self._pool is None:
                self._options()  # its errors are raised here, and not by a thread of the pool
                options = lambda: {name: value for name, value in self._options().items() if name != "conninfo"}  # noqa: E731
                logging.getLogger("psycopg").setLevel(logging.ERROR)  # what it warns of is raised here
                self._pool = ConnectionPool(
                    "" if self._given else self._address,
                    connection_class=_Impatient,
                    kwargs=options,
                    min_size=1,
                    max_size=8,
                    timeout=_CONNECT_SECONDS,
                    max_lifetime=_LIFETIME_SECONDS,
                    reconnect_timeout=1,  # whoever asks next lets it try again
                    open=True,
                )
            return self._pool

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, PoolTimeout) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise StoreError(
                f"The online store {self._address} does not answer ({reason}): see that the server runs and that "
                "`profile.online` names its address and who may write there."
            ) from error


class _Impatient(psycopg.Connection[Any]):
    """A connection that does not wait for ever for a server that has stopped answering."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for what `gen` asks the server; raises OperationalError after two seconds without an answer."""
        return super().wait(gen, interval, _ANSWER_SECONDS if timeout is None else timeout)


class _Writer(OnlineWriter):
    def __init__(
        self, connection: psycopg.Connection[Any], of_schema: Callable[[str], sql.Composed], layout: int, *, full: bool
    ) -> None:
        self._connection, self._of_schema, self._layout = connection, of_schema, layout
        self._statement = of_schema(_UPSERT if full else _UPSERT + _UNLESS_NEWER)

    def write(self, rows: pa.RecordBatch, table_version: int) -> None:
        """Copy the rows into a temporary table, and take them from there, in one transaction."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("TRUNCATE incoming")
            with cursor.copy("COPY incoming FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "int8", "int8", "text"])
                for row in pack(rows):
                    copy.write_row(row)
            cursor.execute(self._statement, (self._layout, table_version))

    def remove(self, customers: Sequence[str]) -> int:
        """Delete them by one statement."""
        query = self._of_schema("DELETE FROM {schema}.features WHERE customer = ANY(%s)")
        return self._connection.execute(query, (list(customers),)).rowcount

    def record(self, publication: Publication) -> None:
        """Replace the record in one transaction."""
        with self._connection.transaction():
            self._connection.execute(self._of_schema("DELETE FROM {schema}.publications"))
            self._connection.execute(
                self._of_schema("INSERT INTO {schema}.publications VALUES (%s)"), (publication.model_dump_json(),)
            )
