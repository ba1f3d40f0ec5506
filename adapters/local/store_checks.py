"""The doctor's checks of the databases of ZenML and MLflow, read without importing either."""

from __future__ import annotations

import importlib.util
import json
import re
import sqlite3
import urllib.parse
import urllib.request
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from churn.core.errors import StoreError

from .machine_checks import Finding
from .zenml import client_settings, store_url

__all__ = ["mlflow_store", "zenml_stack", "zenml_store"]

SECONDS = 2
"""How long a server may take to answer."""
_SQLITE = "sqlite:///"
_REMOTE = ("http://", "https://")

Schema = Literal["not made yet", "current", "older", "unknown", "damaged"]
"""How a database compares with what the installed library expects; `unknown`: a newer library wrote it."""


def zenml_store() -> Finding:
    """Does the store of the user's ZenML client open, and does the installed ZenML fit it?"""
    try:
        client_settings()
    except StoreError as error:
        message, _, remedy = str(error).partition(": ")
        return Finding("zenml", "store", "fail", message, remedy)
    url = store_url()
    if url.startswith(_REMOTE):
        return _zenml_server(url)
    if not url.startswith(_SQLITE):
        return Finding("zenml", "store", "warn", f"{_shown(url)} is not looked into", "zenml status")
    schema = _schema(_path(url), "zenml", "zen_stores/migrations/versions")
    message = f"{_path(url)} ({schema}), ZenML {_installed('zenml')}"
    remedies = {
        "unknown": "a newer ZenML wrote it: give this project a home of its own, ZENML_CONFIG_PATH=/path",
        "damaged": "restore the file, or give this project a home of its own, ZENML_CONFIG_PATH=/path",
    }
    # An older store is no trouble: ZenML brings it up to date when it next opens it.
    return Finding("zenml", "store", "fail" if schema in remedies else "ok", message, remedies.get(schema, ""))


def zenml_stack(name: str) -> Finding:
    """Is the project's stack registered?"""
    url = store_url()
    if not url.startswith(_SQLITE):
        return Finding("zenml", "stack", "ok", f"{name} is looked for on the server at each run")
    try:
        names = [str(row[0]) for row in _rows(_path(url), "SELECT name FROM stack")]
    except (OSError, sqlite3.Error):
        names = []
    registered = next((stack for stack in names if stack == name or stack.startswith(f"{name}_")), None)
    return Finding("zenml", "stack", "ok", registered or f"{name} is registered by the first run")


def mlflow_store(uri: str) -> Finding:
    """Does MLflow's store open, and does the installed MLflow fit it?"""
    if uri.startswith(_REMOTE):
        return _mlflow_server(uri)
    if uri.startswith("databricks"):
        return Finding("mlflow", "store", "ok", "in the workspace, which is looked into above")
    if not uri.startswith(_SQLITE):
        return Finding("mlflow", "store", "warn", f"{_shown(uri)} is not looked into", "python run.py ui")
    schema = _schema(_path(uri), "mlflow", "store/db_migrations/versions")
    message = f"{_path(uri)} ({schema}), MLflow {_installed('mlflow')}"
    remedies = {
        "older": f"copy the file, then: mlflow db upgrade {uri}",
        "unknown": "a newer MLflow wrote it: install that one, or name another file in profile.mlflow.tracking_uri",
        "damaged": "restore the file, or move it away to begin anew",
    }
    return Finding("mlflow", "store", "fail" if schema in remedies else "ok", message, remedies.get(schema, ""))


def _zenml_server(url: str) -> Finding:
    try:
        served = str(json.loads(_get(f"{url.rstrip('/')}/api/v1/info"))["version"])
    except (OSError, ValueError, KeyError) as error:
        remedy = "start that server, or return to the store of this machine: zenml logout"
        return Finding("zenml", "store", "fail", f"{_shown(url)} does not answer ({error})", remedy)
    if served != _installed("zenml"):
        message = f"{_shown(url)} is ZenML {served}, this client {_installed('zenml')}"
        return Finding("zenml", "store", "warn", message, "use client and server of one version")
    return Finding("zenml", "store", "ok", f"{_shown(url)}, ZenML {served}")


def _mlflow_server(uri: str) -> Finding:
    try:
        served = _get(f"{uri.rstrip('/')}/version").decode()
    except (OSError, ValueError) as error:
        remedy = "start that server, or correct profile.mlflow.tracking_uri"
        return Finding("mlflow", "store", "fail", f"{_shown(uri)} does not answer ({error})", remedy)
    return Finding("mlflow", "store", "ok", f"{_shown(uri)}, MLflow {served}")


def _schema(database: Path, package: str, migrations: str) -> Schema:
    """Compare the revision that is written in a database with those that a library brings along."""
    if not database.exists():
        return "not made yet"
    try:
        written = {str(row[0]) for row in _rows(database, "SELECT version_num FROM alembic_version")}
        if _rows(database, "PRAGMA quick_check(1)") != [("ok",)]:
            return "damaged"
    except (OSError, sqlite3.Error):
        return "damaged"
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    text = "\n".join(
        file.read_text(encoding="utf-8") for folder in folders for file in (Path(folder) / migrations).glob("*.py")
    )
    revisions = set(re.findall(r"""^revision\b[^=]*= ["']([^"']+)""", text, re.MULTILINE))
    followed = set(re.findall(r"""^down_revision\b[^=]*= ["']([^"']+)""", text, re.MULTILINE))
    if written == revisions - followed:
        return "current"
    return "older" if written <= revisions else "unknown"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(
        sqlite3.connect(f"file:{urllib.parse.quote(str(database))}?mode=ro", uri=True, timeout=SECONDS)
    ) as store:
        return store.execute(query).fetchall()


def _path(url: str) -> Path:
    return Path(url.removeprefix(_SQLITE))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return bytes(answer.read())


def _shown(url: str) -> str:
    """Return an address without the password that it may hold."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
