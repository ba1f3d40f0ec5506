"""Sail, a Spark Connect server with Delta, and schemas of Unity Catalog on it; see `runtime/sail_session.py`.

`python -m tests.databricks.sail FOLDER…` in Sail's environment is a server that prints its address and ends with its
input; its workers import from these folders as well.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from adapters.databricks.catalog import UnityCatalog

from .runtime.sail_session import CATALOG, SailSession

__all__ = ["SailCatalog", "SailSession", "activated", "sail_catalog", "start_server"]


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
    session = SailSession(_session(start_server()), folder.parent, folder.name)
    return SailCatalog(session, f"{CATALOG}.{folder.name}")


@contextmanager
def activated(folder: Path) -> Iterator[SailSession]:
    """Let `workspace_session` find a session on Sail for a while, as it finds a job's own; tables lie in a folder."""
    from pyspark.sql.connect.session import SparkSession

    from adapters.spark.connect import workspace_session

    session = SailSession(_session(start_server()), folder.resolve())
    SparkSession._active_session.session = session
    workspace_session.cache_clear()
    try:
        yield session
    finally:
        SparkSession._active_session.session = SparkSession._default_session
        workspace_session.cache_clear()


if __name__ == "__main__":
    sys.path += sys.argv[1:]  # the workers find the project's libraries there
    print(start_server(), flush=True)  # noqa: T201
    sys.stdin.read()
