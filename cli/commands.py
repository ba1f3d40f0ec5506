"""The commands that are not pipelines; each takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import shlex
import sys

from rich.text import Text

from adapters import wiring
from churn.core.program import as_typed
from churn.data.contract import snake_case

from .alerts import alerts_send, alerts_show
from .bundle import stack_bundle
from .campaign import campaign_effect, campaign_import
from .completion import completion
from .config import config_explain, config_schema, config_show
from .console import plain_console
from .context import CHECKOUT, configuration_of, remember, session_of, writable
from .decisions import approve, audit, models, reject, retire, rollback
from .deployment_job import (
    deployment_job_create,
    deployment_job_repair,
    deployment_job_show,
    deployment_job_unlink,
    deployment_job_wait,
)
from .description import describe
from .endpoint import (
    endpoint_logs,
    endpoint_predictions,
    endpoint_status,
    endpoint_stop,
    endpoint_token,
    serve,
)
from .explain import explain
from .forget import data_forget
from .monitor import stack_monitor
from .online import features_check, features_function, features_publish
from .output import print_json, wants_json
from .rollout import rollout_abort, rollout_advance, rollout_check, rollout_start, rollout_status
from .schedule import schedule_print
from .simulate import simulate
from .stack import stack_destroy, stack_list, stack_plan, stack_setup, stack_show, stack_use

__all__ = [
    "alerts_send",
    "alerts_show",
    "approve",
    "audit",
    "campaign_effect",
    "campaign_import",
    "completion",
    "config_explain",
    "config_schema",
    "config_show",
    "data_describe",
    "data_fetch",
    "data_forget",
    "data_simulate",
    "data_vacuum",
    "dataset_infer",
    "deployment_job_create",
    "deployment_job_repair",
    "deployment_job_show",
    "deployment_job_unlink",
    "deployment_job_wait",
    "doctor",
    "endpoint_logs",
    "endpoint_predictions",
    "endpoint_status",
    "endpoint_stop",
    "endpoint_token",
    "explain",
    "features_check",
    "features_function",
    "features_publish",
    "models",
    "reject",
    "retire",
    "rollback",
    "rollout_abort",
    "rollout_advance",
    "rollout_check",
    "rollout_start",
    "rollout_status",
    "schedule_print",
    "serve",
    "simulate",
    "stack_bundle",
    "stack_destroy",
    "stack_list",
    "stack_monitor",
    "stack_plan",
    "stack_setup",
    "stack_show",
    "stack_use",
    "ui",
    "use",
]


def data_simulate(arguments: argparse.Namespace) -> int:
    """Write simulated customers to a Parquet file."""
    import pyarrow.parquet

    from churn.lifecycle.features import simulated

    settings, profile, contract = session_of(arguments)
    parts = simulated(contract, settings).parts()
    path = getattr(arguments, "out", None) or profile.state / "data" / f"{contract.name}.parquet"
    writable(path)
    first = next(parts).rows
    with pyarrow.parquet.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part.rows)
    rows = settings.simulation.customers * settings.simulation.months
    print(f"{rows:,} simulated rows of {contract.name}: {path}")
    where = f"--dataset {contract.name.removesuffix('_simulated')} --data {shlex.quote(str(path))}"
    print(as_typed(f"Deliver them as a table: python run.py --pipeline training {where}"))
    return 0


def data_fetch(arguments: argparse.Namespace) -> int:
    """Download a public data set."""
    path = wiring.fetch(arguments.name, configuration_of(arguments).profile)
    where = f"--dataset {arguments.name} --data {shlex.quote(str(path))}"
    print(as_typed(f"{path}\nTrain on it: python run.py --pipeline training {where}"))
    return 0


def data_describe(arguments: argparse.Namespace) -> int:
    """Print what a table holds and how it keeps its contract."""
    from churn.lifecycle.features import NOT_FOLLOWED
    from churn.lifecycle.features import describe as look_at

    session = session_of(arguments)
    report, columns = look_at(session.workspace, session.settings)
    if wants_json(arguments):
        print_json({**report.model_dump(mode="json"), "columns": columns, "exit": 0})
        return 0
    describe(plain_console(), report, columns)
    if session.contract.numbered_rows:
        print(f"The {NOT_FOLLOWED}.")
    return 0


def data_vacuum(arguments: argparse.Namespace) -> int:
    """Remove the data set's old table versions and what killed runs left behind."""
    from churn.lifecycle.retention import vacuum

    session = session_of(arguments)
    removed = vacuum(session.workspace, session.settings.retention)
    for table, size in sorted(removed.items()):
        print(f"{table or 'left by killed runs'}: {size / 1e6:,.1f} MB removed")
    ended = wiring.clear_killed(session.profile)
    if ended is None:
        print("A pipeline runs: what killed ones left in ZenML, MLflow and temporary folders is left alone meanwhile.")
    elif ended:
        print(f"Records of killed runs and models ended in ZenML and MLflow: {ended:,}")
    days = session.settings.retention.days
    print(f"Kept: the newest versions, those of the last {days:g} days, and what registered models were trained on.")
    return 0


