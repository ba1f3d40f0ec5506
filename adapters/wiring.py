"""Connects a profile with adapters; each adapter is imported only when it is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from churn.data.contract import DatasetContract
from churn.data.file_format import FileFormat
from churn.data.ingest import Source
from churn.lifecycle.serve_options import ServeOptions
from churn.lifecycle.workspace import Workspace
from churn.profile import Profile
from churn.settings import Settings, registered_name

from .databricks import ports as databricks
from .local import ports as local
from .mlflow import ports as mlflow
from .session import activate, active_profile, clock_at, now

__all__ = [
    "activate",
    "active_profile",
    "check_orchestrator",
    "clear_killed",
    "clock_at",
    "connect",
    "diagnose",
    "endpoint_log",
    "ensure_stack",
    "fetch",
    "handed_over",
    "noted_endpoint",
    "now",
    "read_table",
    "running_dashboards",
    "sheet_names",
    "start_dashboards",
    "start_run",
    "tokens_of",
]


def connect(contract: DatasetContract, model: str, profile: Profile | None = None) -> Workspace:
    """Return the ports of one data set.

    Args:
        contract: The data set.
        model: The name of its registered model; `{dataset}` stands for the data set's name.
        profile: The machine or cloud; None takes the one that is active.
    """
    place = active_profile() if profile is None else profile
    adapters, name = _ADAPTERS[place.adapters], registered_name(model, contract)
    _reach(place)
    if contract.feature_module is not None and place.adapters == "databricks":
        from .databricks.code import fetched

        contract = contract.model_copy(update={"feature_module": fetched(place, contract.feature_module)})
    return Workspace(
        contract=contract,
        model=name,
        threads=place.resources.threads,
        clock=now,
        make={port: partial(make, place, contract, name) for port, make in adapters.items()},
    )


def _reach(profile: Profile) -> None:
    """Let the clients of this process find the workspace of a profile that has one."""
    if profile.databricks is not None:
        from .databricks.workspace import export

        export(profile.databricks, profile.mlflow.tracking_uri)


def read_table(path: Path, file_format: FileFormat | None = None) -> Source:
    """Return the rows of a user's table, in a file written as `file_format` says."""
    from .local.sources import read_source

    return read_source(path, file_format)


def sheet_names(path: Path) -> list[str]:
    """Return the sheets of a workbook, in their order; none of a file that is no workbook or cannot be read."""
    from .local.row_files import sheet_names

    return sheet_names(path)


def fetch(name: str, profile: Profile) -> Path:
    """Download a public data set into the profile's state folder, verify it, and return its path."""
    from .local.public_data import fetch as download

    return download(name, profile.state / "data")


def diagnose(project: Path | None, profile: Profile, contract: DatasetContract) -> list[Any]:
    """Return what `run.py doctor` finds of everything that a pipeline needs."""
    from .local.doctor import diagnose as look
    from .local.zenml import stack_name

    there: list[Any] = []
    if profile.databricks is not None:
        from .databricks.doctor import diagnose_workspace

        there = diagnose_workspace(profile, profile.databricks.schema_of(contract), now())
    return there + look(
        project,
        profile.state,
        profile.tables,
        profile.mlflow.tracking_uri,
        stack_name(profile),
        shared=profile.shared,
    )


def check_orchestrator(profile: Profile, contract: DatasetContract) -> None:
    """Look, without importing it, whether the orchestrator can be used and a workspace is there; raises StoreError."""
    from .local.zenml import check_client

    check_client()
    if profile.databricks is not None:
        from .databricks.workspace import check_schema

        check_schema(profile.databricks, profile.databricks.schema_of(contract), profile.name)


def ensure_stack(profile: Profile, model: str) -> str:
    """Return the id of the profile's ZenML stack, and see to it that the model's MLflow experiment is there."""
    from .local.zenml import ensure_stack as register
    from .mlflow.client import ensure_experiment

    _reach(profile)
    if profile.databricks is not None:
        from .databricks.workspace import make_folder

        make_folder(profile.databricks)
    ensure_experiment(profile.mlflow.tracking_uri, mlflow.experiment(profile, model), profile.mlflow.artifacts)
    return register(profile)


def handed_over(
    profile: Profile, pipeline: str, settings: Settings, contract: DatasetContract
) -> tuple[Settings, DatasetContract, dict[str, Any]]:
    """Return what the steps of a pipeline receive, and the settings of the stack's components.

    Where steps run elsewhere nothing of it names this machine: the code, a delivered table and a module of features
    are stored where they run.

    Raises:
        ConfigError: something of this machine cannot be handed over.
        StoreError: the place where the steps run does not take it.
    """
    experiment = {"experiment_name": mlflow.experiment(profile, settings.registered_name(contract))}
    components = {"experiment_tracker": experiment} if "experiment_tracker" in profile.stack else {}
    if profile.stack["orchestrator"].flavor != "churn_databricks":
        return settings, contract, components
    from .databricks.code import hand_over

    settings, contract, job = hand_over(profile, pipeline, settings, contract)
    return settings, contract, {**components, **job}


