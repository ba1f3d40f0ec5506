"""The two dashboards of a laptop, ZenML's and MLflow's, as servers of this project's own.

ZenML's server runs straight on the database of the user's client, so that nothing is logged in and nothing has to be
logged out: a pipeline runs the same whether the dashboard is up or not. `zenml login --local` would instead point the
client at a server that is gone after the next restart of the machine.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..mlflow.app import STORE
from .servers import HOST, Server, end_with_this_process, free_port, open_local, spawn, stop, wait_for_answers, watch
from .zenml import store_url

__all__ = ["Dashboards", "running", "start"]

STATE_FILE = "ui.json"
_PAGES = {"ZenML": "/projects/default/pipelines", "MLflow": "/#/experiments?workflowType=machine_learning"}
_PIPELINES = ("training", "deployment", "inference")
_CLASSIC = "workflowType=machine_learning"  # MLflow's pages else open on its agents' view
_REMOTE = ("http://", "https://")

_QUIET = {"ZENML_ANALYTICS_OPT_IN": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Nothing is sent home, unless the user's own environment says otherwise."""

_ZENML_SERVER = {
    "ZENML_SERVER": "true",  # also what keeps the process from writing the client's configuration
    "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
    "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
    "ZENML_SERVER_AUTO_ACTIVATE": "true",
    # Without it the pictures of artifacts in a local artifact store cannot be shown.
    "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",
    "ZENML_SERVER_DISPLAY_ANNOUNCEMENTS": "false",
    "ZENML_SERVER_DISPLAY_UPDATES": "false",
}
# Its background jobs would be further processes, for features that this project does not use.
_MLFLOW_SERVER = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Dashboards:
    """The dashboards that are up.

    Attributes:
        servers: ZenML's and MLflow's, or one of them where the other has ended.
        notes: What the user should know about them.
        state: The folder with their logs.
        found: Whether an earlier `start` left them running.
    """

    servers: tuple[Server, ...]
    notes: tuple[str, ...]
    state: Path
    found: bool = False

    @property
    def pages(self) -> dict[str, str]:
        """The page to open first, by the name of the dashboard."""
        return {server.name: server.address + _PAGES[server.name] for server in self.servers}

    def links(self, dataset: str, model: str) -> dict[str, str]:
        """Return the pages of a data set that people look for, by what they show; of what is not there, none.

        They are its newest training, deployment and inference run in ZenML, and its experiment (`MLflow`) and its
        registered model in MLflow. A server that wants a login gives no links.

        Args:
            dataset: The data set, with which the names of its runs begin behind the pipeline.
            model: The name of its experiment and its registered model.
        """
        links: dict[str, str] = {}
        for server in self.servers:
            look_up = _zenml_links if server.name == "ZenML" else _mlflow_links
            with suppress(OSError, ValueError, KeyError):
                links |= look_up(server.address, dataset, model)
        return links

    def wait(self) -> None:
        """Return after Ctrl-C, when the servers have ended.

        Raises:
            StoreError: a server ended by itself; the other one has ended too.
        """
        try:
            watch(self.servers)
        finally:
            self.stop()

    def stop(self) -> None:
        """End the servers that this project started; those of somebody else's stay."""
        stop(self.servers)
        (self.state / STATE_FILE).unlink(missing_ok=True)


def start(
    mlflow_uri: str,
    state: Path,
    *,
    zenml_port: int = 8237,
    mlflow_port: int = 5000,
    detach: bool = False,
    patience: float = 120.0,
) -> Dashboards:
    """Start both dashboards and return when both answer; those that an earlier `start` left running are returned.

    Of a pair of which one has ended the other is started anew.
    A port that is taken is replaced by the next free one, and a note says so. Where ZenML or MLflow is a server of
    somebody else's (the ZenML client is connected to one, `mlflow_uri` is an http address), its address is returned
    and nothing is started for it. Of `databricks` a note says where its pages are.

    Args:
        mlflow_uri: MLflow's tracking URI.
        state: The folder for the logs and the list of what runs; made where it is missing.
        zenml_port: Where ZenML's dashboard should listen; only this machine can reach it.
        mlflow_port: Where MLflow's should.
        detach: Whether the servers go on when this process ends; `running` finds them again.
        patience: Seconds to wait for the answers; the very first start creates two databases.

    Raises:
        StoreError: a server ended, or did not answer in time; the message has its last words.
    """
    away = mlflow_uri.startswith("databricks")
    earlier = running(state)
    if earlier is not None:
        if len(earlier.servers) == (1 if away else len(_PAGES)) and all(server.answers for server in earlier.servers):
            return earlier
        earlier.stop()
    state.mkdir(parents=True, exist_ok=True)
    notes = ["MLflow's pages are in the Databricks workspace, under Experiments and Models."] if away else []
    started: list[Server] = []
    if not detach:
        end_with_this_process(started)
    try:
        started.append(_start_zenml(zenml_port, state, notes))
        # A server that was started a moment ago does not listen yet.
        taken = {int(server.address.rpartition(":")[2]) for server in started if server.group is not None}
        if not away:
            started.append(_start_mlflow(mlflow_uri, mlflow_port, taken, state, notes))
        deadline = time.monotonic() + patience
        wait_for_answers(started, deadline)
        if started[0].group is not None:
            _skip_survey(started[0].address)
    except BaseException:
        stop(started)
        raise
    entries = [{"name": s.name, "address": s.address, "group": s.group, "log": s.log} for s in started]
    (state / STATE_FILE).write_text(json.dumps(entries), encoding="utf-8")
    return Dashboards(tuple(started), tuple(notes), state)


