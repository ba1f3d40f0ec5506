"""Where the requests of an endpoint are logged: a table of the platform's, or one of our own in PostgreSQL."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from churn.core.errors import StoreError

if TYPE_CHECKING:
    from .catalog import UnityCatalog

__all__ = ["PostgresRequests", "UnityRequests"]

_HOUR = dt.timedelta(hours=1)
_COLUMNS = ("databricks_request_id", "client_request_id", "request_time", "status_code", "request", "response")
_CREATE = """
    CREATE SCHEMA IF NOT EXISTS {schema};
    CREATE TABLE IF NOT EXISTS {schema}.requests (
        databricks_request_id TEXT PRIMARY KEY, client_request_id TEXT, request_time TIMESTAMPTZ NOT NULL,
        status_code INTEGER NOT NULL, request TEXT NOT NULL, response TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS requests_time ON {schema}.requests (request_time);
"""


class UnityRequests:
    """An inference table, read by Spark.

    Args:
        catalog: A schema of Unity Catalog.
        table: The table in it.
    """

    def __init__(self, catalog: UnityCatalog, table: str) -> None:
        self._catalog, self._table = catalog, table

    def hours(self, since: dt.datetime | None) -> Sequence[dt.datetime]:
        """Return the hours that have requests; none before the platform has made the table."""
        if self._catalog.newest(self._table) is None:
            return []
        where = "" if since is None else f" WHERE request_time >= {_literal(since)}"
        query = "SELECT DISTINCT date_trunc('HOUR', request_time) AS hour FROM"
        rows = self._catalog.run(self._table, f"{query} {self._catalog.name(self._table)}{where} ORDER BY hour")
        return [hour.astimezone(dt.UTC) for hour in rows["hour"].to_pylist()]

    def of(self, hour: dt.datetime) -> Iterable[Mapping[str, Any]]:
        """Return the requests of an hour."""
        rows = self._catalog.run(
            self._table,
            f"SELECT {', '.join(_COLUMNS)} FROM {self._catalog.name(self._table)} "
            f"WHERE request_time >= {_literal(hour)} AND request_time < {_literal(hour + _HOUR)} "
            "ORDER BY request_time, databricks_request_id",
        )
        return list(rows.to_pylist())

    def close(self) -> None:
        """Nothing is open: the session is the program's."""


class PostgresRequests:
    """Our own log, in the schema of the online store: for workspaces whose platform logs nothing.

    Args:
        options: How to connect, as libpq takes it; called for each new connection.
        dataset: The data set.
    """

    def __init__(self, options: Callable[[], Mapping[str, Any]], dataset: str) -> None:
        self._options, self._schema = options, sql.Identifier(f"churn_{dataset}")
        self._lock = threading.Lock()
        self._open: psycopg.Connection[Any] | None = None

    def append(self, request: Mapping[str, Any]) -> None:
        """Log one request; raises StoreError where the store does not take it."""
        values = sql.SQL(", ").join(map(sql.Placeholder, _COLUMNS))
        insert = sql.SQL("INSERT INTO {schema}.requests VALUES ({values}) ON CONFLICT DO NOTHING")
        with self._lock:
            self._ask(insert.format(schema=self._schema, values=values), request)

    def hours(self, since: dt.datetime | None) -> Sequence[dt.datetime]:
        """Return the hours that have requests."""
        query = sql.SQL(
            "SELECT DISTINCT date_trunc('hour', request_time AT TIME ZONE 'UTC') AS hour FROM {schema}.requests "
            "WHERE request_time >= %(since)s ORDER BY hour"
        )
        with self._lock:
            rows = self._ask(
                query.format(schema=self._schema), {"since": since or dt.datetime.min.replace(tzinfo=dt.UTC)}
            )
        return [hour.replace(tzinfo=dt.UTC) for (hour,) in rows]

    def of(self, hour: dt.datetime) -> Iterable[Mapping[str, Any]]:
        """Return the requests of an hour."""
        query = sql.SQL(
            "SELECT {columns} FROM {schema}.requests WHERE request_time >= %(hour)s AND request_time < %(end)s "
            "ORDER BY request_time, databricks_request_id"
        ).format(columns=sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), schema=self._schema)
        with self._lock:
            return [
                dict(zip(_COLUMNS, row, strict=True)) for row in self._ask(query, {"hour": hour, "end": hour + _HOUR})
            ]

    def close(self) -> None:
        """Let go of the connection; a closed log may be used again."""
        with self._lock:
            self._hang_up()

    def _ask(self, query: sql.Composed, values: Mapping[str, Any]) -> list[Any]:
        """Run a query on the connection that is kept, or on a new one where the server has ended it."""
        for attempt in (1, 2):
            try:
                if self._open is None:
                    self._open = psycopg.connect(autocommit=True, connect_timeout=5, **self._options())
                    self._open.execute(sql.SQL(_CREATE).format(schema=self._schema))
                answer = self._open.execute(query, values)
                return answer.fetchall() if answer.description else []
            except psycopg.OperationalError as error:
                self._hang_up()
                if attempt == 2:
                    raise StoreError(f"The log of requests does not answer ({error}).") from error
            except psycopg.Error as error:
                raise StoreError(f"The log of requests refuses ({error}).") from error
        raise AssertionError("unreachable")

    def _hang_up(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _literal(moment: dt.datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}+00:00'"
