"""A client of one MLflow store, with its errors as errors of this project."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from churn.core.errors import NotFound, StoreError
from churn.profile import DatabricksSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.entities import PagedList

__all__ = ["all_pages", "ask", "connect", "ensure_experiment", "is_conflict", "may_hold"]

T = TypeVar("T")

_KIND = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's pages else open on its agents' view
_PROBE_SECONDS = 5.0
_CREATION_SECONDS = 60.0
_ATTEMPTS = 3  # MLflow itself waits 20 s for a SQLite lock in each
_PAUSE_SECONDS = 0.5
_MISSING = r"NOT_FOUND\b|(\w+ )?[A-Z]+_DOES_NOT_EXIST\b"  # Unity Catalog has a code for each kind of thing

_REMEDIES = {
    "database is locked": "Another process keeps it locked: wait for that process or stop it, then try again.",
    "disk is full|no space left|quota exceeded": "Free some space, then try again.",
    "disk I/O error": "The disk may be full or ill: free some space, then try again.",
    "(schema|catalog)_does_not_exist": "Make it: python run.py stack setup --stack NAME",
    "permission_denied": "Ask an administrator for that privilege; docs/databricks.md lists all that are needed.",
    "unauthenticated": "Log in again with `databricks auth login`, or renew DATABRICKS_TOKEN.",
    "connect|timed out|Max retries": "Check that the server runs and that its address is right.",
}
"""What to do, by what a store says."""


def connect(tracking_uri: str, registry_uri: str | None = None) -> MlflowClient:
    """Return a client that speaks to these stores alone; MLflow's global tracking address is neither read nor set.

    A SQLite store is created where there is none, by one process at a time. A server or a Databricks workspace is asked
    first whether it is there: MLflow would try for minutes.

    Raises:
        StoreError: a store cannot be opened or does not answer.
    """
    for uri in {tracking_uri, registry_uri or tracking_uri}:
        if uri.startswith(("http://", "https://")):
            _probe(uri)
    if tracking_uri.startswith("databricks"):
        from ..databricks.workspace import client_of

        client_of(DatabricksSettings())  # with what `export` has left in the environment
    from mlflow import MlflowClient

    def client() -> MlflowClient:
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri or tracking_uri)

    if tracking_uri.startswith("sqlite:///"):
        with _alone(tracking_uri), _without_progress_notes():
            return ask(tracking_uri, "open the store", client)
    return ask(tracking_uri, "open the store", client)


def may_hold(uri: str, model: str) -> bool:
    """Whether a store may hold versions of a model: a SQLite file is asked itself, without MLflow's slow imports."""
    if not uri.startswith("sqlite:///"):
        return True
    try:
        with closing(sqlite3.connect(f"{_file(uri).absolute().as_uri()}?mode=ro", timeout=1, uri=True)) as store:
            return store.execute("SELECT 1 FROM model_versions WHERE name = ? LIMIT 1", [model]).fetchone() is not None
    except sqlite3.Error:
        return _file(uri).exists() and _file(uri).stat().st_size > 0  # MLflow says what is wrong with it


def ask(uri: str, what: str, call: Callable[[], T]) -> T:
    """Return what `call` returns; a locked SQLite file is tried again, for about a minute in all.

    Args:
        uri: The store that is asked, for the message; a password in it is hidden.
        what: What is asked, as in 'could not …'.
        call: Does it through MLflow.

    Raises:
        NotFound: the store has no such thing.
        StoreError: the store refuses or does not answer.
    """
    from mlflow.exceptions import MlflowException

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return call()
        except MlflowException as error:
            if _is_locked(error) and attempt < _ATTEMPTS:
                time.sleep(_PAUSE_SECONDS * attempt)
                continue
            kind = NotFound if re.match(_MISSING, f"{error.error_code} {error}") else StoreError
            raise kind(_message(uri, what, error, _remedy(error))) from error
        except OSError as error:  # which a workspace that does not answer is, too
            local = not uri.startswith("databricks")
            otherwise = "Check free space and permissions there." if local else "Type the command again later."
            raise StoreError(_message(uri, what, error, _remedy(error, otherwise))) from error
    raise AssertionError("the last attempt returns or raises")


