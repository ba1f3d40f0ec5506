"""MLflow in the workspace: the Unity Catalog's registry, and a real `mlflow server` for experiments and runs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from .http import Reply, Request, refusal

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["MlflowApi"]

_UC = "/api/2.0/mlflow/unity-catalog"
SERVER = Path(__file__).with_name("mlflow_server.py")
_ARTIFACTS = "dbfs:/databricks/mlflow-tracking"


class MlflowApi:
    """Registered models by their full names; each request is parsed by MLflow's own messages, strictly.

    Attributes:
        models: `{"name": …, "aliases": {alias: version}, "tags": {}, "versions": {number: {...}}}` by full name.
        pending: How many `get` of a version say that it is not READY yet, after it was finalized.
        sdk_uploads: Whether the workspace tells MLflow to upload files through the Files API.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.models: dict[str, dict[str, Any]] = {}
        self.pending = 0
        self.sdk_uploads = False
        self._server: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._lock = threading.RLock()
        add = workspace.routes.add
        for route, message, handler in (
            ("POST registered-models/create", "CreateRegisteredModelRequest", self._create_model),
            ("PATCH registered-models/update", "UpdateRegisteredModelRequest", self._update_model),
            ("DELETE registered-models/delete", "DeleteRegisteredModelRequest", self._delete_model),
            ("GET registered-models/get", "GetRegisteredModelRequest", self._get_model),
            ("GET registered-models/search", "SearchRegisteredModelsRequest", self._search_models),
            ("POST registered-models/set-tag", "SetRegisteredModelTagRequest", self._tag_model),
            ("DELETE registered-models/delete-tag", "DeleteRegisteredModelTagRequest", self._untag_model),
            ("POST registered-models/alias", "SetRegisteredModelAliasRequest", self._set_alias),
            ("GET registered-models/alias", "GetModelVersionByAliasRequest", self._by_alias),
            ("DELETE registered-models/alias", "DeleteRegisteredModelAliasRequest", self._delete_alias),
            ("POST model-versions/create", "CreateModelVersionRequest", self._create_version),
            ("POST model-versions/finalize", "FinalizeModelVersionRequest", self._finalize),
            ("GET model-versions/get", "GetModelVersionRequest", self._get_version),
            ("PATCH model-versions/update", "UpdateModelVersionRequest", self._update_version),
            ("DELETE model-versions/delete", "DeleteModelVersionRequest", self._delete_version),
            ("GET model-versions/search", "SearchModelVersionsRequest", self._search_versions),
            ("GET model-versions/get-download-uri", "GetModelVersionDownloadUriRequest", self._download_uri),
            ("POST model-versions/set-tag", "SetModelVersionTagRequest", self._tag_version),
            ("DELETE model-versions/delete-tag", "DeleteModelVersionTagRequest", self._untag_version),
            ("POST model-versions/emit-lineage", "EmitModelVersionLineageRequest", lambda asked: {}),
        ):
            method, _, path = route.partition(" ")
            add(f"{method} {_UC}/{path}", _parsing(message, handler))
        flag = f"{_UC}/registered-models:is-databricks-sdk-models-artifact-repository-enabled"
        enabled = "is_databricks_sdk_models_artifact_repository_enabled"
        add(f"GET {flag}", lambda request: {enabled: self.sdk_uploads})
        add("* /api/{version}/mlflow/{path...}", self._proxy)

    def approve(self, name: str, version: int, task: str = "Approval_Check") -> int:
        """Do what the button Approve on the page of a version does, and return the run that is repaired."""
        self.version(name, version)["tags"][task] = "Approved"
        given = {"model_name": name, "model_version": str(version)}
        runs = self._workspace.jobs.runs.values()
        (run,) = [run for run in runs if run.parameters == given and run.result == "FAILED"]
        run.repair({each.key for each in run.tasks if each.result != "SUCCESS"}, given)
        return run.run_id

    def close(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(20)

    def version(self, name: str, version: Any) -> dict[str, Any]:
        """Return one version; refuses where there is none."""
        found = self._model(name)["versions"].get(int(version))
        if found is None:
            message = f"Routine or Model version '{name}' version {version} does not exist."
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", message)
        return found

    def _model(self, name: str) -> dict[str, Any]:
        parts = name.split(".")
        if len(parts) != 3 or not all(re.fullmatch(r"[^./ \x00-\x1f]+", part) for part in parts):
            message = f"'{name}' is not a valid name of a model: it must be of the form catalog.schema.model"
            raise refusal(400, "INVALID_PARAMETER_VALUE", message)
        self._workspace.catalog.schema(name.rpartition(".")[0])
        if name not in self.models:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Registered model '{name}' does not exist.")
        return self.models[name]

    def _need(self, privilege: str, name: str) -> None:
        self._workspace.catalog.need(privilege, "Function", name)

    def _create_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["name"]
        with self._lock:
            try:
                self._model(name)
            except Exception as error:
                if name in self.models or "Registered model" not in str(getattr(error, "reply", "")):
                    raise
            else:
                raise refusal(409, "RESOURCE_ALREADY_EXISTS", f"Registered model '{name}' already exists.")
            self._workspace.catalog.need("CREATE MODEL", "Schema", name.rpartition(".")[0])
            self.models[name] = {
                "name": name,
                "description": asked.get("description", ""),
                "deployment_job_id": asked.get("deployment_job_id", ""),
                "tags": self._tags(asked.get("tags", [])),
                "aliases": {},
                "versions": {},
                "last": 0,
                "created": _now(),
            }
        return {"registered_model": self._shown_model(name)}

    def _update_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        model = self._model(asked["name"])
        self._need("MANAGE", asked["name"])
        if new := asked.get("new_name"):
            self.models[new] = self.models.pop(asked["name"]) | {"name": new}
        model.update({key: asked[key] for key in ("description", "deployment_job_id") if key in asked})
        if "deployment_job_id" in asked:
            model.pop("disconnected", None)
        return {"registered_model": self._shown_model(model["name"])}

    def _delete_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._model(asked["name"])
        del self.models[asked["name"]]
        return {}

    def _get_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._model(asked["name"])
        return {"registered_model": self._shown_model(asked["name"])}

    def _search_models(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"registered_models": [self._shown_model(name) for name in self.models]}

    def _tag_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._workspace.catalog.check_tag(asked["key"], asked.get("value", ""))
        self._need("APPLY TAG", asked["name"])
        self._model(asked["name"])["tags"][asked["key"]] = asked.get("value", "")
        return {}

    def _untag_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._model(asked["name"])["tags"].pop(asked["key"], None)
        return {}

    def _set_alias(self, asked: dict[str, Any]) -> dict[str, Any]:
        version = self.version(asked["name"], asked["version"])
        self._need("MANAGE", asked["name"])
        if version["status"] != "READY":
            raise refusal(400, "INVALID_STATE", f"Version {asked['version']} is {version['status']}, not READY.")
        self._model(asked["name"])["aliases"][asked["alias"]] = int(asked["version"])
        return {}

    def _by_alias(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = self._model(asked["name"])["aliases"].get(asked["alias"])
        if number is None:
            message = f"Alias '{asked['alias']}' does not exist for model '{asked['name']}'."
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", message)
        return {"model_version": self._shown(asked["name"], number)}

    def _delete_alias(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._model(asked["name"])["aliases"].pop(asked["alias"], None)
        return {}

    def _create_version(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["name"]
        with self._lock:
            model = self._model(name)
            self._need("CREATE MODEL VERSION", name)
            model["last"] += 1
            kept = ("source", "run_id", "description", "run_tracking_server_id", "model_id")
            model["versions"][model["last"]] = {
                "name": name,
                "version": str(model["last"]),
                "status": "PENDING_REGISTRATION",
                "storage_location": f"s3://metastore/models/{name}/{model['last']}",
                "tags": self._tags(asked.get("tags", [])),
                "creation_timestamp": _now(),
                "last_updated_timestamp": _now(),
                **{key: asked[key] for key in kept if key in asked},
            }
            return {"model_version": self._shown(name, model["last"])}

    def _finalize(self, asked: dict[str, Any]) -> dict[str, Any]:
        version = self.version(asked["name"], asked["version"])
        folder = self._workspace.files.path(f"/Models/{asked['name'].replace('.', '/')}/{asked['version']}")
        if not (folder / "MLmodel").is_file():
            version["status"] = "FAILED_REGISTRATION"
            raise refusal(400, "INVALID_STATE", "The files of the version were not uploaded.")
        version["polls"] = self.pending
        version["status"] = "READY" if not self.pending else "PENDING_REGISTRATION"
        linked = self._model(asked["name"])["deployment_job_id"]
        if self._workspace.jobs.connection(linked) == "CONNECTED":
            given = {"model_name": asked["name"], "model_version": str(asked["version"])}
            self._workspace.jobs.fire(int(linked), given, "ONE_TIME")
        return {"model_version": self._shown(asked["name"], asked["version"])}

    def _get_version(self, asked: dict[str, Any]) -> dict[str, Any]:
        version = self.version(asked["name"], asked["version"])
        shown = self._shown(asked["name"], asked["version"])
        if "polls" in version and version["status"] == "PENDING_REGISTRATION":
            version["polls"] -= 1
            if version["polls"] <= 0:
                version["status"] = "READY"
        return {"model_version": shown}

    def _update_version(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.version(asked["name"], asked["version"])["description"] = asked.get("description", "")
        return {"model_version": self._shown(asked["name"], asked["version"])}

    def _delete_version(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.version(asked["name"], asked["version"])
        model, number = self._model(asked["name"]), int(asked["version"])
        del model["versions"][number]
        model["aliases"] = {alias: version for alias, version in model["aliases"].items() if version != number}
        return {}

    def _search_versions(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = re.fullmatch(r"(name|run_id)\s*=\s*'([^']*)'", asked.get("filter", ""))
        if found is None:
            raise refusal(400, "INVALID_PARAMETER_VALUE", f"Unsupported filter query: {asked.get('filter')!r}")
        if found[1] == "name":
            self._model(found[2])
        hits = [
            self._shown(name, number, search=True)
            for name, model in self.models.items()
            for number, version in sorted(model["versions"].items())
            if {"name": name, "run_id": version.get("run_id")}[found[1]] == found[2]
        ]
        return {"model_versions": hits}

    def _download_uri(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"artifact_uri": self.version(asked["name"], asked["version"])["storage_location"]}

    def _tag_version(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._workspace.catalog.check_tag(asked["key"], asked.get("value", ""))
        self._need("APPLY TAG", asked["name"])
        self.version(asked["name"], asked["version"])["tags"][asked["key"]] = asked.get("value", "")
        return {}

    def _untag_version(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.version(asked["name"], asked["version"])["tags"].pop(asked["key"], None)
        return {}

    def _tags(self, tags: list[dict[str, str]]) -> dict[str, str]:
        for tag in tags:
            self._workspace.catalog.check_tag(tag["key"], tag.get("value", ""))
        return {tag["key"]: tag.get("value", "") for tag in tags}

    def _shown(self, name: str, number: Any, *, search: bool = False) -> dict[str, Any]:
        """Return a version as the API shows it; a search leaves aliases and tags out."""
        version = {key: value for key, value in self.version(name, number).items() if key != "polls"}
        tags = version.pop("tags")
        if search:
            return version
        aliases = [alias for alias, named in self.models[name]["aliases"].items() if named == int(number)]
        shown = [{"key": key, "value": value} for key, value in tags.items()]
        return {**version, "tags": shown, "aliases": [{"alias": a, "version": str(number)} for a in aliases]}

    def _shown_model(self, name: str) -> dict[str, Any]:
        model = self.models[name]
        return {
            "name": name,
            "description": model["description"],
            "deployment_job_id": model["deployment_job_id"],
            # Whose owner changed is disconnected, until somebody links the job again.
            "deployment_job_state": model.get("disconnected")
            or self._workspace.jobs.connection(model["deployment_job_id"]),
            "creation_timestamp": model["created"],
            "last_updated_timestamp": model["created"],
            "tags": [{"key": key, "value": value} for key, value in model["tags"].items()],
            "aliases": [{"alias": alias, "version": str(version)} for alias, version in model["aliases"].items()],
        }

    def _proxy(self, request: Request, version: str, path: str) -> Reply:
        """Ask the real server; where it would keep artifacts itself, say where the workspace keeps them."""
        if path == "experiments/create":
            self._check_experiment(request.json)
        query = request.path + (f"?{urllib.parse.urlencode(request.query)}" if request.query else "")
        kind = {"Content-Type": request.headers.get("content-type", "application/json")}
        asked = urllib.request.Request(self._running() + query, request.body or None, kind, method=request.method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                content, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            content, status = error.read(), error.code
        return Reply(re.sub(rb"(mlflow-tracking/\d+)/models/(m-)", rb"\1/logged_models/\2", content), status)

    def _check_experiment(self, asked: dict[str, Any]) -> None:
        name = asked["name"]
        if not name.startswith("/"):
            message = f"Experiment name '{name}' must be an absolute path in the workspace."
            raise refusal(400, "INVALID_PARAMETER_VALUE", message)
        parent = name.rpartition("/")[0]
        if parent and not self._workspace.files.path(f"/Workspace{parent}").is_dir():
            raise refusal(404, "NOT_FOUND", f"Parent directory {parent} does not exist.")

    def _running(self) -> str:
        """Return the address of the real server, started on first use."""
        with self._lock:
            if self._server is None:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    port = free.getsockname()[1]
                self._address = f"http://127.0.0.1:{port}"
                folder = self._workspace.folder / "mlflow"
                folder.mkdir(parents=True, exist_ok=True)
                store = f"sqlite:///{folder}/mlflow.db"
                command = [sys.executable, "-P", str(SERVER), str(port), store, _ARTIFACTS]
                own = {
                    name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DATABRICKS_"))
                }
                with (folder / "log").open("wb") as log:
                    self._server = subprocess.Popen(
                        command, cwd=folder, env={**own, "DO_NOT_TRACK": "true"}, stdout=log, stderr=log
                    )
                self._wait(folder / "log")
        return self._address

    def _wait(self, log: Any) -> None:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{self._address}/health", timeout=1).close()
                return
            except OSError:
                if self._server is not None and self._server.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"mlflow server did not start: {log.read_text()[-2000:]}")


def _parsing(message: str, handler: Any) -> Any:
    """Return a handler of requests that takes the fields of one of MLflow's messages."""

    def handle(request: Request) -> Reply:
        from mlflow.protos import databricks_uc_registry_messages_pb2 as messages

        given = request.json if request.body else dict(request.query)
        try:
            asked = ParseDict(given, getattr(messages, message)())
        except ParseError as error:
            raise refusal(400, "INVALID_PARAMETER_VALUE", str(error)) from error
        fields = MessageToDict(asked, preserving_proto_field_name=True)
        if "name" in asked.DESCRIPTOR.fields_by_name and not fields.get("name"):
            raise refusal(400, "INVALID_PARAMETER_VALUE", "Missing required field: name")
        answer = handler(fields)
        response = getattr(messages, message.replace("Request", "Response"))()
        return Reply(
            json.loads(json.dumps(MessageToDict(ParseDict(answer, response), preserving_proto_field_name=True)))
        )

    return handle


def _now() -> int:
    return int(time.time() * 1000)
