"""Which of the dashboards that were started are found again, and ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

from adapters.local.servers import HOST
from adapters.local.zenml_ui import STATE_FILE, running

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
