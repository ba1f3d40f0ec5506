"""SQL statements: recorded as they came; none is executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.sql import StatementExecutionAPI

from .http import Request, refusal
from .strict import check

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["Statement", "Statements"]


@dataclass(frozen=True)
class Statement:
    """A statement that a warehouse was asked to run."""

    sql: str
    warehouse: str
    parameters: tuple[tuple[str, str | None], ...]


class Statements:
    """Statements in their order, `fail` lets the next one that holds a text fail as a warehouse does: with HTTP 200."""

    def __init__(self, workspace: Workspace) -> None:
        self.executed: list[Statement] = []
        self.warehouses = {"w1": {"id": "w1", "name": "Serverless Starter Warehouse", "state": "RUNNING"}}
        self._failing: dict[str, str] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._workspace = workspace
        add = workspace.routes.add
        add("POST /api/2.0/sql/statements", self._execute)
        add("POST /api/2.0/sql/statements/", self._execute)
        add("GET /api/2.0/sql/statements/{name}", self._get)
        add("GET /api/2.0/sql/warehouses", lambda request: {"warehouses": list(self.warehouses.values())})

    def fail(self, text: str, message: str) -> None:
        """Let statements that hold a text fail with a message."""
        self._failing[text] = message

    def _execute(self, request: Request) -> dict[str, Any]:
        check(StatementExecutionAPI.execute_statement, request.json)
        warehouse = request.json["warehouse_id"]
        if warehouse not in self.warehouses:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"SQL warehouse {warehouse} does not exist.")
        given = [(each["name"], each.get("value")) for each in request.json.get("parameters", [])]
        self.executed.append(Statement(request.json["statement"], warehouse, tuple(given)))
        error = next((why for text, why in self._failing.items() if text in request.json["statement"]), None)
        status: dict[str, Any] = {"state": "FAILED" if error else "SUCCEEDED"}
        if error:
            status["error"] = {"error_code": "BAD_REQUEST", "message": error}
        name = f"01ef-{self._workspace.next_id()}"
        self._states[name] = {"statement_id": name, "status": status}
        return self._states[name]

    def _get(self, _: Request, name: str) -> dict[str, Any]:
        if name not in self._states:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Statement {name} does not exist.")
        return self._states[name]
