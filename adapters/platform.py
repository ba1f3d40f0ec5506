"""What commands ask of the platform that a profile names: its Databricks workspace, imported only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from churn.data.contract import DatasetContract
from churn.lifecycle.workspace import Workspace
from churn.profile import Profile
from churn.settings import Settings

from .databricks import ports as databricks
from .session import activate
from .wiring import connect

if TYPE_CHECKING:
    from .databricks.bundle import Graphs

__all__ = [
    "await_version",
    "bundle",
    "deployment_job",
    "destroy_stack",
    "feature_functions",
    "job_session",
    "job_workspace",
    "known_as",
    "platform_monitor",
    "replaced_packages",
    "run_task",
    "setup_stack",
    "stack_owned",
    "stack_pieces",
]


def stack_pieces(settings: Settings, profile: Profile, contract: DatasetContract, graphs: Graphs) -> list[Any]:
    """Return what a data set needs in the workspace, compared with what is there; see `adapters.databricks.stack`.

    `graphs` has the steps of each pipeline, each with those that it waits for.
    """
    from .databricks.stack import plan

    return plan(profile.workspace, contract, **_needed(settings, profile, contract, graphs)[0])


def setup_stack(settings: Settings, profile: Profile, contract: DatasetContract, graphs: Graphs) -> list[Any]:
    """Make what a data set needs in the workspace, and return what was done."""
    from .databricks.stack import setup

    needed, code = _needed(settings, profile, contract, graphs)
    return setup(profile.workspace, contract, **needed, code=code)


def _needed(
    settings: Settings, profile: Profile, contract: DatasetContract, graphs: Graphs
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what else a profile needs beside schema and folder, and what its jobs run."""
    from .databricks.bundle import jobs_of_dataset

    lakebase = profile.online.address if profile.online.store == "lakebase" else None
    needed = {"files": profile.adapters == "databricks", "lakebase": lakebase}
    if profile.workspace.jobs is None:
        return needed, {}
    jobs, code = jobs_of_dataset(settings, profile, contract, graphs)
    return {**needed, "jobs": jobs}, code


def stack_owned(profile: Profile) -> list[Any]:
    """Return what carries the project's mark in the workspace."""
    from .databricks.stack import owned

    return owned(profile.workspace)


def destroy_stack(profile: Profile) -> list[Any]:
    """Remove what carries the project's mark in the workspace, and return it."""
    from .databricks.stack import destroy

    return destroy(profile.workspace)


def replaced_packages(profile: Profile) -> list[Any]:
    """Return the packages that a job replaces in the runtime of the workspace; none where no job runs."""
    from .databricks.code import differences

    return differences(profile.workspace.jobs) if profile.workspace.jobs is not None else []


def deployment_job(contract: DatasetContract, settings: Settings, profile: Profile) -> Any:
    """Return the deployment job of a data set's model; raises ConfigError where the stack has no workspace."""
    from .databricks.deployment_job import DeploymentJob

    return DeploymentJob(profile, contract, settings.registered_name(contract))


def bundle(
    targets: Mapping[str, tuple[Settings, Profile]],
    contract: DatasetContract,
    production: frozenset[str],
    graphs: Graphs,
) -> dict[str, str]:
    """Return the files of a data set's Databricks bundles by path; see `adapters.databricks.bundle.bundle_files`."""
    from .databricks.bundle import bundle_files

    return bundle_files(targets, contract, production, graphs)


def job_session(path: str) -> tuple[Settings, Profile, DatasetContract]:
    """Return what a deployment job was made with, from a file of a volume."""
    from .databricks.deployment_payload import read_job

    return read_job(path)


def known_as(contract: DatasetContract, settings: Settings, profile: Profile) -> str:
    """Return how the registry of a profile calls the data set's model; in Unity Catalog with catalog and schema."""
    model = settings.registered_name(contract)
    if not profile.mlflow.registry_uri.startswith("databricks-uc"):
        return model
    from .databricks.deployment_payload import full_name

    return full_name(profile.workspace, contract, model)


def await_version(contract: DatasetContract, settings: Settings, profile: Profile, version: int) -> None:
    """Wait until a version that the registry has is complete; raises StoreError where that takes long."""
    if profile.mlflow.registry_uri.startswith("databricks-uc"):
        from .databricks.deployment_job import await_ready

        await_ready(profile, known_as(contract, settings, profile), version)


def job_workspace(contract: DatasetContract, settings: Settings, profile: Profile) -> Workspace:
    """Return the ports of a data set for the task of a job that knows no ZenML."""
    from .local.no_stages import NoStages

    made = connect(contract, settings.model_name, profile)
    return replace(made, make={**made.make, "stages": NoStages})


def feature_functions(profile: Profile, contract: DatasetContract, *, create: bool) -> dict[str, str]:
    """Return the statement of each feature on demand by its function's name; with `create`, run them.

    Raises:
        ConfigError: the profile has no workspace, or the data set no feature that can be a function.
        StoreError: the workspace refuses; the functions before stay.
    """
    from .spark.features import feature_statements

    functions = feature_statements(contract, profile.workspace.schema_of(contract))
    if create:
        catalog = databricks.unity_catalog(profile, contract)
        for name, _, sql in functions:
            catalog.run(name.rpartition(".")[2], sql)
    return {function.name: function.sql for function in functions}


def platform_monitor(contract: DatasetContract, profile: Profile) -> Any:
    """Return the platform's own monitor of a data set; raises ConfigError where the stack has no workspace."""
    from .databricks.monitor import PlatformMonitor
    from .databricks.workspace import client_of

    settings = profile.workspace
    return PlatformMonitor(client_of(settings), settings, contract.name, settings.schema_of(contract))


def run_task(**asked: str) -> None:
    """Run one step of a pipeline as the task of a job; see `adapters.databricks.zenml_task.run_task`."""
    from .databricks.zenml_task import run_task as run

    run(activate, **asked)
