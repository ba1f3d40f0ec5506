"""Processes that have imported everything: forks of a process that each test worker has.

A command starts in half a second instead of six, and still has what it would have if a user typed it: a process of its
own that can be killed, its own environment, standard output and exit code, and libraries that know no other home.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from tests.environment import environment

__all__ = ["Process", "Python", "start"]

ROOT = Path(__file__).parents[1]
IMPORTED = (
    *("cli.commands", "cli.pipelines", "cli.decisions", "cli.explain"),
    *(
        "pipelines.features",
        "pipelines.training",
        "pipelines.deployment",
        "pipelines.inference",
        "pipelines.monitoring",
    ),
    *("adapters.wiring", "adapters.local.doctor", "tests.e2e.zenml_records"),
    *("deltalake.writer", "git", "jsonref", "opentelemetry.sdk.trace", "pyarrow.dataset", "xgboost"),
    *("great_expectations", "matplotlib.backends.backend_svg", "matplotlib.pyplot", "optuna", "sklearn.linear_model"),
    *("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
    *("zenml.zen_stores.sql_zen_store", "zenml.log_stores.artifact"),
    *(f"mlflow.{name}" for name in ("sklearn", "tracing.export", "tracing.processor.otel", "xgboost")),
    *("zenml.integrations.mlflow.experiment_trackers", "zenml.orchestrators.local.local_orchestrator"),
    *("zenml.deployers.docker.docker_deployer", "zenml.deployers.local.local_deployer"),
    *("zenml.login.credentials_store", "zenml.orchestrators.step_runner", "zenml.zen_stores.rest_zen_store"),
)
_FORKED = "tests.forked_imports"

Process = multiprocessing.process.BaseProcess


def import_everything() -> None:
    """Do once what every command would do before it knows its home."""
    from cli.environment import prepare

    prepare(debug=False)
    from sqlalchemy.orm import configure_mappers
    from zenml.integrations.registry import integration_registry
    from zenml.utils.source_utils import set_custom_source_root

    sys.modules["__main__"].__file__ = str(ROOT / "run.py")
    set_custom_source_root(tempfile.gettempdir())  # steps below it make ZenML open its database
    for name in IMPORTED:
        importlib.import_module(name)
    set_custom_source_root(None)
    integration_registry.activate_integrations()
    configure_mappers()
    gc.freeze()  # the collector of a fork touches no page of these


def start(program: str, arguments: list[str], work: Path, environment: dict[str, str], out: Path, err: Path) -> Process:
    """Start `run` (the command line) or `records` (see `zenml_records`) in a fork; its output goes to two files."""
    return _started(program, arguments, work, environment, {1: out, 2: err})


class Python:
    """`python -c CODE ARGUMENTS` in a fork, with what the tests need of `subprocess.Popen`, its pipes as text."""

    def __init__(
        self, code: str, *arguments: str, folder: Path = ROOT, environment: dict[str, str] | None = None
    ) -> None:
        (given, self._stdin), (self._out, out), (self._err, err) = os.pipe(), os.pipe(), os.pipe()
        ends = {number: Connection(end) for number, end in enumerate((given, out, err))}
        self._process = _started("code", [code, *arguments], folder, environment or dict(os.environ), ends)
        for end in ends.values():
            end.close()
        self.stdin, self.stdout, self._stderr = os.fdopen(self._stdin, "w"), os.fdopen(self._out), os.fdopen(self._err)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.communicate()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the signal that ended it; none while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float = 100) -> int:
        """Wait for its end, and return the exit code."""
        self._process.join(timeout)
        assert self.returncode is not None, f"it did not end within {timeout} seconds"
        return self.returncode

    def communicate(self, timeout: float = 100) -> tuple[str, str]:
        """End its input, wait for it, and return what it wrote to standard output and standard error."""
        with self.stdin, self.stdout, self._stderr, ThreadPoolExecutor(2) as pool:
            with suppress(BrokenPipeError):
                self.stdin.close()
            out, err = pool.submit(self.stdout.read), pool.submit(self._stderr.read)
            self.wait(timeout)
            return out.result(), err.result()


@cache
def _forks() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_FORKED])
    home = tempfile.mkdtemp(prefix="warm-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with environment({"HOME": home, "PYTHONPATH": str(ROOT)}):
        multiprocessing.forkserver.ensure_running()
    return context


def _started(
    program: str,
    arguments: list[str],
    work: Path,
    environment: dict[str, str],
    files: Mapping[int, Path | Connection],
) -> Process:
    process = _forks().Process(target=_run, args=(program, arguments, work, environment, files))
    process.start()
    return process


def _run(
    program: str,
    arguments: list[str],
    work: Path,
    environment: dict[str, str],
    files: Mapping[int, Path | Connection],
) -> None:
    from cli.main import main
    from tests.e2e.zenml_records import main as records

    programs: dict[str, Callable[[list[str]], int | None]] = {
        "run": main,
        "records": lambda _: records(),
        "code": _code,
    }
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(work)
    for descriptor, end in files.items():
        file = os.open(end, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if isinstance(end, Path) else os.dup(end.fileno())
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    atexit._clear()  # those of the process that was forked; this one's own are not called by multiprocessing
    try:
        sys.exit(programs[program](arguments))
    finally:
        atexit._run_exitfuncs()


def _code(arguments: list[str]) -> None:
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", 1)
    sys.argv = ["-c", *arguments[1:]]
    exec(arguments[0], {"__name__": "__main__"})
