"""The secret scope that holds how a task reaches ZenML, and passwords, so that the job's definition does not."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from churn.profile import DatabricksSettings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

__all__ = ["forget", "keep", "lend", "read"]

_OF_A_RUN = "run-"


def keep(client: WorkspaceClient, settings: DatabricksSettings, key: str, text: str) -> None:
    """Store a secret in the scope of the jobs, which is made if it is missing; those of runs long over are removed."""
    from databricks.sdk.errors import ResourceAlreadyExists
    from databricks.sdk.service.workspace import AclPermission

    assert settings.jobs is not None
    scope = settings.jobs.secret_scope
    if scope not in {entry.name for entry in client.secrets.list_scopes()}:
        with suppress(ResourceAlreadyExists):  # another run has made it meanwhile
            client.secrets.create_scope(scope)
    if settings.jobs.run_as:
        client.secrets.put_acl(scope, settings.jobs.run_as, AclPermission.READ)
    client.secrets.put_secret(scope, key, string_value=text)
    ages = {entry.key: entry.last_updated_timestamp or 0 for entry in client.secrets.list_secrets(scope) if entry.key}
    oldest = max(ages.values(), default=0) - 2_000 * settings.jobs.timeout_seconds
    for name, stored in ages.items():
        if name.startswith(_OF_A_RUN) and stored < oldest:
            forget(client, settings, name)


def forget(client: WorkspaceClient, settings: DatabricksSettings, key: str) -> None:
    """Remove a secret; one that is gone is left alone."""
    from databricks.sdk.errors import NotFound

    assert settings.jobs is not None
    with suppress(NotFound):
        client.secrets.delete_secret(settings.jobs.secret_scope, key)


def read(client: WorkspaceClient, place: str) -> str:
    """Return the secret at `scope/key`."""
    scope, _, key = place.partition("/")
    return base64.b64decode(client.secrets.get_secret(scope, key).value or "").decode()


def lend(client: WorkspaceClient, scope: str, variables: Iterable[str]) -> None:
    """Set environment variables that have no value from the secrets of their names, as far as there are any."""
    from databricks.sdk.errors import NotFound, PermissionDenied

    try:
        stored = {entry.key for entry in client.secrets.list_secrets(scope)}
    except (NotFound, PermissionDenied):  # a server that asks for no password needs no scope
        return
    for name in stored.intersection(variables) - os.environ.keys():
        os.environ[str(name)] = read(client, f"{scope}/{name}")
