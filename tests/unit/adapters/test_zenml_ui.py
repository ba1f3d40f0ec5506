"""Which of the dashboards that were started are found again, and ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from adapters.local.servers import HOST, Server
from adapters.local.zenml_ui import STATE_FILE, Dashboards, running

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def entry(name: str, port: int, group: int) -> dict[str, object]:
    return {"name": name, "address": f"http://{HOST}:{port}", "group": group, "log": None}


def test_where_one_dashboard_has_died_the_other_is_found_and_ended(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    dead.wait()
    with subprocess.Popen([*SLEEP, "--port", "50999"], start_new_session=True) as alive:
        threading.Thread(target=alive.wait).start()
        entries = [entry("ZenML", 50998, dead.pid), entry("MLflow", 50999, alive.pid)]
        (tmp_path / STATE_FILE).write_text(json.dumps(entries))
        dashboards = running(tmp_path)
        assert dashboards is not None
        assert [server.name for server in dashboards.servers] == ["MLflow"]
        dashboards.stop()
    assert alive.returncode == -signal.SIGTERM
    assert running(tmp_path) is None


def test_a_process_that_another_program_started_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEP, start_new_session=True) as stranger:
        (tmp_path / STATE_FILE).write_text(json.dumps([entry("MLflow", 50999, stranger.pid)]))
        assert running(tmp_path) is None
        assert stranger.poll() is None
        stranger.kill()


def test_without_a_record_or_with_one_that_cannot_be_read_nothing_runs(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    (tmp_path / STATE_FILE).write_text("{")
    assert running(tmp_path) is None


class Answers(BaseHTTPRequestHandler):
    """ZenML with a training and an inference run of `telco`, and MLflow with an experiment of it."""

    def do_GET(self) -> None:
        url = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        runs = {"startswith:training-telco-": [{"id": "r1"}], "startswith:inference-telco-": [{"id": "r3"}]}
        answer = None
        if url.path == "/api/v1/runs":
            assert (asked["sort_by"], asked["size"]) == ("desc:created", "1")
            answer = {"items": runs.get(asked["name"], [])}
        elif url.path.endswith("/experiments/get-by-name") and asked["experiment_name"] == "churn telco":
            answer = {"experiment": {"experiment_id": "7"}}
        elif url.path.endswith("/registered-models/get") and asked["name"] == "churn telco":
            answer = {"registered_model": {}}
        self.send_response(404 if answer is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer or {}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer((HOST, 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()


def test_the_links_lead_to_the_newest_runs_the_experiment_and_the_versions(address: str, tmp_path: Path) -> None:
    dashboards = Dashboards((Server("ZenML", address), Server("MLflow", address)), (), tmp_path)
    assert dashboards.links("telco", "churn telco") == {
        "last training": f"{address}/projects/default/runs/r1",
        "last inference": f"{address}/projects/default/runs/r3",
        "MLflow": f"{address}/#/experiments/7/runs?workflowType=machine_learning",
        "versions": f"{address}/#/models/churn%20telco?workflowType=machine_learning",
    }


def test_what_is_not_there_or_does_not_answer_has_no_link(address: str, tmp_path: Path) -> None:
    gone = Server("ZenML", f"http://{HOST}:1")
    assert Dashboards((gone, Server("MLflow", address)), (), tmp_path).links("gym", "churn_gym") == {}