def running(state: Path) -> Dashboards | None:
    """Return the dashboards of an earlier `start` that still run; None where none does."""
    try:
        entries = json.loads((state / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    servers = tuple(server for server in (Server(**entry) for entry in entries) if server.runs)
    is_running = any(server.group is not None for server in servers)
    return Dashboards(servers, (), state, found=True) if is_running else None


def _start_zenml(port: int, state: Path, notes: list[str]) -> Server:
    if store_url().startswith(_REMOTE):
        return Server("ZenML", store_url().rstrip("/"))
    free = _port("ZenML", port, notes)
    command = _served("adapters.local.zenml_app:guarded", free)
    return spawn("ZenML", free, command, {**_QUIET, **os.environ, **_ZENML_SERVER}, state / "zenml-ui.log")


def _start_mlflow(uri: str, port: int, taken: Collection[int], state: Path, notes: list[str]) -> Server:
    if uri.startswith(_REMOTE):
        return Server("MLflow", uri.rstrip("/"))
    free = _port("MLflow", port, notes, taken)
    environment = {**_QUIET, **os.environ, **_MLFLOW_SERVER, STORE: uri}
    return spawn("MLflow", free, _served("adapters.mlflow.app:guarded", free), environment, state / "mlflow-ui.log")


def _served(application: str, port: int) -> list[str]:
    """Return the command that serves an application of this project on this machine alone."""
    options = ["--factory", "--app-dir", str(_PROJECT), "--host", HOST, "--port", str(port), "--no-server-header"]
    return ["uvicorn", application, *options, "--timeout-graceful-shutdown", "2"]  # an open page keeps a connection


def _port(name: str, default: int, notes: list[str], taken: Collection[int] = ()) -> int:
    port = free_port(default, taken=taken)
    if port != default:
        notes.append(f"Port {default} is in use: {name} listens on {port}.")
    return port


def _skip_survey(address: str) -> None:
    """Tell the dashboard that its account questions are answered, unless the user did so."""
    user = _json(f"{address}/api/v1/current-user")
    if user["body"]["email_opted_in"] is None:
        metadata = {**user["metadata"]["user_metadata"], "finished_onboarding_survey": True}
        _json(f"{address}/api/v1/current-user", {"email_opted_in": False, "user_metadata": metadata})


def _zenml_links(address: str, dataset: str, _: str) -> dict[str, str]:
    links = {}
    for pipeline in _PIPELINES:
        query = urlencode({"name": f"startswith:{pipeline}-{dataset}-", "sort_by": "desc:created", "size": 1})
        for run in _json(f"{address}/api/v1/runs?{query}")["items"]:
            links[f"last {pipeline}"] = f"{address}/projects/default/runs/{run['id']}"
    return links


def _mlflow_links(address: str, _: str, model: str) -> dict[str, str]:
    name, links = urlencode({"experiment_name": model}), {}
    with suppress(urllib.error.HTTPError):
        experiment = _json(f"{address}/api/2.0/mlflow/experiments/get-by-name?{name}")["experiment"]
        links["MLflow"] = f"{address}/#/experiments/{experiment['experiment_id']}/runs?{_CLASSIC}"
    with suppress(urllib.error.HTTPError):
        _json(f"{address}/api/2.0/mlflow/registered-models/get?{urlencode({'name': model})}")
        links["versions"] = f"{address}/#/models/{quote(model, safe='')}?{_CLASSIC}"
    return links


def _json(url: str, put: Mapping[str, object] | None = None) -> Any:
    body = None if put is None else json.dumps(put).encode()
    request = urllib.request.Request(
        url, body, {"Content-Type": "application/json"}, method="GET" if body is None else "PUT"
    )
    with open_local(request, seconds=30) as answer:
        return json.load(answer)
