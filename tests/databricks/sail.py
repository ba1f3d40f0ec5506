"""Unity Catalog on Sail, a Spark Connect server with Delta: the adapters' own SQL on a real engine.

Sail has no DESCRIBE HISTORY, SHOW TBLPROPERTIES, VACUUM, constraints, tags or change data feed, and reads older columns
by path alone. `SailCatalog` answers these from the table's log, by delta-rs; statements that change what Unity Catalog
says of a table, and no row, are recorded. Everything else is what `UnityCatalog` does.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import uuid
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from adapters.databricks.catalog import UnityCatalog
from adapters.spark.errors import is_of_spark

__all__ = ["SailCatalog", "adopt", "sail_catalog", "sail_session"]


@cache
def _server() -> tuple[Any, str]:
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(port=0)
    server.start(background=True)
    address = server.listening_address
    return server, f"sc://{address[0]}:{address[1]}"


@cache
def sail_session() -> Any:
    """Return a session of a server that this process started."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(_server()[1]).getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.warehouse.dir", tempfile.mkdtemp(prefix="sail-"))
    return session


def sail_catalog() -> SailCatalog:
    """Return a new schema."""
    schema = f"test_{uuid.uuid4().hex[:12]}"
    sail_session().sql(f"CREATE SCHEMA {schema}").toArrow()
    return SailCatalog(sail_session(), f"sail.{schema}")


def adopt(catalog: SailCatalog, table: str, path: str) -> None:
    """Let a schema have the table that another server made."""
    catalog.run(table, f"CREATE TABLE {catalog.name(table)} USING DELTA LOCATION '{path}'")


class SailCatalog(UnityCatalog):
    """One schema of Sail; `governed` holds the statements that Unity Catalog alone would run."""

    def __init__(self, session: Any, schema: str) -> None:
        super().__init__(session, schema)
        self.governed: list[str] = []

    def path(self, table: str) -> Path | None:
        """Return the folder of a table."""
        try:
            rows = self.session.sql(f"DESCRIBE TABLE EXTENDED {self.name(table)}").toArrow().to_pylist()
        except Exception as error:
            if is_of_spark(error):
                return None
            raise
        return next(Path(row["data_type"].removeprefix("file://")) for row in rows if row["col_name"] == "Location")

    def history(self, table: str, *, newest_only: bool = False) -> dict[int, dt.datetime]:
        path = self.path(table)
        try:
            commits = DeltaTable(path).history(1 if newest_only else None) if path else []
        except TableNotFoundError:
            return {}
        return {commit["version"]: dt.datetime.fromtimestamp(commit["timestamp"] / 1000, dt.UTC) for commit in commits}

    def properties(self, table: str) -> dict[str, str]:
        path = self.path(table)
        assert path is not None
        return dict(DeltaTable(path).metadata().configuration)

    def rows(self, table: str, version: int | None = None) -> Any:
        if version is None:
            rows = super().rows(table)
        else:
            rows = self.session.read.format("delta").option("versionAsOf", version).load(str(self.path(table)))
        return rows.where("rand() >= 0")  # else it takes a column of one value for a constant, and panics at its hash

    def properties_at_creation(self) -> dict[str, str]:
        wanted = super().properties_at_creation()
        del wanted["delta.enableChangeDataFeed"]
        return wanted

    def govern(self, table: str, statements: Iterable[str]) -> None:
        self.governed += statements

    def vacuum(self, table: str, since: dt.datetime) -> int:
        path, history = self.path(table), self.history(table)
        assert path is not None
        newest = max(history)
        needed: set[str] = set()
        for version in history:
            if version == newest or history[version + 1] >= since:
                needed |= {Path(file).name for file in DeltaTable(path, version=version).file_uris()}
        gone = [file for file in path.glob("*.parquet") if file.name not in needed]
        freed = sum(file.stat().st_size for file in gone)
        for file in gone:
            file.unlink()
        return freed
