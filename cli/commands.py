"""The commands beside the pipelines; each takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import shlex
import sys

from rich.text import Text

from churn.data.contract import snake_case
from churn.settings import Settings

from .context import CONFIGS, configuration_of, remember, session_of
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
    "use",
]


def config_show(arguments: argparse.Namespace) -> int:
    """Print the settings in force, as YAML."""
    import yaml

    settings, profile = configuration_of(arguments)
    shown = {**settings.model_dump(mode="json"), "profile": profile.model_dump(mode="json")}
    print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
    return 0


def config_schema(arguments: argparse.Namespace) -> int:
    """Print the JSON schema of the settings."""
    import json

    print(json.dumps(Settings.model_json_schema(), indent=2))
    return 0


def data_simulate(arguments: argparse.Namespace) -> int:
    """Write simulated customers to a Parquet file."""
    import pyarrow.parquet

    from churn.lifecycle.features import simulated

    settings, profile, contract = session_of(arguments)
    source = simulated(contract, settings)
    path = getattr(arguments, "out", None) or profile.state / "data" / f"{contract.name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(source.rows, path)
    print(f"{source.rows.num_rows:,} simulated rows of {contract.name}: {path}")
    where = f"--dataset {contract.name.removesuffix('_simulated')} --data {shlex.quote(str(path))}"
    print(f"Deliver them as a table: python run.py --pipeline training {where}")
    return 0


def data_fetch(arguments: argparse.Namespace) -> int:
    """Download a public data set."""
    from adapters.local.public_data import fetch

    path = fetch(arguments.name, configuration_of(arguments).profile.state / "data")
    where = f"--dataset {arguments.name} --data {shlex.quote(str(path))}"
    print(f"{path}\nTrain on it: python run.py --pipeline training {where}")
    return 0


def data_describe(arguments: argparse.Namespace) -> int:
    """Print what a table holds and how it keeps its contract."""
    from churn.data.ingest import conform, to_bronze
    from churn.data.snapshot import profile_of
    from churn.data.validation import validate
    from churn.lifecycle.features import simulated

    session = session_of(arguments)
    settings, contract, workspace = session.settings, session.contract, session.workspace
    source = simulated(contract, settings) if settings.data is None else workspace.delivered(settings.data)
    batch = conform(source, contract)
    report = validate(batch, contract, settings.validation, now=workspace.clock()).report
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

    profile = configuration_of(arguments).profile
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

    profile = configuration_of(arguments).profile
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


def use(arguments: argparse.Namespace) -> int:
    """Remember the data set that the commands of this checkout act on; without a name, say which one it is."""
    configuration = configuration_of(arguments)
    if arguments.name is None:
        print(configuration.settings.dataset)
        return 0
    contract = remember(configuration.profile, arguments.name)
    print(f"Commands act on the data set {contract.name} now. --dataset names another one for a single command.")
    if contract.source == "table":
        print("Next    python run.py --pipeline training --data FILE   (delivers its table and trains)")
    return 0
