"""The commands beside the pipelines; each takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import datetime as dt
import shlex
import sys

from rich.text import Text

from adapters import wiring
from churn.data.contract import snake_case
from churn.settings import Settings

from .context import CONFIGS, contract_of, settings_of
from .decisions import approve, audit, models, reject, rollback
from .description import describe
from .display import plain_console
from .explain import explain

__all__ = [
    "approve",
    "audit",
    "config_schema",
    "config_show",
    "data_describe",
    "data_fetch",
    "data_simulate",
    "dataset_infer",
    "doctor",
    "explain",
    "models",
    "reject",
    "rollback",
    "ui",
]


def config_show(arguments: argparse.Namespace) -> int:
    """Print the settings in force, as YAML."""
    import yaml

    settings = settings_of(arguments).model_dump(mode="json")
    print(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), end="")
    return 0


def config_schema(arguments: argparse.Namespace) -> int:
    """Print the JSON schema of the settings."""
    import json

    print(json.dumps(Settings.model_json_schema(), indent=2))
    return 0


def data_simulate(arguments: argparse.Namespace) -> int:
    """Write simulated customers to a Parquet file."""
    import pyarrow.parquet

    settings = settings_of(arguments)
    contract = contract_of(settings)
    source = wiring.source(settings.model_copy(update={"data": None}), contract)
    path = getattr(arguments, "out", None) or settings.profile.state / "data" / f"{contract.name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(source.rows, path)
    print(f"{source.rows.num_rows:,} rows of simulated {contract.name} customers: {path}")
    where = f"--dataset {shlex.quote(settings.dataset)} --data {shlex.quote(str(path))}"
    print(f"Train on them: python run.py --pipeline training {where}")
    return 0


def data_fetch(arguments: argparse.Namespace) -> int:
    """Download a public data set."""
    from adapters.local.public_data import fetch

    path = fetch(arguments.name, settings_of(arguments).profile.state / "data")
    print(f"{path}\nTrain on it: python run.py --pipeline training --data {shlex.quote(str(path))}")
    return 0


def data_describe(arguments: argparse.Namespace) -> int:
    """Print what a table holds and how it keeps its contract."""
    from churn.data.ingest import conform, to_bronze
    from churn.data.snapshot import profile_of
    from churn.data.validation import validate

    settings = settings_of(arguments)
    contract = contract_of(settings)
    batch = conform(wiring.source(settings, contract), contract)
    report = validate(batch, contract, settings.validation, now=dt.datetime.now(dt.UTC)).report
    describe(plain_console(), report, profile_of(to_bronze(batch.frame, contract)))
    return 0


def dataset_infer(arguments: argparse.Namespace) -> int:
    """Print the draft of a contract for a user's table."""
    from adapters.local.sources import read_source
    from churn.drafting.infer import infer

    source = read_source(arguments.file)
    name = arguments.name or snake_case(arguments.file.name.partition(".")[0])
    sys.stdout.write(
        infer(source.rows.to_pandas(), name, key=arguments.key, label=arguments.label, time=arguments.time)
    )
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """Print what a pipeline needs of this machine and whether it is there, each line with its remedy."""
    from adapters.local.doctor import diagnose
    from adapters.local.zenml_stack import stack_name

    profile = settings_of(arguments).profile
    findings = diagnose(CONFIGS.parent, profile.state, profile.tables, profile.mlflow.tracking_uri, stack_name(profile))
    console = plain_console()
    for finding in findings:
        mark, style = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}[finding.status]
        line = Text.assemble((mark, style), f" {finding.area}: {finding.name}  {finding.found}")
        console.print(line, soft_wrap=True)
        if finding.status != "ok":
            console.print(f"    → {finding.remedy}", soft_wrap=True)
    failed = sum(finding.status == "fail" for finding in findings)
    console.print("A pipeline can run." if not failed else f"{failed} of these keep a pipeline from running.")
    return 2 if failed else 0


def ui(arguments: argparse.Namespace) -> int:
    """Start the dashboards and keep them up until the user ends them."""
    from adapters.local.zenml_ui import running, start

    profile = settings_of(arguments).profile
    if arguments.stop:
        dashboards = running(profile.state)
        if dashboards is not None:
            dashboards.stop()
        print("The dashboards are stopped." if dashboards else "No dashboards run in the background.")
        return 0
    print("Starting the ZenML dashboard and the MLflow UI …", flush=True)
    ports = {"zenml_port": arguments.zenml_port, "mlflow_port": arguments.mlflow_port}
    dashboards = start(profile.mlflow.tracking_uri, profile.state, detach=arguments.detach, **ports)
    print(*dashboards.notes, *(f"{name:<7} {page}" for name, page in dashboards.pages.items()), sep="\n")
    if arguments.detach:
        print("Both run in the background; `python run.py ui --stop` ends them.")
        return 0
    print("Both run until Ctrl-C.", flush=True)
    dashboards.wait()
    return 0
