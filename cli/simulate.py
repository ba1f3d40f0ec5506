"""The simulated year: policies of retraining side by side, in money."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.core.errors import ConfigError
from churn.core.progress import stage
from churn.data.contract import DatasetContract
from churn.profile import Profile
from churn.settings import Settings

from .console import plain_console, terminal
from .context import Session, session_of, writable
from .display import watch
from .environment import prepare
from .output import print_json, wants_json

if TYPE_CHECKING:
    from churn.lifecycle.year_steps import Connect, YearSteps

__all__ = ["YEAR", "simulate"]

YEAR = (
    "tuning.mode=off",
    "model.candidates=[additive,boosting]",
    "inference.reasons=none",
    "monitoring.windows=[day]",
    "monitoring.clocks=[event]",
    "evaluation.resamples=100",
    "serving.deploy=never",
)
"""The settings in which a simulated year differs from those of base.yaml, unless the user sets them."""


def simulate(arguments: argparse.Namespace) -> int:
    """Live a year by each policy, print what they earned, and write the page."""
    from adapters.year import InTurn, YearStores, year_processes
    from churn.lifecycle.year import simulate_year, year_company, year_contract
    from churn.lifecycle.year_faults import faults_called
    from churn.lifecycle.year_policies import POLICIES, policies_called
    from reports.year_report import year_lines, year_page

    from .year_pipelines import use_own_zenml

    arguments.defaults = YEAR
    settings, profile, contract = session_of(arguments)
    if arguments.through_zenml and arguments.faults:
        raise ConfigError("--through-zenml and --faults exclude each other: leave one of them out.")
    options: dict[str, Any] = {"scenario": arguments.scenario, "months": arguments.months}
    faults = faults_called(arguments.faults) if arguments.faults else frozenset()
    policies = policies_called(arguments.policies) if arguments.policies else tuple(POLICIES)
    contract = year_contract(contract, arguments.scenario)
    company = year_company(contract, settings, **options)
    out = writable(arguments.out or profile.reports / f"year-{arguments.scenario}.html")
    console = terminal(quiet=getattr(arguments, "quiet", False) or wants_json(arguments))
    console.print(f"simulate · dataset {contract.name} · {arguments.scenario}, {arguments.months} months")
    through_zenml, number = arguments.through_zenml, min(profile.resources.threads, len(policies))
    processes = (
        nullcontext(InTurn())
        if through_zenml
        else year_processes(number, partial(prepare, getattr(arguments, "debug", False)))
    )
    try:
        with _folder(arguments.keep) as folder, processes as running, watch(console, ["simulate"]), stage("simulate"):
            if through_zenml:
                use_own_zenml(folder)
            runs = partial(_steps, contract if through_zenml else None, faults)
            stores = YearStores(contract, profile, folder, runs)
            options |= {"faults": faults, "policies": policies, "processes": running}
            year = simulate_year(stores, company, contract, settings, **options)
    except KeyboardInterrupt as interrupted:
        interrupted.add_note("The year left nothing behind.")
        raise
    out.write_text(year_page(year), encoding="utf-8")
    code = 0 if all(reached for _, reached in year.goals) else 3
    if wants_json(arguments):
        answer = {**year.model_dump(mode="json"), "goals": dict(year.goals), "page": out, "exit": code}
        print_json(answer, arguments.results)
        return code
    for line in year_lines(year):
        plain_console().print(line)
    plain_console().print(f"Page    {out}")
    if arguments.keep:
        plain_console().print(
            f"Kept    {arguments.keep}: a state folder for each policy (--set profile.state=FOLDER/NAME)"
        )
    return code


def _steps(
    zenml_of: DatasetContract | None, faults: frozenset[str], connect: Connect, settings: Settings, profile: Profile
) -> YearSteps:
    """Return what runs the use cases of a state: the pipelines of the data set `zenml_of`, or the use cases alone."""
    from churn.lifecycle.year_faults import FaultySteps
    from churn.lifecycle.year_steps import YearSteps

    from .year_pipelines import PipelineSteps

    if zenml_of is not None:
        return PipelineSteps(connect, Session(settings, profile, zenml_of))
    return FaultySteps(connect, settings, faults) if faults else YearSteps(connect, settings)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield a folder for the year's states; it goes when the year ends, or when it fails if it was to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="churn-year-") as folder:
            yield Path(folder)
        return
    if keep.exists():
        raise ConfigError(f"{keep} is there already: name a new folder with --keep.")
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"{keep} cannot be made ({error.strerror}): name another folder with --keep.") from error
    try:
        yield keep.resolve()
    except BaseException:
        shutil.rmtree(keep, ignore_errors=True)
        raise
