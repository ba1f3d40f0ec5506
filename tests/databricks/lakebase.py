"""Lakebase: projects, branches, endpoints and passwords; its server is a PostgreSQL of the test, or none."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.ml import FeatureStoreAPI, PublishSpec
from databricks.sdk.service.postgres import PostgresAPI, Project

from .http import Request, refusal
from .strict import check, parsed

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["Lakebase"]

_API, _STORES = "/api/2.0/postgres", "/api/2.0/feature-store"


class Lakebase:
    """Resources by name.

    Attributes:
        resources: Projects, branches, endpoints and synced tables, as `GET` answers them.
        host: Where the server of every endpoint is.
        on_password: Called with the user and each new password, so that the server takes it.
        seconds: How long a password is good; None: as long as was asked.
        stores: State of online feature stores, by name; `published`, the online tables by their names.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.host = "127.0.0.1"
        self.on_password: Callable[[str, str], object] = lambda user, password: None
        self.seconds: float | None = None
        self.fails = ""
        self.stores: dict[str, str] = {}
        self.published: dict[str, dict[str, Any]] = {}
        add = workspace.routes.add
        add(f"POST {_API}/projects", self._create)
        add(f"POST {_API}/credentials", self._credential)
        add(f"GET {_API}/projects", lambda _: {"projects": self._projects()})
        add(f"DELETE {_API}/{{name...}}", self._delete)
        add(f"GET {_API}/{{parent...}}/branches", lambda _, parent: self._children(parent, "branches"))
        add(f"GET {_API}/{{parent...}}/endpoints", lambda _, parent: self._children(parent, "endpoints"))
        add(f"GET {_API}/{{name...}}", lambda _, name: self._one(name))
        add(f"GET {_STORES}/online-stores/{{name}}", self._store)
        add(f"POST {_STORES}/tables/{{table}}/publish", self._publish)

    def add_project(self, name: str) -> str:
        """Make a project with its first branch, and return the endpoint of that."""
        branch = f"projects/{name}/branches/production"
        endpoint = f"{branch}/endpoints/primary"
        self.resources[f"projects/{name}"] = {"name": f"projects/{name}", "project_id": name}
        self.resources[branch] = {"name": branch, "status": {"default": True, "current_state": "READY"}}
        status = {"current_state": "IDLE", "disabled": False, "hosts": {"host": self.host}}
        self.resources[endpoint] = {"name": endpoint, "status": status}
        return endpoint

    def _create(self, request: Request) -> dict[str, Any]:
        parsed(Project, request.json)
        name = request.query.get("project_id", "")
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", name):
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"Invalid project id {name!r}.")
        if f"projects/{name}" in self.resources:
            raise refusal(409, "ALREADY_EXISTS", f"Project {name} already exists.")
        operation = f"projects/{name}/operations/1"
        self.resources[operation] = {"name": operation, "done": True}
        if self.fails:
            self.resources[operation]["error"] = {"message": self.fails}
        else:
            self.add_project(name)
            self.resources[f"projects/{name}"] |= request.json
            self.resources[operation]["response"] = self.resources[f"projects/{name}"]
        return {"name": operation, "done": False}

    def _projects(self) -> list[dict[str, Any]]:
        return [found for name, found in self.resources.items() if name.count("/") == 1]

    def _delete(self, _: Request, name: str) -> dict[str, Any]:
        self._one(name)
        for inside in [other for other in self.resources if f"{other}/".startswith(f"{name}/")]:
            del self.resources[inside]
        operation = {"name": f"projects/{name.partition('/')[2]}/operations/2", "done": True, "response": {}}
        return self.resources.setdefault(str(operation["name"]), operation)

    def _credential(self, request: Request) -> dict[str, Any]:
        check(PostgresAPI.generate_database_credential, request.json)
        status = self._one(request.json["endpoint"])["status"]
        if status["disabled"]:
            raise refusal(400, "INVALID_STATE", "The endpoint is disabled.")
        asked = float(request.json.get("ttl", "3600s").removesuffix("s"))
        if not 300 <= asked <= 3600:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "ttl must be between 300s and 3600s.")
        token = secrets.token_urlsafe(24)
        self.on_password(request.user, token)
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=asked if self.seconds is None else self.seconds)
        return {"token": token, "expire_time": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _children(self, parent: str, kind: str) -> dict[str, Any]:
        self._one(parent)
        pattern = re.compile(rf"{re.escape(parent)}/{kind}/[^/]+")
        return {kind: [found for name, found in self.resources.items() if pattern.fullmatch(name)]}

    def _one(self, name: str) -> dict[str, Any]:
        if name not in self.resources:
            raise refusal(404, "NOT_FOUND", f"{name} does not exist.")
        return self.resources[name]

    def _store(self, _: Request, name: str) -> dict[str, Any]:
        if name not in self.stores:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Online store {name} does not exist.")
        return {"name": name, "capacity": "CU_1", "state": self.stores[name]}

    def _publish(self, request: Request, table: str) -> dict[str, Any]:
        check(FeatureStoreAPI.publish_table, request.json, "source_table_name")
        spec = parsed(PublishSpec, request.json["publish_spec"])
        self._store(request, spec.online_store)
        self.published[spec.online_table_name] = {"source": table, **request.json["publish_spec"]}
        status = {"detailed_state": "SYNCED_TABLE_PROVISIONING"}
        self.resources.setdefault(f"synced_tables/{spec.online_table_name}", {"status": status})
        return {"online_table_name": spec.online_table_name}
