"""The command line in an interpreter that has imported everything: a fork of a process that each test worker has.

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
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.environment import environment

__all__ = ["Process", "start"]

ROOT = Path(__file__).parents[2]
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
_FORKED = "tests.e2e.warm_imports"

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
    process = _forks().Process(target=_run, args=(program, arguments, work, environment, out, err))
    process.start()
    return process


@cache
def _forks() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_FORKED])
    home = tempfile.mkdtemp(prefix="warm-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with environment({"HOME": home, "PYTHONPATH": str(ROOT)}):
        multiprocessing.forkserver.ensure_running()
    return context


def _run(program: str, arguments: list[str], work: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    from cli.main import main
    from tests.e2e.zenml_records import main as records

    programs: dict[str, Callable[[list[str]], int]] = {"run": main, "records": lambda _: records()}
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(work)
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    atexit._clear()  # those of the process that was forked; this one's own are not called by multiprocessing
    try:
        sys.exit(programs[program](arguments))
    finally:
        atexit._run_exitfuncs()