def ensure_experiment(tracking_uri: str, name: str, artifact_root: str | Path | None) -> str:
    """Return the id of the experiment `name`, made where there is none.

    Args:
        tracking_uri: The tracking store.
        name: The experiment's name.
        artifact_root: A folder or URI below which the files of a new experiment lie. A store in a local database
            needs one: MLflow would write `./mlruns` into the current folder. None leaves it to a server.

    Raises:
        StoreError: the store does not answer, or the experiment was deleted.
    """
    client = connect(tracking_uri)
    location = None if artifact_root is None else f"{_as_uri(artifact_root)}/{name.replace(' ', '_')}"

    def find() -> str | None:
        experiment = ask(tracking_uri, f"find the experiment {name!r}", lambda: client.get_experiment_by_name(name))
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            raise StoreError(
                f"The experiment {name!r} in {tracking_uri} was deleted: bring it back with "
                f"`mlflow experiments restore -x {experiment.experiment_id}`, or choose another name."
            )
        return None if experiment is None else str(experiment.experiment_id)

    try:
        return find() or ask(
            tracking_uri,
            f"create the experiment {name!r}",
            lambda: client.create_experiment(name, artifact_location=location, tags=_KIND),
        )
    except StoreError as error:
        # Another process was faster.
        if is_conflict(error) and (experiment_id := find()):
            return experiment_id
        raise


def is_conflict(error: StoreError) -> bool:
    """Whether a store refused because what was to be created is there already."""
    return getattr(error.__cause__, "error_code", None) in {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}


def all_pages(page: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """Yield the items of every page of a search; `page` takes the token of the page to fetch."""
    token: str | None = None
    while True:
        items = page(token)
        yield from items
        token = items.token
        if not token:
            return


def _as_uri(root: str | Path) -> str:
    text = str(root).rstrip("/")
    return text if "://" in text or text.startswith("dbfs:/") else Path(text).resolve().as_uri()


def _probe(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # an error page is an answer too
    except OSError as error:
        remedy = "Start the server, or correct the address in the profile."
        raise StoreError(_message(uri, "be reached", error, remedy)) from error


def _file(uri: str) -> Path:
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Keep other processes from creating the same SQLite store: two at once leave each other half a schema."""
    store = _file(uri)
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(store)) as database:
            database.execute("PRAGMA schema_version")  # a file that is no database fails here, at once
        lock = FileLock(store.with_name(f"{store.name}.lock"), timeout=_CREATION_SECONDS).acquire()
    except (OSError, sqlite3.Error) as error:
        otherwise = "Check that its folder can be written and that no run hangs while it creates the store."
        raise StoreError(_message(uri, "be opened", error, _remedy(error, otherwise))) from error
    with lock:
        yield


@contextmanager
def _without_progress_notes() -> Iterator[None]:
    """Leave out the two notes with which MLflow announces the tables of a new store."""
    logger = logging.getLogger("mlflow.store.db.utils")
    level = logger.level
    logger.setLevel(max(logging.WARNING, logger.getEffectiveLevel()))
    try:
        yield
    finally:
        logger.setLevel(level)


def _is_locked(error: Exception) -> bool:
    return "database is locked" in str(error)


def _remedy(error: Exception, otherwise: str = "Correct what it names and try again.") -> str:
    remedies = (remedy for pattern, remedy in _REMEDIES.items() if re.search(pattern, str(error), re.IGNORECASE))
    return next(remedies, otherwise)


def _message(uri: str, what: str, error: Exception, remedy: str) -> str:
    shown = re.sub(r"(://[^:/@]+):[^@/]+@", r"\1:***@", uri)
    reason = " ".join(str(error).partition("[SQL:")[0].split()).rstrip(".")
    return f"The MLflow store {shown} could not {what}: {reason}. {remedy}"
