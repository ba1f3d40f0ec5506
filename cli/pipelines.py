"""Running a pipeline on the profile's stack, with its progress on the screen and a summary at the end."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import time

from rich.text import Text
from zenml.client import Client
from zenml.logger import ZenMLConsoleHandler
from zenml.models import PipelineRunResponse
from zenml.utils import source_utils

from adapters import wiring

from .console import terminal
from .context import CONFIGS, repeated, session_of
from .display import watch
from .summary import summarise

__all__ = ["run_pipeline"]

ROOT = CONFIGS.parent


def run_pipeline(arguments: argparse.Namespace) -> int:
    """Run the pipeline that the arguments name; what goes wrong is raised."""
    started = time.monotonic()
    console = terminal()
    settings, profile, contract = session_of(arguments)
    name = arguments.pipeline
    where = f" · dataset {contract.name} · stack {profile.name}"
    console.print(Text.assemble((name, "bold"), where))
    experiment = settings.registered_name(contract)
    wiring.activate(profile)
    os.environ["ZENML_ACTIVE_STACK_ID"] = wiring.ensure_stack(profile, experiment)
    source_utils.set_custom_source_root(str(ROOT))
    _leave_the_screen_to_the_display(arguments)
    pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name).with_options(
        enable_cache=False if arguments.no_cache else None,
        settings={"experiment_tracker": {"experiment_name": experiment}},
    )
    prepared = time.monotonic() - started
    asked = {"version": arguments.version} if name == "deployment" else {}
    pipeline.prepare(settings, contract, **asked)
    with watch(console, list(pipeline.invocations)) as board:
        run = pipeline(settings, contract, **asked)
    return summarise(
        console, name, _finished(run), settings, profile, board=board, prepared=prepared, options=repeated(arguments)
    )


def _leave_the_screen_to_the_display(arguments: argparse.Namespace) -> None:
    """Keep what steps log for the dashboard, and off the screen."""
    if not getattr(arguments, "debug", False):
        for handler in logging.getLogger().handlers:
            if isinstance(handler, ZenMLConsoleHandler):
                handler.setLevel(logging.CRITICAL)


def _finished(run: PipelineRunResponse | None) -> PipelineRunResponse:
    if run is None:
        raise RuntimeError("ZenML returned no run")
    return Client().get_pipeline_run(run.id)
