"""A Spark session as Databricks gives it, on Sail: a Spark Connect server with Delta, which executes the adapters' SQL.

Sail has no DESCRIBE HISTORY, SHOW TBLPROPERTIES, constraints, tags or change data feed, its catalog is forgotten with
the session, and it reads columns of older versions by path alone. `SailSession` answers these from the tables' logs, by
delta-rs, and keeps tables in a folder that several processes share. Statements that change what Unity Catalog says of a
table, and no row, are recorded in `governed`.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from adapters.databricks.catalog import UnityCatalog

__all__ = ["SailCatalog", "SailSession", "activated", "sail_catalog", "start_server"]

CATALOG = "main"
_NAME = r"(`[^`]+`\.`[^`]+`\.`[^`]+`)"
_ASKED = {
    "history": re.compile(rf"DESCRIBE HISTORY {_NAME}"),
    "properties": re.compile(rf"SHOW TBLPROPERTIES {_NAME}"),
    "version": re.compile(rf"SELECT \* FROM {_NAME} VERSION AS OF (\d+)"),
    "rows": re.compile(rf"SELECT \* FROM {_NAME}"),
    "create": re.compile(rf"(CREATE TABLE (?:IF NOT EXISTS )?{_NAME}.*?USING DELTA)(.*)", re.DOTALL),
    "drop": re.compile(rf"DROP TABLE IF EXISTS {_NAME}"),
    "govern": re.compile(rf"COMMENT ON .*|REORG .*|ALTER TABLE {_NAME} (?:ALTER|ADD|DROP|SET TAGS) .*", re.DOTALL),
}
_CHANGE_DATA_FEED = "'delta.enableChangeDataFeed' = 'true', "


@cache
def start_server() -> str:
    """Start a server in this process, and return the address of its Spark Connect."""
    os.environ["SAIL_CATALOG__LIST"] = f'[{{type="memory", name="{CATALOG}", initial_database=["default"]}}]'
    os.environ["SAIL_CATALOG__DEFAULT_CATALOG"] = CATALOG
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(port=0)
    server.start(background=True)
    _SERVERS.append(server)
    host, port = server.listening_address
    return f"sc://{host}:{port}"


_SERVERS: list[Any] = []


@cache
def _session(address: str) -> Any:
    """Return the one session of this process: with two dozen a server stands still."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(address).create()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


