"""Python programs as processes of their own that start at once: forks of one that has imported the libraries.

`Warm` starts that process. A program has the environment, the working directory and the modules of a new interpreter,
but for the libraries: those of the project come from its own `PYTHONPATH`. It can be killed with all that it starts.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

__all__ = ["WITHOUT_ZENML", "Started", "Warm", "within"]

WITHOUT_ZENML = (
    *("databricks.sdk", "deltalake", "duckdb", "pandas", "pyarrow.dataset", "pyarrow.parquet", "xgboost", "jinja2"),
    *("great_expectations", "matplotlib.backends.backend_svg", "matplotlib.pyplot", "optuna", "sklearn.linear_model"),
    "mlflow.tracking.request_header.registry",  # loads what registers a header with MLflow, which Feast does
    *("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
)
LIBRARIES = (
    *WITHOUT_ZENML,
    *("zenml", "zenml.client", "zenml.zen_stores.sql_zen_store", "zenml.zen_stores.rest_zen_store"),
    *("zenml.log_stores.artifact", "zenml.entrypoints.step_entrypoint_configuration", "zenml.pipelines"),
    *("zenml.integrations.mlflow.experiment_trackers", "zenml.orchestrators.local.local_orchestrator"),
    "zenml.integrations.databricks.orchestrators.databricks_orchestrator",
)
_QUIET = {
    **{"ZENML_ANALYTICS_OPT_IN": "false", "ZENML_LOGGING_VERBOSITY": "ERROR", "ZENML_ENABLE_RICH_TRACEBACK": "false"},
    **{"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "CRITICAL", "GX_ANALYTICS_ENABLED": "false"},
}


class Started:
    """A program that was started; it is used as a `subprocess.Popen` whose output is one text."""

    def __init__(self, place: Path) -> None:
        self._place = place
        while not (place / "pid").exists():
            time.sleep(0.005)
        self.pid = int((place / "pid").read_text())

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; none while it runs."""
        try:
            return os.waitstatus_to_exitcode(int((self._place / "status").read_text()))
        except FileNotFoundError:
            return None

    def poll(self) -> int | None:
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for it, and return what it printed and what it complained of."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self._place), timeout or 0)
            time.sleep(0.01)
        return (self._place / "out").read_text(), (self._place / "err").read_text()


class Warm:
    """The process that has imported the libraries; use it as a context manager.

    Args:
        runtime: What it adds to its environment; with `SAIL_SITE` it imports Spark Connect's client as well.
        volumes: A folder that tasks of jobs see as /Volumes.
        libraries: What it imports.
    """

    def __init__(
        self,
        runtime: Mapping[str, str] | None = None,
        volumes: Path | None = None,
        libraries: Sequence[str] = LIBRARIES,
    ) -> None:
        self._folder, self._root = tempfile.TemporaryDirectory(prefix="warm-"), ""
        home = {"PATH": os.environ["PATH"], "HOME": self._folder.name}
        command = [sys.executable, "-P", __file__, *libraries]
        if volumes is not None:
            self._root = str(Path(self._folder.name) / "root")
            command = [*within(volumes, Path(self._root)), *command]
        self._process = subprocess.Popen(
            command,
            env={**home, **_QUIET, **(runtime or {})},
            cwd=self._folder.name,
            stdin=subprocess.PIPE,
            text=True,
        )
        self._count, self._lock = 0, threading.Lock()

    def start(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path, *, task: bool) -> Started:
        """Start a program: the path of a Python file, and its arguments.

        Args:
            command: The program.
            environment: All of its environment.
            cwd: Its working directory.
            task: Whether it is a task of a job, which sees volumes, and of which all that is printed is one text.
        """
        with self._lock:
            self._count += 1
            place = Path(self._folder.name) / str(self._count)
            place.mkdir()
            asked = {"command": [*command], "environment": {**environment}, "cwd": str(cwd), "place": str(place)}
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({**asked, "task": task, "root": self._root}) + "\n")
            self._process.stdin.flush()
        return Started(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process; programs that run go on."""
        self._process.communicate("")
        self._folder.cleanup()


def within(volumes: Path, root: Path) -> list[str]:
    """Return what goes before a command that may `chroot` to `root`, where the folder `volumes` is /Volumes."""
    root.mkdir()
    script = str(Path(__file__).with_name("volumes.sh"))
    return ["unshare", "--mount", "--map-root-user", "bash", script, str(volumes), str(root)]


def _serve() -> None:
    for name in sys.argv[1:]:
        importlib.import_module(name)
    if "zenml" in sys.modules:
        from zenml.integrations.registry import integration_registry

        integration_registry.activate_integrations()
    if "SAIL_SITE" in os.environ:
        importlib.import_module("pyspark.sql.connect.session")
    gc.freeze()  # the collector of a fork touches no page of these
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if not os.fork():
            _watch(json.loads(line))
    os._exit(0)


def _watch(asked: dict[str, Any]) -> None:
    """Run the program in a fork of this fork, and leave how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    place = Path(asked["place"])
    pid = os.fork()
    if not pid:
        _run(asked, place)
    _leave(place / "pid", pid)
    _leave(place / "status", os.waitpid(pid, 0)[1])
    os._exit(0)


def _leave(path: Path, number: int) -> None:
    with suppress(FileNotFoundError):  # the tests are over
        path.with_suffix(".part").write_text(str(number))
        path.with_suffix(".part").replace(path)


def _run(asked: dict[str, Any], place: Path) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell lets background processes ignore
    os.environ.clear()
    os.environ.update(asked["environment"])
    paths = {0: "/dev/null", 1: place / "out", 2: place / ("out" if asked["task"] else "err")}
    (place / "err").touch()
    for descriptor, path in paths.items():
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(path, flags), descriptor)
    if asked["task"] and asked["root"]:
        os.chroot(asked["root"])
    os.chdir(asked["cwd"])
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    program, *sys.argv[1:] = asked["command"]
    sys.argv[0] = program
    sys.path[:0] = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    importlib.invalidate_caches()
    atexit._clear()
    code: Any = 0
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - told as an interpreter tells it
        import traceback

        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)  # noqa: T201
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _serve()
