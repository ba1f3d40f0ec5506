"""The workspace that a profile names: its client, its tags, and its errors as errors of this project."""

from __future__ import annotations

import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from churn.core.errors import NotFound, StoreError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from churn.profile import DatabricksSettings

__all__ = [
    "MANAGED_BY",
    "PROJECT",
    "check_schema",
    "client_of",
    "explained",
    "export",
    "make_folder",
    "mark_of",
    "patiently",
    "tags_of",
]

Answer = TypeVar("Answer")

MANAGED_BY, PROJECT = "managed_by", "churn_project"
"""The tags of everything that the project makes in a workspace, by which it is found again."""

_PROBE_SECONDS = 5
"""How long a workspace may take to say that it is there."""

_PATIENCE_SECONDS = 600
"""How long a workspace that says that it is asked too often is asked again."""

_LOG_IN = "log in with `databricks auth login`, or set DATABRICKS_HOST and DATABRICKS_TOKEN"


def client_of(settings: DatabricksSettings) -> WorkspaceClient:
    """Return a client with the credentials that the SDK finds: environment, `~/.databrickscfg`, the runtime.

    A workspace that is down is reported within half a minute: the SDK alone would try for five.

    Raises:
        StoreError: there are no credentials, or the workspace does not answer.
    """
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.config import Config

    # What it warns of, a workspace that says nothing of itself, is looked into below.
    logging.getLogger("databricks.sdk.config").setLevel(logging.ERROR)
    short: dict[str, Any] = {"http_timeout_seconds": _PROBE_SECONDS, "retry_timeout_seconds": _PROBE_SECONDS}
    try:
        config = Config(host=settings.host, profile=settings.config_profile, product="churn-lifecycle", **short)
    except ValueError as error:
        reason = _reason(error).removeprefix("default auth: ")
        raise StoreError(f"No credentials for Databricks were found ({reason}): {_LOG_IN}.") from error
    if not config.discovery_url:
        _probe(config.host)
    config.http_timeout_seconds = settings.http_timeout_seconds
    config.retry_timeout_seconds = settings.retry_timeout_seconds
    return WorkspaceClient(config=config)


def tags_of(settings: DatabricksSettings, **more: str) -> dict[str, str]:
    """Return the tags of something that the project makes."""
    return {MANAGED_BY: "churn", PROJECT: settings.project, **more}


def export(settings: DatabricksSettings, tracking_uri: str) -> None:
    """Let MLflow in this process, and in those it starts, work with the workspace of a profile.

    MLflow builds clients of its own from the environment. It looks logged models up in its global tracking store, and
    it uploads a model's files through the Files API only where it is told to: cloud tokens of its own are refused by
    newer workspaces.
    """
    variables = {
        "DATABRICKS_HOST": settings.host,
        "DATABRICKS_CONFIG_PROFILE": settings.config_profile,
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_USE_DATABRICKS_SDK_MODEL_ARTIFACTS_REPO_FOR_UC": "true",
        "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": str(settings.retry_timeout_seconds),
    }
    os.environ.update({name: value for name, value in variables.items() if value is not None})


def make_folder(settings: DatabricksSettings) -> None:
    """Make the workspace folder of MLflow's experiments where there is none; raises StoreError."""
    client = client_of(settings)
    with explained(f"make the workspace folder {settings.folder}"):
        client.workspace.mkdirs(settings.folder)


def check_schema(settings: DatabricksSettings, schema: str, stack: str) -> None:
    """Look whether a schema is there, before a run has worked for an hour.

    Raises:
        NotFound: it is not, with the remedy.
        StoreError: the workspace refuses or does not answer.
    """
    client = client_of(settings)
    try:
        with explained(f"find the schema {schema}"):
            client.schemas.get(schema)
    except NotFound as error:
        raise NotFound(f"{error} Make it: python run.py stack setup --stack {stack}") from error


def mark_of(tags: Mapping[str, str]) -> str:
    """Return tags as a text, for what has none."""
    return "[" + ", ".join(f"{key}={value}" for key, value in tags.items()) + "]"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Tell what the SDK raises as a fault of the store; `what` completes "Databricks could not …".

    Raises:
        NotFound: there is no such thing.
        StoreError: the workspace refuses or does not answer.
    """
    from databricks.sdk import errors

    try:
        yield
    except errors.NotFound as error:
        raise NotFound(f"Databricks could not {what}: {_reason(error)}.") from error
    except errors.Unauthenticated as error:
        raise StoreError(f"Databricks could not {what}: {_reason(error)}. Your login has ended: {_LOG_IN}.") from error
    except errors.PermissionDenied as error:
        raise StoreError(
            f"Databricks could not {what}: {_reason(error)}. Ask an administrator for that privilege; "
            "docs/databricks.md lists all that are needed."
        ) from error
    except errors.DatabricksError as error:
        if not isinstance(error, (errors.TooManyRequests, errors.TemporarilyUnavailable)):
            raise StoreError(f"Databricks could not {what}: {_reason(error)}.") from error
        raise StoreError(_away(what, error)) from error
    except (TimeoutError, OSError) as error:
        raise StoreError(_away(what, error)) from error


def patiently(ask: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
    """Return what a request with these arguments answers; while the workspace is asked too often, ask again.

    The SDK waits as long as the answer's Retry-After says, and gives up after `retry_timeout_seconds`, which is meant
    for a workspace that is down; a rate limit lasts longer.
    """
    from databricks.sdk import errors

    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask(*arguments, **named)
        except TimeoutError as error:
            if not isinstance(error.__cause__, errors.TooManyRequests) or time.monotonic() > until:
                raise


def _away(what: str, error: Exception) -> str:
    return (
        f"Databricks could not {what}: the workspace did not answer in time ({_reason(error)}). Type the command again "
        "later: what was done is found again."
    )


def _reason(error: Exception) -> str:
    """Return what the SDK says, without its configuration."""
    return " ".join(str(error).partition(". Config:")[0].split()).rstrip(".") or type(error).__name__


def _probe(host: str) -> None:
    """Look whether anything answers at an address, be it with an error page."""
    try:
        urllib.request.urlopen(f"{host}/.well-known/databricks-config", timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return
    except OSError as error:
        raise StoreError(
            f"The Databricks workspace {host} does not answer ({getattr(error, 'reason', error)}): check the address "
            "(DATABRICKS_HOST, profile.databricks.host) and your network."
        ) from error
