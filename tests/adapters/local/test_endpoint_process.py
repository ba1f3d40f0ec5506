"""Which process is the endpoint of a data set: one that holds its lock, whatever a note on the disk says."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.local.endpoint_process import EndpointProcess, LocalEndpoint, log_of, noted
from adapters.local.servers import Server
from adapters.local.tokens import TokenFile
from churn.core.errors import ConfigError, NotFound, StoreError

NOW = dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC)
HOLDER = """
import signal, sys, time
from pathlib import Path
from tests.adapters.local.test_endpoint_process import here
from adapters.local.endpoint_process import noted
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with noted(Path(sys.argv[1]) / "endpoint", "gym", here(Path(sys.argv[1]))):
    print("holds", flush=True)
    time.sleep(600)
"""


def here(folder: Path, **changed: Any) -> EndpointProcess:
    """Return what this process would note."""
    values = {"pid": os.getpid(), "address": "http://127.0.0.1:9", "workers": 1}
    return EndpointProcess(**{**values, "started_at": NOW, "log": folder / "a.log", **changed})


def note_in(folder: Path) -> Path:
    return folder / f"gym@{socket.gethostname()}.json"


def never() -> Server:
    raise AssertionError("nobody asked to start it")


@pytest.fixture
def endpoint(tmp_path: Path) -> LocalEndpoint:
    return LocalEndpoint(
        tmp_path / "endpoint",
        tmp_path / "logs",
        "gym",
        "churn_gym",
        tokens=TokenFile(tmp_path / "endpoint" / "gym.tokens.json"),
        start=never,
        clock=lambda: NOW,
        refresh_seconds=0.1,
    )


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a process that is the endpoint and answers nothing; a `deaf` one does not end at SIGTERM."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str = "ordinary") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(tmp_path), kind]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "holds\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_where_nothing_was_started_nothing_runs_and_no_file_is_made(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    assert endpoint.state() is None
    assert not endpoint.stop(within=1)
    assert [*tmp_path.iterdir()] == []


def test_a_process_that_does_not_answer_yet_runs_and_is_not_ready(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    with noted(tmp_path / "endpoint", "gym", here(tmp_path)):
        state = endpoint.state()
        assert state is not None
        assert (state.ready, state.version, state.pid, state.since) == (False, None, os.getpid(), NOW)
        assert "does not answer at http://127.0.0.1:9" in state.degraded[0]
    assert endpoint.state() is None


def test_the_token_of_a_question_is_gone_after_it(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    with noted(tmp_path / "endpoint", "gym", here(tmp_path)), pytest.raises(StoreError, match="does not answer"):
        endpoint.query([{"customer_id": "a"}])
    assert TokenFile(tmp_path / "endpoint" / "gym.tokens.json").tokens() == ()


def test_a_note_of_a_dead_process_ends_nobody_who_has_its_number_now(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        (tmp_path / "endpoint").mkdir()
        note_in(tmp_path / "endpoint").write_text(here(tmp_path, pid=stranger.pid).model_dump_json())
        note_in(tmp_path / "endpoint").with_suffix(".lock").touch()
        assert endpoint.state() is None
        assert not endpoint.stop(within=1)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.slow
def test_a_process_that_was_killed_leaves_the_place_to_the_next_one(
    endpoint: LocalEndpoint, holding: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    killed = holding()
    assert endpoint.state() is not None
    killed.kill()
    killed.wait()
    assert note_in(tmp_path / "endpoint").exists()
    assert endpoint.state() is None
    with noted(tmp_path / "endpoint", "gym", here(tmp_path)):
        assert endpoint.state() is not None


@pytest.mark.slow
def test_sigterm_ends_it_and_one_that_does_not_end_is_named(
    endpoint: LocalEndpoint, holding: Callable[..., subprocess.Popen[str]]
) -> None:
    ordinary = holding()
    assert endpoint.stop(within=20)
    assert ordinary.wait() == -signal.SIGTERM
    deaf = holding("deaf")
    with pytest.raises(
        StoreError, match=rf"pid {deaf.pid}\) still answers requests 0.3 seconds .* `kill -9 {deaf.pid}`"
    ):
        endpoint.stop(within=0.3)


def test_a_second_endpoint_of_one_data_set_is_told_of_the_first(tmp_path: Path) -> None:
    with noted(tmp_path, "gym", here(tmp_path, pid=17)):
        said = r"An endpoint of 'gym' runs on this machine already \(pid 17 at http://127.0.0.1:9\).*endpoint stop"
        with pytest.raises(ConfigError, match=said), noted(tmp_path, "gym", here(tmp_path)):
            pytest.fail("both run")
        with noted(tmp_path, "spa", here(tmp_path)):  # that of another data set runs beside it
            pass
        assert json.loads(note_in(tmp_path).read_text())["pid"] == 17


@pytest.mark.parametrize("note", ['{"format": 2, "pid": 17, "address": "x:1"}', "[]", ""])
def test_what_another_version_of_the_project_runs_is_neither_asked_nor_ended(
    endpoint: LocalEndpoint, tmp_path: Path, note: str
) -> None:
    with noted(tmp_path / "endpoint", "gym", here(tmp_path)):
        note_in(tmp_path / "endpoint").write_text(note)
        where = r" \(pid 17 at x:1\)" if "17" in note else ""
        for asked in (endpoint.state, lambda: endpoint.stop(within=1)):
            with pytest.raises(StoreError, match=rf"runs{where}, and what it noted in .* by another version"):
                asked()
    assert endpoint.state() is None, "of a note that nobody holds nothing is taken"


def test_what_runs_on_another_machine_is_that_machines(
    endpoint: LocalEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with noted(tmp_path / "endpoint", "gym", here(tmp_path)):
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        assert endpoint.state() is None
        assert not endpoint.stop(within=1)
        with noted(tmp_path / "endpoint", "gym", here(tmp_path)):
            assert endpoint.state() is not None
        monkeypatch.undo()


def test_the_log_is_that_of_the_newest_endpoint_of_the_data_set(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"No endpoint of 'gym' has left a log in .*: `python run.py serve`"):
        next(endpoint.logs(10))
    logs = tmp_path / "logs"
    logs.mkdir()
    for number, (dataset, hour) in enumerate([("gym", 9), ("gym", 8), ("gym_simulated", 10)]):
        log_of(logs, dataset, NOW.replace(hour=hour)).write_text(f"{number}\nlast of {number}\n")
    assert [*endpoint.logs(10)] == ["0", "last of 0"]
    assert [*endpoint.logs(1)] == ["last of 0"]
    assert [*endpoint.logs(0)] == []


def test_a_log_is_followed_until_the_endpoint_ends(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("before\n")
    with noted(tmp_path / "endpoint", "gym", here(tmp_path)):
        lines = endpoint.logs(1, follow=True)
        assert next(lines) == "before"
        with log.open("a") as file:
            file.write("after\n")
        assert next(lines) == "after"
    assert [*lines] == []
