"""An endpoint that is killed again and again while clients ask: each answer that they received is logged once."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import uvicorn

from adapters.local.feature_store import LocalFeatureStore
from adapters.local.prediction_spool import LocalPredictionLog
from churn.lifecycle.answer_log import AnswerLog
from churn.lifecycle.workspace import Workspace
from serving.app import create_app
from serving.log import KeptLog
from serving.service import Service
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import CONTRACT, FULL, EndpointCase
from tests.forks import Python

PREDICTIONS = CONTRACT.table("predictions")


def log_in(folder: Path) -> LocalPredictionLog:
    return LocalPredictionLog(folder / "log", LocalFeatureStore(folder / "tables", "gym"), PREDICTIONS, "customer_id")


def answer_until_killed(folder: Path, port: int) -> None:
    """Serve a model of a test at a port, with the log of a laptop that is moved ten times a second."""
    case, log = EndpointCase(), log_in(folder)
    case.online_features("a")
    serving = settings("serving.log.move_seconds=0.1", "serving.log.sync_seconds=0.05").serving
    made = case.workspace
    workspace = Workspace(made.contract, made.model, 1, made.clock, {**made.make, "prediction_log": lambda: log})
    service = Service(
        case.endpoint, MODEL, serving, None, log=KeptLog(AnswerLog(workspace, serving.log), log.move, serving.log)
    )
    uvicorn.run(create_app(service, "1"), port=port, log_level="error")


class Clients:
    """Clients that ask with an id of their own each time, and remember whose answer they received."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.received: list[str] = []
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(3)]
        for thread in self._threads:
            thread.start()

    def _ask(self, client: int) -> None:
        number, body = 0, json.dumps({"instances": [FULL, {"customer_id": "a"}]})
        while not self._ending.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                while not self._ending.is_set():
                    number += 1
                    request = f"{client}-{number}"
                    headers = {"content-type": "application/json", "x-request-id": request}
                    connection.request("POST", "/invocations", body, headers)
                    answer = connection.getresponse()
                    if len(json.loads(answer.read())["predictions"]) == 2 and answer.status == 200:
                        self.received.append(request)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.02)  # the server was killed
            finally:
                connection.close()

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(20)


def started(folder: Path, port: int) -> Python:
    return Python(f"from tests.e2e.test_prediction_log import *; answer_until_killed(Path({str(folder)!r}), {port})")


def wait_for(clients: Clients, answers: int) -> None:
    goal = len(clients.received) + answers
    for _ in range(6000):
        if len(clients.received) >= goal:
            return
        time.sleep(0.01)
    pytest.fail("nobody answered within a minute")


def test_every_answer_that_a_client_received_is_logged_once_whenever_the_endpoint_is_killed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clients = Clients(port)
    for _ in range(3):
        process = started(tmp_path, port)
        wait_for(clients, 30)
        time.sleep(random.uniform(0, 0.5))
        process.kill()
        process.communicate()
    process = started(tmp_path, port)
    wait_for(clients, 30)
    clients.end()
    process.send_signal(signal.SIGTERM)
    process.communicate(30)
    assert log_in(tmp_path).counts() == (0, 0, 0), "an end in order moves what waits, also what killed ones left"
    store = LocalFeatureStore(tmp_path / "tables", "gym")
    rows = store.read(store.latest(PREDICTIONS.name)).to_pylist()
    logged = Counter(row["request_id"] for row in rows)
    assert len(clients.received) >= 120
    assert {*clients.received} <= {*logged}
    assert {*logged.values()} == {2}, "two rows a request, none of them twice"
    assert {row["source"] for row in rows} == {"endpoint"}
