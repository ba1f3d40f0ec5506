"""A Spark session as Databricks gives it, on Sail: a Spark Connect server with Delta, which executes the adapters' SQL.

Sail has no DESCRIBE HISTORY, SHOW TBLPROPERTIES, constraints, tags or change data feed, its catalog is forgotten with
the session, and it reads columns of older versions by path alone. `SailSession` answers these from the tables' logs, by
delta-rs, and keeps tables in a folder that several processes share. Statements that change what Unity Catalog says of a
table, and no row, are recorded in `governed`.

Nothing of the project is imported: tasks of jobs have this file beside their wheel.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

__all__ = ["CATALOG", "SailSession"]

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


class SailSession:
    """What the adapters ask of a Spark session.

    Args:
        session: The session of Spark Connect.
        warehouse: The folder of the tables, with a folder for each schema that there is; other processes may work in it
            at the same time.
        schema: The schema to see; all where it is `*`.
    """

    def __init__(self, session: Any, warehouse: Path, schema: str = "*") -> None:
        self.governed: list[str] = []
        self._warehouse, self._schema = warehouse, schema
        self._newest: dict[Path, Path] = {}
        self._columns: dict[Path, str] = {}
        self._lock = threading.RLock()
        self._sail = session
        for folder in warehouse.glob(schema):
            session.sql(f"CREATE SCHEMA IF NOT EXISTS `{CATALOG}`.`{folder.name}`").toArrow()

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
