"""Data-quality monitors by the ids of tables, their refreshes, and SQL alerts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.dataquality import Monitor, Refresh
from databricks.sdk.service.sql import AlertV2

from .http import Request, refusal
from .strict import parsed

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["Monitors"]

_API, _ALERTS = "/api/data-quality/v1/monitors", "/api/2.0/alerts"


class Monitors:
    """`monitors` by the UUID of the table, `refreshes` in their order, `alerts` by id."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.monitors: dict[str, dict[str, Any]] = {}
        self.refreshes: list[dict[str, Any]] = []
        self.alerts: dict[str, dict[str, Any]] = {}
        add = workspace.routes.add
        add(f"POST {_API}", self._create)
        add(f"GET {_API}/table/{{id}}", lambda _, id: self._one(id))
        add(f"PATCH {_API}/table/{{id}}", self._update)
        add(f"POST {_API}/table/{{id}}/refreshes", self._refresh)
        add(f"GET {_API}/table/{{id}}/refreshes", lambda _, id: {"refreshes": self._one(id) and self.refreshes})
        add(f"POST {_ALERTS}", self._alert)
        add(f"GET {_ALERTS}", lambda _: {"alerts": list(self.alerts.values())})
        add(f"PATCH {_ALERTS}/{{id}}", self._change_alert)
        add(f"DELETE {_ALERTS}/{{id}}", self._trash_alert)

    def _create(self, request: Request) -> dict[str, Any]:
        made = parsed(Monitor, request.json)
        self._check(made)
        if made.object_id in self.monitors:
            raise refusal(409, "ALREADY_EXISTS", f"A monitor of table {made.object_id} already exists.")
        self.monitors[made.object_id] = request.json
        request.json["data_profiling_config"]["status"] = "DATA_PROFILING_STATUS_PENDING"
        return self.monitors[made.object_id]

    def _update(self, request: Request, id: str) -> dict[str, Any]:
        self._one(id)
        self._check(parsed(Monitor, request.json))
        if request.query.get("update_mask") != "data_profiling_config":
            raise refusal(400, "INVALID_PARAMETER_VALUE", "update_mask is needed.")
        self.monitors[id] = request.json
        return self.monitors[id]

    def _check(self, monitor: Any) -> None:
        tables = {str(table.get("table_id")) for table in self._workspace.catalog.tables.values()}
        schemas = {str(schema["schema_id"]) for schema in self._workspace.catalog.schemas.values()}
        if monitor.object_type != "table" or monitor.object_id not in tables:
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"{monitor.object_id} is not the UUID of a table.")
        if monitor.data_profiling_config.output_schema_id not in schemas:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "output_schema_id is not the UUID of a schema.")

    def _one(self, id: str) -> dict[str, Any]:
        if id not in self.monitors:
            raise refusal(404, "NOT_FOUND", f"No monitor of table {id}.")
        return self.monitors[id]

    def _refresh(self, request: Request, id: str) -> dict[str, Any]:
        self._one(id)
        parsed(Refresh, request.json)
        state = {"refresh_id": self._workspace.next_id(), "state": "MONITOR_REFRESH_STATE_PENDING"}
        self.refreshes.append({**request.json, **state})
        return self.refreshes[-1]

    def _alert(self, request: Request) -> dict[str, Any]:
        parsed(AlertV2, request.json)
        made = {**request.json, "id": str(uuid.uuid4())}
        self.alerts[made["id"]] = made
        return made

    def _trash_alert(self, _: Request, id: str) -> None:
        if self.alerts.pop(id, None) is None:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Alert {id} does not exist.")

    def _change_alert(self, request: Request, id: str) -> dict[str, Any]:
        parsed(AlertV2, request.json)
        self.alerts[id] |= request.json
        return self.alerts[id]