class SailSession:
    """What the adapters ask of a Spark session.

    Args:
        address: Of the server.
        warehouse: The folder of the tables, one folder a schema; other processes may work in it at the same time.
        schema: The schema to see; all where it is `*`.
    """

    def __init__(self, address: str, warehouse: Path, schema: str = "*") -> None:
        self.governed: list[str] = []
        self._warehouse, self._schema = warehouse, schema
        self._newest: dict[Path, Path] = {}
        self._columns: dict[Path, str] = {}
        self._lock = threading.RLock()
        self._sail = _session(address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sail, name)

    def path(self, name: str) -> Path:
        """Return the folder of a table, by its full name in SQL."""
        _, schema, table = re.findall(r"`([^`]+)`", name)
        return self._warehouse / schema / table

    def sql(self, statement: str) -> Any:
        """Run a statement, or answer it for Sail."""
        self._see_what_others_made()
        for kind, pattern in _ASKED.items():
            if found := pattern.fullmatch(statement):
                return getattr(self, f"_{kind}")(*found.groups(), statement=statement)
        return self._sail.sql(statement)

    def _history(self, name: str, *, statement: str) -> Any:
        try:
            commits = DeltaTable(self.path(name)).history()
        except TableNotFoundError:
            return self._sail.sql(f"SELECT * FROM {name}")
        times = [dt.datetime.fromtimestamp(commit["timestamp"] / 1000, dt.UTC) for commit in commits]
        versions = pa.array([commit["version"] for commit in commits])
        return self._frame(version=versions, timestamp=pa.array(times, pa.timestamp("us", "UTC")))

    def _properties(self, name: str, *, statement: str) -> Any:
        said = DeltaTable(self.path(name)).metadata().configuration
        return self._frame(key=pa.array(said.keys(), pa.string()), value=pa.array(said.values(), pa.string()))

    def _version(self, name: str, version: str, *, statement: str) -> Any:
        return _opaque(self._sail.read.format("delta").option("versionAsOf", version).load(str(self.path(name))))

    def _rows(self, name: str, *, statement: str) -> Any:
        return _opaque(self._sail.sql(statement))

    def _create(self, begin: str, name: str, rest: str, *, statement: str) -> Any:
        return self._sail.sql(f"{begin} LOCATION '{self.path(name)}'{rest.replace(_CHANGE_DATA_FEED, '')}")

    def _drop(self, name: str, *, statement: str) -> Any:
        shutil.rmtree(self.path(name), ignore_errors=True)
        return self._sail.sql(statement)

    def _govern(self, *_: str, statement: str) -> Any:
        self.governed.append(statement)
        return self._sail.sql("SELECT true")

    def _frame(self, **columns: pa.Array) -> Any:
        return self._sail.createDataFrame(pa.table(columns))

    def _see_what_others_made(self) -> None:
        """Let Sail know every table in the folder, with its columns."""
        with self._lock:
            found = self._warehouse.glob(f"{self._schema}/*/_delta_log")
            logs = {log.parent: max(log.glob("*.json"), default=None) for log in found}
            for folder, newest in logs.items():
                if newest is not None and self._newest.get(folder) != newest:
                    self._newest[folder] = newest
                    self._know(folder, DeltaTable(folder).schema().to_json())
            for folder in self._newest.keys() - logs.keys():
                del self._newest[folder], self._columns[folder]
                self._sail.sql(f"DROP TABLE IF EXISTS {_name_of(folder)}").toArrow()

    def _know(self, folder: Path, columns: str) -> None:
        if self._columns.get(folder) != columns:
            self._columns[folder] = columns
            name = _name_of(folder)
            self._sail.sql(f"CREATE SCHEMA IF NOT EXISTS {name.rpartition('.')[0]}").toArrow()
            self._sail.sql(f"DROP TABLE IF EXISTS {name}").toArrow()
            self._sail.sql(f"CREATE TABLE {name} USING DELTA LOCATION '{folder}'").toArrow()


def _name_of(folder: Path) -> str:
    return f"`{CATALOG}`.`{folder.parent.name}`.`{folder.name}`"


def _opaque(rows: Any) -> Any:
    """Return the same rows; else Sail takes a column of one value for a constant, and panics at its hash."""
    return rows.where("rand() >= 0")


class SailCatalog(UnityCatalog):
    """A schema in which files go at once, and not after an hour."""

    session: SailSession

    def path(self, table: str) -> Path:
        """Return the folder of a table."""
        return self.session.path(self.name(table))

    def vacuum(self, table: str, since: dt.datetime | None = None) -> int:
        path, history = self.path(table), self.history(table)
        newest = max(history)
        needed: set[str] = set()
        for version in history:
            if version == newest or (since is not None and history[version + 1] >= since):
                needed |= {Path(file).name for file in DeltaTable(path, version=version).file_uris()}
        gone = [file for file in path.glob("*.parquet") if file.name not in needed]
        freed = sum(file.stat().st_size for file in gone)
        for file in gone:
            file.unlink()
        return freed


def sail_catalog(folder: Path | None = None) -> SailCatalog:
    """Return the schema of a folder, by default a new one."""
    folder = folder or Path(tempfile.mkdtemp(prefix="sail_")).resolve()
    session = SailSession(start_server(), folder.parent, folder.name)
    schema = f"{CATALOG}.{folder.name}"
    session.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}").toArrow()
    return SailCatalog(session, schema)


@contextmanager
def activated(folder: Path) -> Iterator[SailSession]:
    """Let `workspace_session` find a session on Sail for a while, as it finds a job's own; tables lie in a folder."""
    from pyspark.sql.connect.session import SparkSession

    from adapters.spark.connect import workspace_session

    session = SailSession(start_server(), folder.resolve())
    SparkSession._active_session.session = session
    workspace_session.cache_clear()
    try:
        yield session
    finally:
        SparkSession._active_session.session = SparkSession._default_session
        workspace_session.cache_clear()
