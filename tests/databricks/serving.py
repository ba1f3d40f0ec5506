"""Model Serving: endpoints that change in the background, one update at a time, and answer by their traffic split."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.serving import (
    AiGatewayInferenceTableConfig,
    ServingEndpointPermissionLevel,
    ServingEndpointsAPI,
    TelemetryConfig,
)

from .http import Refused, Reply, Request, refusal
from .strict import check

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["NotLoaded", "Serving"]

_API = "/api/2.0/serving-endpoints"
_PERMISSIONS = "/api/2.0/permissions/serving-endpoints"
Predict = Callable[[dict[str, Any]], Any]


class NotLoaded(Exception):
    """What serves a version does not start."""


class Serving:
    """Endpoints by name.

    Attributes:
        endpoints: Each as `GET` answers it.
        load: Returns what answers requests for a served entity, or raises NotLoaded; a request's body in, predictions
            out, ValueError for a request that the model refuses.
        polls: How often an endpoint says IN_PROGRESS before an update ends.
        on_update: Called when an update has begun.
        telemetry: Whether the workspace has telemetry tables; `gateway`, whether inference tables take custom models.
        grants: Who may do what, by the id of an endpoint.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.grants: dict[str, list[dict[str, Any]]] = {}
        self.load: Callable[[dict[str, Any]], Predict] = lambda entity: lambda body: []
        self.polls, self.telemetry, self.gateway = 1, True, True
        self.build_logs: dict[str, str] = {}
        self.log = "one\ntwo\nthree\n"
        self.on_update: Callable[[], object] = lambda: None
        self._left: dict[str, int] = {}
        self._loaded: dict[tuple[str, str], Predict] = {}
        self._turn = itertools.count()
        add = workspace.routes.add
        add(f"GET {_API}", lambda _: {"endpoints": list(self.endpoints.values())})
        add(f"POST {_API}", self._create)
        add(f"GET {_API}/{{name}}", lambda _, name: self._look(name))
        add(f"DELETE {_API}/{{name}}", self._delete)
        add(f"PUT {_API}/{{name}}/config", self._update)
        add(f"PATCH {_API}/{{name}}/tags", self._tags)
        add(f"PATCH {_API}/{{name}}/telemetry-config", self._telemetry)
        add(f"PUT {_API}/{{name}}/ai-gateway", self._gateway)
        add(f"GET {_API}/{{name}}/served-models/{{entity}}/logs", self._log)
        add(f"GET {_API}/{{name}}/served-models/{{entity}}/build-logs", self._build_log)
        add("POST /serving-endpoints/{name}/invocations", self._invoke)
        for method in ("PATCH", "PUT"):
            add(f"{method} {_PERMISSIONS}/{{id}}", self._permit)
        add("GET /api/2.1/unity-catalog/models/{model}/versions/{version}", self._version)

    def hurry(self) -> None:
        """Let every update end at the next look."""
        self._left = dict.fromkeys(self._left, 0)

    def _create(self, request: Request) -> dict[str, Any]:
        asked = request.json
        check(ServingEndpointsAPI.create, asked)
        name = asked["name"]
        if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,62}", name):
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"Endpoint name {name} is not valid.")
        if name in self.endpoints:
            raise refusal(400, "RESOURCE_ALREADY_EXISTS", f"Endpoint with name '{name}' already exists.")
        self.endpoints[name] = {
            "name": name,
            "id": f"{self._workspace.next_id():032x}",
            "creator": request.user,
            "tags": asked.get("tags", []),
            "state": {"ready": "NOT_READY", "config_update": "NOT_UPDATING"},
        }
        try:
            self._begin(name, asked.get("config") or {})
        except Refused:
            del self.endpoints[name]
            raise
        return self.endpoints[name]

    def _update(self, request: Request, name: str) -> dict[str, Any]:
        check(ServingEndpointsAPI.update_config, request.json, "name")
        self._owned(name, request)
        if self._one(name)["state"]["config_update"] == "IN_PROGRESS":
            message = f"Endpoint {name} is currently being updated; wait until the update has ended."
            raise refusal(409, "RESOURCE_CONFLICT", message)
        self._begin(name, request.json)
        self.on_update()
        return self.endpoints[name]

    def _begin(self, name: str, config: dict[str, Any]) -> None:
        entities = config.get("served_entities") or []
        names = [entity.get("name") or f"{entity['entity_name']}-{entity['entity_version']}" for entity in entities]
        if not entities or len(set(names)) < len(names):
            raise refusal(400, "INVALID_PARAMETER_VALUE", "Served entities need names that differ.")
        for entity in entities:
            if entity.get("workload_size") not in ("Small", "Medium", "Large"):
                raise refusal(400, "INVALID_PARAMETER_VALUE", f"Unknown workload size {entity.get('workload_size')}")
            if self._status(entity["entity_name"], entity["entity_version"]) != "READY":
                message = f"Model version {entity['entity_name']}/{entity['entity_version']} is not in the READY state."
                raise refusal(400, "INVALID_PARAMETER_VALUE", message)
        routes = (config.get("traffic_config") or {}).get("routes") or []
        if {route.get("served_model_name") for route in routes} != set(names):
            raise refusal(400, "INVALID_PARAMETER_VALUE", "Routes must name the served entities.")
        if sum(route["traffic_percentage"] for route in routes) != 100:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "Traffic percentages must sum to 100.")
        pending = {
            "served_entities": [
                {
                    **entity,
                    "state": {
                        "deployment": "DEPLOYMENT_CREATING",
                        "deployment_state_message": "Creating container image.",
                    },
                }
                for entity in entities
            ],
            "traffic_config": config["traffic_config"],
            "config_version": self._workspace.next_id(),
        }
        self.endpoints[name]["pending_config"] = pending
        self.endpoints[name]["state"]["config_update"] = "IN_PROGRESS"
        self._left[name] = self.polls

    def _look(self, name: str) -> dict[str, Any]:
        endpoint = self._one(name)
        if endpoint["state"]["config_update"] == "IN_PROGRESS":
            self._left[name] -= 1
            if self._left[name] < 0:
                self._end(name, endpoint)
        return endpoint

    def _end(self, name: str, endpoint: dict[str, Any]) -> None:
        pending = endpoint["pending_config"]
        loaded: dict[tuple[str, str], Predict] = {}
        for entity in pending["served_entities"]:
            try:
                loaded[name, entity["name"]] = self.load(entity)
                entity["state"] = _state("READY", "")
            except NotLoaded as error:
                entity["state"] = _state("FAILED", str(error))
        if len(loaded) < len(pending["served_entities"]):
            endpoint["state"]["config_update"] = "UPDATE_FAILED"
            return
        self._loaded = {key: value for key, value in self._loaded.items() if key[0] != name} | loaded
        endpoint["config"] = endpoint.pop("pending_config")
        endpoint["state"] = {"ready": "READY", "config_update": "NOT_UPDATING"}

    def _invoke(self, request: Request, name: str) -> Reply:
        check(ServingEndpointsAPI.query, request.json, "name")
        endpoint = self._one(name)
        if endpoint["state"]["ready"] != "READY":
            raise refusal(400, "BAD_REQUEST", f"Endpoint {name} is not ready.")
        drawn, served = next(self._turn) % 100, ""
        for route in endpoint["config"]["traffic_config"]["routes"]:
            served = route["served_model_name"]
            if drawn < route["traffic_percentage"]:
                break
            drawn -= route["traffic_percentage"]
        try:
            said = self._loaded[name, served](request.json)
        except ValueError as error:
            raise refusal(400, "BAD_REQUEST", str(error)) from error
        return Reply({"predictions": said}, headers={"served-model-name": served})

    def _delete(self, request: Request, name: str) -> None:
        self._owned(name, request)
        del self.endpoints[name]

    def _tags(self, request: Request, name: str) -> dict[str, Any]:
        check(ServingEndpointsAPI.patch, request.json, "name")
        tags = {tag["key"]: tag for tag in [*self._one(name)["tags"], *request.json.get("add_tags", [])]}
        for key in request.json.get("delete_tags", []):
            tags.pop(key, None)
        self._one(name)["tags"] = list(tags.values())
        return {"tags": list(tags.values())}

    def _telemetry(self, request: Request, name: str) -> dict[str, Any]:
        check(ServingEndpointsAPI.patch_telemetry_config, request.json, "name")
        endpoint = self._one(name)
        if not self.telemetry:
            raise refusal(404, "FEATURE_DISABLED", "Telemetry of serving endpoints is not enabled in this workspace.")
        told = TelemetryConfig.from_dict(request.json["telemetry_config"]).as_dict()
        logs = told["table_names"]["logs_table"]
        table = {**told.get("inference_table_config", {}), "name": f"{logs.removesuffix('_logs')}_payload"}
        endpoint["telemetry_config"] = {**told, "inference_table_config": table}
        return endpoint

    def _gateway(self, request: Request, name: str) -> dict[str, Any]:
        check(ServingEndpointsAPI.put_ai_gateway, request.json, "name")
        endpoint = self._one(name)
        if not self.gateway:
            raise refusal(400, "INVALID_PARAMETER_VALUE", "AI Gateway does not support endpoints with custom models.")
        table = AiGatewayInferenceTableConfig.from_dict(request.json["inference_table_config"]).as_dict()
        endpoint["ai_gateway"] = {"inference_table_config": table}
        return endpoint["ai_gateway"]

    def _permit(self, request: Request, id: str) -> dict[str, Any]:
        check(ServingEndpointsAPI.update_permissions, request.json, "serving_endpoint_id")
        if id not in [endpoint["id"] for endpoint in self.endpoints.values()]:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Serving endpoint with id {id} does not exist.")
        asked = request.json.get("access_control_list", [])
        known = {level.value for level in ServingEndpointPermissionLevel}
        assert all(entry["permission_level"] in known for entry in asked)
        self.grants[id] = [
            *self.grants.get(id, []),
            *[entry for entry in asked if entry not in self.grants.get(id, [])],
        ]
        return {"object_id": f"/serving-endpoints/{id}", "access_control_list": []}

    def _version(self, _: Request, model: str, version: str) -> dict[str, Any]:
        shown = {"model_name": model, "version": int(version), "status": self._status(model, version)}
        found = self._workspace.mlflow.version(model, version)
        if "polls" in found and found["status"] == "PENDING_REGISTRATION":
            found["polls"] -= 1
            found["status"] = "READY" if found["polls"] <= 0 else found["status"]
        return shown

    def _status(self, model: str, version: str) -> str:
        return str(self._workspace.mlflow.version(model, version)["status"])

    def _build_log(self, _: Request, name: str, entity: str) -> dict[str, str]:
        self._check_entity(name, entity)
        return {"logs": self.build_logs.get(entity, "")}

    def _log(self, _: Request, name: str, entity: str) -> dict[str, str]:
        self._check_entity(name, entity)
        return {"logs": self.log}

    def _check_entity(self, name: str, entity: str) -> None:
        configs = [self._one(name).get(key) or {} for key in ("config", "pending_config")]
        if entity not in [served["name"] for config in configs for served in config.get("served_entities", [])]:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Served model {entity} does not exist.")

    def _one(self, name: str) -> dict[str, Any]:
        if name not in self.endpoints:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Endpoint with name '{name}' does not exist.")
        return self.endpoints[name]

    def _owned(self, name: str, request: Request) -> None:
        if self._one(name)["creator"] != request.user:
            message = f"User {request.user} does not have 'Manage' permission on serving endpoint {name}."
            raise refusal(403, "PERMISSION_DENIED", message)


def _state(deployment: str, message: str) -> dict[str, str]:
    return {"deployment": f"DEPLOYMENT_{deployment}", "deployment_state_message": message}
