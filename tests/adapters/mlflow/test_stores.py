"""MLflow's stores as they fail: locked, broken, unreachable, created by two processes at once."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.mlflow.app import STORE
from adapters.mlflow.client import ask, connect, ensure_experiment
from adapters.mlflow.killed_runs import end_killed_runs
from adapters.mlflow.registry import MlflowModelRegistry
from adapters.mlflow.tracker import MlflowTracker, active_run_id
from churn.core.errors import NotFound, StoreError
from churn.ports.studies import Trial
from tests.forks import Python

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    connect(uri)
    return uri


@pytest.fixture
def tracker(uri: str, tmp_path: Path) -> MlflowTracker:
    return MlflowTracker(uri, "training", tmp_path / "artifacts")


def took(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def test_a_server_that_is_not_there_is_reported_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"

    def versions() -> None:
        with pytest.raises(StoreError, match=f"{address} could not be reached.*Start the server"):
            MlflowModelRegistry(address).versions("churn")

    assert took(versions) < 10


def test_a_file_that_is_no_database_is_reported_within_seconds(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("customer_id,churn\n" * 100)

    def versions() -> None:
        with pytest.raises(StoreError, match=r"mlflow\.db could not be opened: file is not a database"):
            MlflowModelRegistry(f"sqlite:///{tmp_path}/mlflow.db").versions("churn")

    assert took(versions) < 10


def test_a_local_store_that_was_never_written_to_has_no_models_and_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for name in ("mlflow.db", "empty.db"):
        assert MlflowModelRegistry(f"sqlite:///{tmp_path}/{name}").versions("churn") == []
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]


def test_what_a_local_store_does_not_have_it_says_without_mlflow(uri: str) -> None:
    assert took(lambda: MlflowModelRegistry(uri).versions("nobody")) < 0.5


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Check that its folder can be written"):
        connect(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_a_password_in_the_address_is_not_shown(tmp_path: Path) -> None:
    def refuse() -> None:
        raise OSError("no route")

    with pytest.raises(StoreError, match=r"postgresql://churn:\*\*\*@db/mlflow could not be asked: no route") as caught:
        ask("postgresql://churn:secret@db/mlflow", "be asked", refuse)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/.churn/mlflow.db.lock"), "Free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/data/.churn/mlflow"), "Free some space"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/.churn/mlflow"), "Check free space and permissions"),
    ],
)
def test_what_the_disk_refuses_is_told_with_its_remedy(error: OSError, remedy: str) -> None:
    def refuse() -> None:
        raise error

    with pytest.raises(StoreError, match=rf"could not log the run: \[Errno {error.errno}\] .*\. {remedy}"):
        ask("sqlite:///mlflow.db", "log the run", refuse)


def test_a_locked_database_is_waited_for(uri: str, tracker: MlflowTracker) -> None:
    tracker.run_id()
    lock = sqlite3.connect(uri.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.0, lock.close).start()
    assert took(lambda: tracker.log_params({"seed": 7})) > 0.5


def test_a_database_that_stays_locked_is_reported_after_three_attempts() -> None:
    from mlflow.exceptions import MlflowException

    attempts = []

    def locked() -> None:
        attempts.append(1)
        raise MlflowException("(sqlite3.OperationalError) database is locked")

    with pytest.raises(StoreError, match="Another process keeps it locked"):
        ask("sqlite:///mlflow.db", "register a version", locked)
    assert len(attempts) == 3


def test_two_processes_create_one_store_and_one_experiment(tmp_path: Path) -> None:
    code = (
        "from adapters.mlflow.client import ensure_experiment\n"
        f"print(ensure_experiment('sqlite:///{tmp_path}/state/mlflow.db', 'training', '{tmp_path}/state/artifacts'))"
    )
    processes = [Python(code, folder=tmp_path) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert {out for out, _ in answers} == {"1\n"}
    assert {err for _, err in answers} == {""}
    assert {path.name for path in tmp_path.iterdir()} == {"state"}


def test_an_experiment_keeps_its_files_where_it_was_told(uri: str, tmp_path: Path) -> None:
    experiment = ensure_experiment(uri, "of my own", tmp_path / "some where")
    location = connect(uri).get_experiment(experiment).artifact_location
    assert location == (tmp_path / "some where").as_uri() + "/of_my_own"
    assert ensure_experiment(uri, "of my own", None) == experiment


def test_a_deleted_experiment_is_reported_with_the_way_back(uri: str, tmp_path: Path) -> None:
    experiment = ensure_experiment(uri, "deleted", tmp_path)
    connect(uri).delete_experiment(experiment)
    with pytest.raises(StoreError, match=f"mlflow experiments restore -x {experiment}"):
        ensure_experiment(uri, "deleted", tmp_path)


def test_a_tracker_ends_the_run_it_opened_and_says_how(uri: str, tmp_path: Path) -> None:
    with MlflowTracker(uri, "training", tmp_path) as tracker:
        good = tracker.run_id()
    failing = MlflowTracker(uri, "training", tmp_path)

    def fail() -> None:
        with failing:
            raise ZeroDivisionError("in the step")

    with pytest.raises(ZeroDivisionError, match="in the step"):
        fail()
    client = connect(uri)
    assert [client.get_run(run).info.status for run in (good, failing.run_id())] == ["FINISHED", "FAILED"]


def test_a_tracker_leaves_a_run_it_was_attached_to_open(uri: str, tracker: MlflowTracker, tmp_path: Path) -> None:
    theirs = tracker.run_id()
    with MlflowTracker(uri, "training", tmp_path, run_id=theirs) as attached:
        attached.log_metrics({"auc": 0.8})
        assert attached.run_id() == theirs
    run = connect(uri).get_run(theirs)
    assert (run.info.status, run.data.metrics) == ("RUNNING", {"auc": 0.8})


def test_a_run_that_is_not_there_cannot_be_attached_to(uri: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="f00"):
        MlflowTracker(uri, "training", tmp_path, run_id="f00").log_params({"seed": 1})


def test_no_run_is_active_where_nobody_opened_one() -> None:
    assert active_run_id() is None


def test_a_trial_that_a_killed_run_left_half_recorded_is_completed(uri: str, tracker: MlflowTracker) -> None:
    client = connect(uri)
    parent = client.get_run(tracker.run_id())
    tags = {"mlflow.parentRunId": tracker.run_id(), "study": "s", "trial": "0", "trial_state": "COMPLETE"}
    half = client.create_run(parent.info.experiment_id, tags=tags).info.run_id
    tracker.log_trials(
        "s", [Trial(number=0, state="COMPLETE", value=0.4, params={"depth": 2}, seconds=1.0)], "log_loss"
    )
    [run] = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id()}'")
    assert (run.info.run_id, run.info.status, run.data.params, run.data.metrics) == (
        half,
        "FINISHED",
        {"depth": "2"},
        {"log_loss": 0.4},
    )


def test_runs_and_models_of_killed_processes_are_ended(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert end_killed_runs(uri) == 0
    experiment = ensure_experiment(uri, "training", tmp_path / "artifacts")
    client = connect(uri)
    running, finished = (client.create_run(experiment).info.run_id for _ in range(2))
    client.set_terminated(finished)
    pending = client.create_logged_model(experiment, name="half", source_run_id=running)
    ready = client.create_logged_model(experiment, name="whole", source_run_id=finished)
    client.finalize_logged_model(ready.model_id, "READY")
    place = Path(pending.artifact_location.removeprefix("file:"))
    place.mkdir(parents=True)
    assert end_killed_runs(uri) == 2
    assert [client.get_run(run).info.status for run in (running, finished)] == ["KILLED", "FINISHED"]
    assert [model.model_id for model in client.search_logged_models([experiment])] == [ready.model_id]
    assert not place.exists()
    assert end_killed_runs(uri) == 0


def test_the_runs_on_a_server_may_be_of_others_and_stay() -> None:
    assert end_killed_runs("http://127.0.0.1:1") == 0


def test_a_store_is_used_without_touching_the_global_one_or_the_current_folder(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
import mlflow
from adapters.mlflow.registry import MlflowModelRegistry
from adapters.mlflow.tracker import MlflowTracker
from churn.ports.studies import Trial
before = mlflow.get_tracking_uri()
uri = "sqlite:///{tmp_path}/state/mlflow.db"
package = Path("{tmp_path}/package"); package.mkdir(); (package / "MLmodel").write_text("flavors: {{}}")
with MlflowTracker(uri, "training", "{tmp_path}/state/artifacts") as tracker:
    tracker.log_file("a.txt", "a")
    trial = Trial(number=0, state="COMPLETE", value=0.4, params={{"depth": 2}}, seconds=1.0)
    tracker.log_trials("s", [trial], "log_loss")
    registry = MlflowModelRegistry(uri)
    registry.register("churn", package, description="d", tags={{"a": "b"}}, run_id=tracker.run_id())
    registry.set_alias("churn", "Challenger", 1)
    registry.download("churn", 1, Path("{tmp_path}/download"))
assert mlflow.get_tracking_uri() == before
"""
    (tmp_path / "elsewhere").mkdir()
    process = Python(code, folder=tmp_path / "elsewhere")
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An MLflow server that hands files through, as a team shares one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, files = f"http://127.0.0.1:{port}", tmp_path / "server"
    command = f"{sys.executable} -m uvicorn --factory adapters.mlflow.app:guarded --app-dir {ROOT} --port {port}"
    files.mkdir()
    process = subprocess.Popen(
        command.split(),
        cwd=files,
        env={**os.environ, STORE: f"sqlite:///{files}/mlflow.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def test_a_server_is_used_like_a_file(server: str, tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "code").mkdir(parents=True)
    (package / "MLmodel").write_text("flavors: {}")
    (package / "code" / "scoring.py").write_text("ANSWER = 42")
    registry = MlflowModelRegistry(server)
    with MlflowTracker(server, "training", None) as tracker:
        tracker.log_params({"seed": 7})
        tracker.log_file("plots/roc.svg", "<svg/>")
        tracker.log_trials(
            "s", [Trial(number=0, state="COMPLETE", value=0.4, params={"depth": 2}, seconds=1.0)], "log_loss"
        )
        made = registry.register("churn", package, description="d", tags={"a": "b"}, run_id=tracker.run_id())
    registry.set_alias("churn", "Challenger", 1)
    found = registry.by_alias("churn", "Challenger")
    assert found is not None
    assert (found.version, found.description, found.tags, found.run_id) == (1, "d", {"a": "b"}, made.run_id)
    assert (registry.download("churn", 1, tmp_path) / "code" / "scoring.py").read_text() == "ANSWER = 42"
    assert registry.by_alias("churn", "Champion") is None
    assert registry.versions("nobody") == []
    with pytest.raises(NotFound, match="version 2"):
        registry.set_alias("churn", "Champion", 2)
