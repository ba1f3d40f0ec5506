"""Lakebase, PostgreSQL in the workspace: where its server is, and passwords that end after an hour at most."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from churn.core.errors import NotFound, StoreError

from .workspace import explained

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

__all__ = ["LakebaseLogin", "awaited", "check_endpoint", "place_project"]

_SERVER = {"port": 5432, "dbname": "databricks_postgres", "sslmode": "require"}
"""The database is the one that every branch has from the start."""
_SECONDS, _EARLY = 3600, 300
"""How long a password is good, and how long before its end it is replaced."""
_STARTING = 60.0
"""Seconds for which a server that starts is waited for."""
_PATIENCE = dt.timedelta(minutes=10)


class LakebaseLogin:
    """How to connect to an endpoint of Lakebase, as whoever the client is; safe to call from several threads.

    Args:
        client: Makes the client.
        endpoint: `projects/{project}/branches/{branch}/endpoints/{endpoint}`.
        clock: Seconds, rising.
        server: How Lakebase's servers are reached, as libpq takes it.
        pause: Seconds between two looks at a server that starts.
    """

    def __init__(
        self,
        client: Callable[[], WorkspaceClient],
        endpoint: str,
        clock: Callable[[], float] = time.monotonic,
        server: Mapping[str, Any] = _SERVER,
        pause: float = 1.0,
    ) -> None:
        self._make, self._endpoint, self._clock = client, endpoint, clock
        self._known, self._pause = server, pause
        self._lock = threading.Lock()
        self._client: WorkspaceClient | None = None
        self._server: dict[str, Any] = {}
        self._password, self._until = "", float("-inf")

    def options(self) -> dict[str, Any]:
        """Return host, user, database and a password, as libpq takes them; called for each new connection.

        Raises:
            StoreError: there is no such endpoint, it is disabled or does not start, or the workspace does not answer.
        """
        with self._lock:
            if self._client is None:
                self._client = self._make()
            if not self._server:
                self._server = self._located(self._client)
            if self._clock() > self._until - _EARLY:
                self._renew(self._client)
            return {**self._server, "password": self._password}

    def _located(self, client: WorkspaceClient) -> dict[str, Any]:
        deadline = self._clock() + _STARTING
        while True:
            with explained(f"look at the Lakebase endpoint {self._endpoint}"):
                status = client.postgres.get_endpoint(self._endpoint).status
            state = str(status.current_state.value) if status and status.current_state else "unknown"
            if status is not None and status.disabled:
                raise StoreError(
                    f"The Lakebase endpoint {self._endpoint} is suspended (disabled): start it in the workspace, "
                    "Compute > Lakebase, and type the command again. Nothing is lost there."
                )
            host = status.hosts.host if status and status.hosts else None
            # An endpoint that is IDLE has scaled to zero: a connection wakes it.
            if host and state != "INIT":
                break
            if self._clock() > deadline:
                raise StoreError(
                    f"The Lakebase endpoint {self._endpoint} is still {state} after {_STARTING:g} seconds: type the "
                    "command again later."
                )
            time.sleep(self._pause)
        with explained("ask who you are"):
            user = client.current_user.me().user_name
        return {**self._known, "host": host, "user": user}

    def _renew(self, client: WorkspaceClient) -> None:
        from google.protobuf.duration_pb2 import Duration

        with explained(f"get a password for the Lakebase endpoint {self._endpoint}"):
            made = client.postgres.generate_database_credential(self._endpoint, ttl=Duration(seconds=_SECONDS))
        if not made.token:
            raise StoreError(f"Databricks gave no password for the Lakebase endpoint {self._endpoint}.")
        left = float(_SECONDS)
        if made.expire_time is not None:
            left = min(left, made.expire_time.ToDatetime(dt.UTC).timestamp() - time.time())
        self._password, self._until = made.token, self._clock() + left


def awaited(operation: Any, what: str) -> None:
    """Wait for an operation, which the SDK alone does for ever; raises StoreError where it fails."""
    from databricks.sdk.common.lro import LroOptions

    try:
        operation.wait(LroOptions(timeout=_PATIENCE))
    except Exception as error:
        if type(error) is not Exception:  # which is what the SDK raises for an operation that fails
            raise
        raise StoreError(f"Databricks could not {what}: {error}.") from error


def check_endpoint(client: WorkspaceClient, endpoint: str, stack: str) -> None:
    """Look whether an endpoint is there, before a release has promoted what it cannot publish.

    Raises:
        NotFound: it is not, with the remedy.
        StoreError: the workspace refuses or does not answer.
    """
    try:
        with explained(f"find the Lakebase endpoint {endpoint}"):
            client.postgres.get_endpoint(endpoint)
    except NotFound as error:
        raise NotFound(f"{error} Make it: python run.py stack setup --stack {stack}") from error


def place_project(client: WorkspaceClient, endpoint: str, tags: Mapping[str, str]) -> str:
    """See to it that the project of an endpoint is there, which comes with a branch and an endpoint of its own.

    Args:
        client: The client.
        endpoint: `projects/{project}/branches/{branch}/endpoints/{endpoint}`.
        tags: Of a project that is made.

    Returns:
        `created` or `unchanged`.

    Raises:
        StoreError: it cannot be made, or has no such endpoint, with those that it has.
    """
    from databricks.sdk.errors import AlreadyExists, ResourceAlreadyExists
    from databricks.sdk.service.postgres import Project, ProjectCustomTag, ProjectSpec

    project, change = "/".join(endpoint.split("/")[:2]), "unchanged"
    try:
        with explained(f"look for the Lakebase project {project}"):
            client.postgres.get_project(project)
    except NotFound:
        change = "created"
        wanted = Project(spec=ProjectSpec(custom_tags=[ProjectCustomTag(key, value) for key, value in tags.items()]))
        try:
            with explained(f"create the Lakebase project {project}"):
                made = client.postgres.create_project(wanted, project.partition("/")[2])
                awaited(made, f"create the Lakebase project {project}")
        except StoreError as error:
            # The answer to a first request was lost, and the SDK asked again.
            if not isinstance(error.__cause__, AlreadyExists | ResourceAlreadyExists):
                raise StoreError(
                    f"{error} Without Lakebase, set profile.online.store to postgresql; or, where nobody asks for "
                    "scores one by one, to sqlite with serving.deploy=never."
                ) from error
    try:
        with explained(f"look at the Lakebase endpoint {endpoint}"):
            client.postgres.get_endpoint(endpoint)
    except NotFound as error:
        with explained(f"list the endpoints of {project}"):
            endpoints = [
                str(served.name)
                for branch in client.postgres.list_branches(project)
                for served in client.postgres.list_endpoints(str(branch.name))
            ]
        raise StoreError(
            f"The Lakebase project {project} has no endpoint {endpoint}: let `profile.online.address` be "
            f"{' or '.join(endpoints) or 'one that you make in the workspace'}."
        ) from error
    return change
