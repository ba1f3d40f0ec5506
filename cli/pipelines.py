"""Running a pipeline on the profile's stack, with its progress on the screen and a summary at the end.

ZenML is imported last: a mistake that can be seen without it is reported at once and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from rich.text import Text

from adapters import wiring
from churn.core.errors import ConfigError
from churn.lifecycle.features import check_delivery

from .console import terminal
from .context import CONFIGS, Session, alone, repeated, session_of
from .display import watch
from .durations import in_words, read_durations, write_durations
from .run_log import RunLog

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from churn.data.contract import DatasetContract
    from churn.profile import Profile
    from churn.settings import Settings

__all__ = ["finished", "graphs", "prepared", "run_pipeline"]

ROOT = CONFIGS.parent
_JOBS = {"inference", "monitoring", "retraining"}
"""Pipelines that recur, of which one run at a time works on a data set."""


def run_pipeline(arguments: argparse.Namespace, log: RunLog, started: float) -> dict[str, Any]:
    """Run the pipeline that the arguments name; what goes wrong is raised.

    Args:
        arguments: The parsed command line.
        log: The log of this run, to be opened once nothing speaks against the run.
        started: When the command was started, by `time.monotonic`.

    Returns:
        What came out, as `--json` prints it; `exit` is the exit code.
    """
    session = session_of(arguments)
    settings, profile, contract = session
    name, quiet = arguments.pipeline, getattr(arguments, "quiet", False)
    if name not in {"deployment", "monitoring", "retraining"} and (name != "inference" or settings.data is not None):
        check_delivery(session.workspace, settings)
    if name == "inference":
        from churn.lifecycle.inference import require_champion

        require_champion(session.workspace, settings)
    if getattr(arguments, "dry_run", False):
        from .alerts import dry_monitoring

        return {"pipeline": name, "dataset": contract.name, **dry_monitoring(session, terminal(quiet=quiet))}
    wiring.check_orchestrator(profile, contract)
    if hasattr(arguments, "schedule"):
        return _scheduled(arguments, session)
    if name == "deployment":
        session.workspace.approval(settings.approval).read().candidate(arguments.version)
    _make_state(profile)
    if log.path is None:
        log.open(profile.state / "logs", f"{name}-{contract.name}", settings.retention.log_days)
    console, file, key = terminal(quiet=quiet), profile.state / "durations.json", f"{name} {contract.name}"
    last = read_durations(file, key)
    expected = f" · {in_words(last['total'])} last time" if "total" in last else ""
    console.print(Text.assemble((name, "bold"), f" · dataset {contract.name} · stack {profile.name}{expected}"))
    with console.status("starting ZenML and MLflow", spinner=console.spinner) if console.is_terminal else nullcontext():
        pipeline, parameters = prepared(arguments, session)
    one_at_a_time = alone(session.workspace, name) if name in _JOBS else nullcontext()
    with watch(console, list(pipeline.invocations), last) as board, one_at_a_time:
        run = finished(pipeline(**parameters))
    from .summary import summarise

    result = {"pipeline": name, "dataset": contract.name, "run": run.name}
    options = repeated(arguments)
    result |= summarise(console, name, run, settings, profile, options=options, verbose=arguments.verbose)
    seconds = time.monotonic() - started
    console.print(board.times(started, started + seconds), style="dim")
    write_durations(file, key, board.seconds(), seconds)
    if quiet and result["exit"]:
        print(result["message"], file=sys.stderr)
    if result.pop("retrain", False) and settings.monitoring.retraining.mode == "start":
        console.print("monitoring.retraining.mode is start: retraining follows.")
        arguments.pipeline = "retraining"
        return run_pipeline(arguments, log, started)
    return {**result, "seconds": round(seconds, 1), "log": log.path}


def _make_state(profile: Profile) -> None:
    try:
        profile.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose another folder with --set profile.state=FOLDER"
        raise ConfigError(f"The state folder {profile.state} cannot be made ({error.strerror}): {remedy}.") from error


def _scheduled(arguments: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Let the stack start the pipeline by itself from now on, with the code and the settings of now, or no more."""
    profile, cron, name = session.profile, arguments.schedule, f"{arguments.pipeline}-{session.contract.name}"
    if profile.stack["orchestrator"].flavor == "local":
        raise ConfigError(
            f"The stack {profile.name!r} starts nothing by itself: let cron type the command (docs/command-line.md) or "
            "name a stack of Databricks with --stack."
        )
    pipeline, parameters = prepared(arguments, session)
    from zenml.client import Client
    from zenml.config.schedule import Schedule

    for schedule in Client().list_schedules(name=name).items:
        Client().delete_schedule(schedule.id, soft=False)
    if cron != "off":
        pipeline.with_options(schedule=Schedule(name=name, cron_expression=cron))(**parameters)
    state = "runs no more by itself" if cron == "off" else f"runs by itself at {cron} (UTC)"
    terminal(quiet=getattr(arguments, "quiet", False)).print(f"{name} {state}, on the stack {profile.name}.")
    return {"pipeline": arguments.pipeline, "dataset": session.contract.name, "schedule": cron, "exit": 0}


def prepared(arguments: argparse.Namespace, session: Session) -> tuple[Any, dict[str, Any]]:
    """Return the pipeline, ready to run on the profile's stack, and what else it is called with."""
    from zenml.utils import source_utils

    settings, profile, contract = session
    name = arguments.pipeline
    wiring.activate(profile)
    os.environ["ZENML_ACTIVE_STACK_ID"] = wiring.ensure_stack(profile, settings.registered_name(contract))
    wiring.start_run(profile)
    source_utils.set_custom_source_root(str(ROOT))
    _leave_the_screen_to_the_display(arguments)
    settings, contract, components = wiring.handed_over(profile, name, settings, contract)
    pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name).with_options(
        run_name=f"{name}-{contract.name}-{{date}}-{{time}}",
        enable_cache=False if arguments.no_cache else None,
        settings=components,
    )
    parameters = {"version": arguments.version} if name == "deployment" else {}
    pipeline.prepare(settings, contract, **parameters)
    return pipeline, {"settings": settings, "contract": contract, **parameters}


def graphs(settings: Settings, contract: DatasetContract) -> dict[str, dict[str, list[str]]]:
    """Return the steps of each pipeline, each with those that it waits for; nothing runs, and no store is asked."""
    from .parser import PIPELINES

    steps = {}
    for name in PIPELINES:
        pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name)
        pipeline.prepare(settings, contract, **({"version": None} if name == "deployment" else {}))
        steps[name] = {step: sorted(invocation.upstream_steps) for step, invocation in pipeline.invocations.items()}
    return steps


def _leave_the_screen_to_the_display(arguments: argparse.Namespace) -> None:
    """Keep what steps log for the dashboard and the log file, and off the screen."""
    from zenml.logger import ZenMLConsoleHandler

    if not getattr(arguments, "debug", False):
        for handler in logging.getLogger().handlers:
            if isinstance(handler, ZenMLConsoleHandler):
                handler.setLevel(logging.CRITICAL)


def finished(run: PipelineRunResponse | None) -> PipelineRunResponse:
    """Return a run with what it left."""
    from zenml.client import Client

    if run is None:
        raise RuntimeError("ZenML returned no run")
    return Client().get_pipeline_run(run.id)
