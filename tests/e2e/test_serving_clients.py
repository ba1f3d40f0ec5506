"""Clients that were written for Databricks Model Serving ask the endpoint, over a socket."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from churn.approval.promote import promote
from churn.approval.rollout import advance, start
from churn.approval.settings import RolloutSettings
from serving.app import create_app
from serving.service import Service
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, EndpointCase
from tests.unit.serving.test_app import Tokens


class Running:
    """An endpoint that listens at `address`."""

    def __init__(self) -> None:
        self.case = EndpointCase("serving.refresh_seconds=0.05")
        self.case.online_features("a")
        service = Service(self.case.endpoint, MODEL, settings("serving.refresh_seconds=0.05").serving, Tokens())
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        config = uvicorn.Config(create_app(service, "1"), log_level="warning", timeout_graceful_shutdown=10)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})

    def ask(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        body = json.dumps({"instances": rows}).encode()
        headers = {"content-type": "application/json", "authorization": "Bearer asks"}
        request = urllib.request.Request(f"{self.address}/invocations", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: dict[str, Any] = json.load(answer)
        return content


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    made.thread.start()
    while not made.server.started:
        assert made.thread.is_alive()
        time.sleep(0.01)
    yield made
    made.server.should_exit = True
    made.thread.join(20)


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_the_sdk_of_databricks_asks_and_reads_the_state(running: Running) -> None:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.errors import NotFound, PermissionDenied, Unauthenticated

    client = WorkspaceClient(host=running.address, token="asks", auth_type="pat")
    asked = {
        "dataframe_records": [{"customer_id": "a"}],
        "client_request_id": "crm-17",
        "usage_context": {"team": "crm"},
    }
    answer = client.serving_endpoints.query(MODEL, **asked)
    assert answer.predictions is not None
    assert (answer.predictions[0]["status"], answer.served_model_name) == ("ok", f"{MODEL}-1")
    state = client.serving_endpoints.get(MODEL)
    assert state.state is not None
    assert state.state.ready is not None
    assert state.state.config_update is not None
    assert (state.state.ready.value, state.state.config_update.value) == ("READY", "NOT_UPDATING")
    assert state.config is not None
    assert state.config.served_entities is not None
    assert state.config.served_entities[0].entity_version == "1"
    assert [endpoint.name for endpoint in client.serving_endpoints.list()] == [MODEL]
    with pytest.raises(NotFound, match="There is no endpoint 'other' here"):
        client.serving_endpoints.get("other")
    stranger = WorkspaceClient(host=running.address, token="nobody", auth_type="pat")
    with pytest.raises((Unauthenticated, PermissionDenied), match="Send a token that exists"):
        stranger.serving_endpoints.get(MODEL)


def test_the_deployments_client_of_mlflow_asks(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.deployments import get_deploy_client

    monkeypatch.setenv("DATABRICKS_HOST", running.address)
    monkeypatch.setenv("DATABRICKS_TOKEN", "asks")
    client = get_deploy_client("databricks")
    answer = client.predict(endpoint=MODEL, inputs={"dataframe_records": [{"customer_id": "a"}]})
    assert answer["predictions"][0]["customer"] == "a"
    assert client.get_endpoint(MODEL)["state"]["ready"] == "READY"
    assert [endpoint["name"] for endpoint in client.list_endpoints()] == [MODEL]


def test_promotions_and_rollbacks_under_load_drop_nothing_and_mix_no_versions(running: Running) -> None:
    expected = {version: running.case.scorer(version).score(_frame()).probability.iloc[0] for version in (1, 2)}
    answered: list[tuple[int, float]] = []
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            body = running.ask([FULL])
            answered.append((int(body["model"]["version"]), body["predictions"][0]["probability"]))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    running.case.office.go_live(2)
    _wait(lambda: any(version == 2 for version, _ in answered))
    running.case.office.go_live(1)
    before = len(answered)
    _wait(lambda: any(version == 1 for version, _ in answered[before:]))
    ending.set()
    for client in clients:
        client.join(20)
    assert len(answered) > 20
    assert {version for version, _ in answered} == {1, 2}
    assert all(probability == expected[version] for version, probability in answered)


def test_a_rollout_that_starts_grows_and_is_promoted_under_load_gives_no_wrong_version_answer(running: Running) -> None:
    """Each answer says what its version says, and a customer once drawn for the challenger is not given back."""
    expected = {version: running.case.scorer(version).score(_frame()).probability.iloc[0] for version in (1, 2)}
    answered: list[tuple[str, int, float]] = []
    ending = threading.Event()

    def ask(client: int) -> None:
        number = 0
        while not ending.is_set():
            customer, number = f"c{(7 * number + client) % 50}", number + 1
            body = running.ask([{"customer_id": customer, **FULL}])
            (row,) = body["predictions"]
            assert body["model"]["version"] == row["model_version"]
            answered.append((customer, int(row["model_version"]), row["probability"]))

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for client in clients:
        client.start()
    context = running.case.office.context
    running.case.office.judge(2)
    start(context, 2, share=0.3, who="ada", why="Beside it.")
    _wait(lambda: any(version == 2 for _, version, _ in answered))
    advance(context, RolloutSettings(), share=0.6, who="ada")
    time.sleep(0.5)
    promote(context, 2, who="ada")
    _wait(lambda: {version for _, version, _ in answered[-100:]} == {2})
    ending.set()
    for client in clients:
        client.join(20)
    assert len(answered) > 100
    assert all(probability == expected[version] for _, version, probability in answered)
    for customer in {customer for customer, _, _ in answered}:
        versions = [version for name, version, _ in answered if name == customer]
        changes = sum(before != after for before, after in itertools.pairwise(versions))
        assert changes <= 3  # to the challenger and, while the promotion is under way, back and forth at most once


def test_a_request_that_is_under_way_is_answered_before_the_end(running: Running) -> None:
    host, port = running.address.removeprefix("http://").split(":")
    body = json.dumps({"instances": [FULL]}).encode()
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer asks\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as client:
        client.sendall(head.encode() + body[:10])
        time.sleep(0.2)
        running.server.should_exit = True
        time.sleep(0.2)
        client.sendall(body[10:])
        client.settimeout(10)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    running.thread.join(20)
    assert not running.thread.is_alive()


def _frame() -> Any:
    import pandas as pd

    return pd.DataFrame([FULL])


def _wait(happened: Any) -> None:
    for _ in range(1000):
        if happened():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen within ten seconds")