def start_run(profile: Profile) -> None:
    """Note that a pipeline runs, and clear what killed ones left where no other one does."""
    from .local.killed_runs import start

    start(profile.state, lambda: _end_killed_runs(profile))


def clear_killed(profile: Profile) -> int | None:
    """Clear what killed runs left; return how many records were ended, None where a pipeline runs."""
    from .local.killed_runs import clear

    return clear(profile.state, lambda: _end_killed_runs(profile))


def _end_killed_runs(profile: Profile) -> int:
    from .local.zenml import fail_killed_runs, stack_name
    from .mlflow.killed_runs import end_killed_runs

    if profile.stack["orchestrator"].flavor != "local":
        return 0  # runs go on elsewhere while nothing runs here
    return fail_killed_runs(stack_name(profile), now()) + end_killed_runs(profile.mlflow.tracking_uri)


def start_dashboards(profile: Profile, *, detach: bool, zenml_port: int, mlflow_port: int) -> Any:
    """Start the ZenML dashboard and the MLflow UI; see `adapters.local.zenml_ui.start`."""
    from .local.zenml_ui import start

    ports = {"zenml_port": zenml_port, "mlflow_port": mlflow_port}
    return start(profile.mlflow.tracking_uri, profile.state, detach=detach, **ports)


def running_dashboards(profile: Profile) -> Any:
    """Return the dashboards that run in the background, or None."""
    from .local.zenml_ui import running

    return running(profile.state)


def tokens_of(contract: DatasetContract) -> Any:
    """Return the tokens of a data set's endpoint, on the active profile."""
    return local.token_file(active_profile(), contract)


def endpoint_log(contract: DatasetContract) -> Path:
    """Return the log of the endpoint that this process is to be, on the active profile; its folder is there."""
    return local.endpoint_log(active_profile(), contract)


def noted_endpoint(options: ServeOptions, address: str, log: Path) -> AbstractContextManager[None]:
    """Let this process be the endpoint of a data set for a while; raises ConfigError where another process is."""
    from .local.endpoint_process import EndpointProcess, noted

    process = EndpointProcess(
        pid=os.getpid(),
        address=address,
        workers=options.workers,
        started_at=now(),
        authenticated=options.authenticated,
        certificate=options.certificate and options.certificate.resolve(),
        log=log,
    )
    return noted(active_profile().state / "endpoint", options.contract.name, process)


def _online(profile: Profile, contract: DatasetContract, *_: Any) -> Any:
    return _ONLINE[profile.online.store](profile, contract)


def _model_serving(profile: Profile, contract: DatasetContract, model: str, options: ServeOptions) -> Any:
    approval = connect(contract, model, profile).approval(options.settings.approval)
    return databricks.endpoint(profile, contract, model, options, approval)


_Makers = Mapping[str, Callable[..., Any]]

_LOCAL: _Makers = {
    **mlflow.models_in(mlflow.registry),
    "tables": local.tables,
    "windows": local.windows,
    "ledger": local.ledger,
    "stages": local.stages,
    "tracker": mlflow.tracker,
    "files": local.files,
    "studies": local.studies,
    "alerts": local.alerts,
    "online": _online,
    "prediction_log": local.prediction_log,
    "source": local.source,
    "package": mlflow.package,
    "endpoint": local.endpoint,
    "engine": local.engine,
    "identity": local.identity,
    "code_version": local.code_version,
}
_HYBRID: _Makers = {**_LOCAL, **mlflow.models_in(mlflow.unity_registry), "identity": databricks.identity}
_DATABRICKS: _Makers = {
    **_HYBRID,
    "tables": databricks.tables,
    "windows": databricks.windows,
    "ledger": databricks.ledger,
    "files": databricks.files,
    "alerts": databricks.alerts,
    "source": databricks.source,
    "package": databricks.package,
    "endpoint": _model_serving,
    "engine": databricks.engine,
    "prediction_log": databricks.prediction_log,
}
_ADAPTERS: Mapping[str, _Makers] = {"local": _LOCAL, "hybrid": _HYBRID, "databricks": _DATABRICKS}
"""What makes each port of a `Workspace`, by the profile's `adapters`."""
_ONLINE: _Makers = {"sqlite": local.in_sqlite, "postgresql": local.in_postgresql, "lakebase": databricks.in_lakebase}
"""What makes the online store, by the profile's `online.store`."""