def dataset_infer(arguments: argparse.Namespace) -> int:
    """Print the draft of a contract for a user's table."""
    from churn.core.errors import ConfigError, ContractError
    from churn.core.yaml_files import parse_model
    from churn.data.file_format import FileFormat
    from churn.drafting.infer import infer

    options = {name: value for name in ("encoding", "sheet") if (value := getattr(arguments, name)) is not None}
    written = parse_model(FileFormat, options, "the command line", ConfigError)
    name = arguments.name or snake_case(arguments.file.name.partition(".")[0])
    columns = {"key": arguments.key, "label": arguments.label, "time": arguments.time}
    try:
        source = wiring.read_table(arguments.file, written)
        rows, aside = source.rows.to_pandas(ignore_metadata=True), source.broken_lines
        draft = infer(rows, name, file_format=written, broken_lines=aside, today=wiring.now().date(), **columns)
    except ContractError as error:
        sheets = wiring.sheet_names(arguments.file)
        if written.sheet is not None or len(sheets) < 2:
            raise
        others = ", ".join(map(repr, sheets[1:]))
        raise ContractError(
            f"{error} This is the sheet {sheets[0]!r}; --sheet NAME reads another: {others}."
        ) from error
    sys.stdout.write(draft)
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """Print what a pipeline needs of this machine and whether it is there, each line with its remedy."""
    session = session_of(arguments)
    findings = wiring.diagnose(CHECKOUT, session.profile, session.contract)
    failed = sum(finding.status == "fail" for finding in findings)
    code, quiet, console = 2 if failed else 0, getattr(arguments, "quiet", False), plain_console()
    if wants_json(arguments):
        print_json({"ready": not failed, "findings": findings, "exit": code})
        return code
    for finding in findings:
        if quiet and finding.status == "ok":
            continue
        mark, style = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}[finding.status]
        line = Text.assemble((mark, style), f" {finding.area}: {finding.name}  {finding.found}")
        console.print(line)
        if finding.status != "ok":
            console.print(f"    → {finding.remedy}")
    if failed or not quiet:
        console.print("A pipeline can run." if not failed else f"{failed} of these keep a pipeline from running.")
    return code


def ui(arguments: argparse.Namespace) -> int:
    """Start the dashboards and keep them up until the user ends them."""
    if arguments.stop:
        profile = configuration_of(arguments).profile
        dashboards = wiring.running_dashboards(profile)
        if dashboards is not None:
            dashboards.stop()
        print("The dashboards are stopped." if dashboards else "No dashboards run in the background.")
        return 0
    settings, profile, contract = session_of(arguments)
    print("Starting the ZenML dashboard and the MLflow UI …", flush=True)
    ports = {"zenml_port": arguments.zenml_port, "mlflow_port": arguments.mlflow_port}
    dashboards = wiring.start_dashboards(profile, detach=arguments.detach, **ports)
    pages = dashboards.pages | dashboards.links(contract.name, settings.registered_name(contract))
    print(*dashboards.notes, *(f"{name:<15} {page}" for name, page in pages.items()), sep="\n")
    if arguments.detach or dashboards.found:
        already = "already" if dashboards.found else "in the background"
        print(as_typed(f"Both run {already}; `python run.py ui --stop` ends them."))
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
        print(as_typed("Next    python run.py --pipeline training --data FILE   (delivers its table and trains)"))
    return 0
