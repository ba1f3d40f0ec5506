"""A bundle (Declarative Automation Bundle) of what the project has in a workspace: dev, staging and production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from churn.core.errors import ConfigError
from churn.data.contract import DatasetContract
from churn.profile import Profile
from churn.settings import Settings

from .deployment_payload import prepared
from .jobs import job_payload
from .resources import resources

__all__ = ["DatasetJobs", "Graphs", "bundle_files", "jobs_of_dataset", "target_resources"]

Graphs = Mapping[str, Mapping[str, Sequence[str]]]
"""The steps of each pipeline, each with those that it waits for."""

_NOTE = "# Written by `python run.py stack bundle`: change configs/targets/ and write it anew.\n"


class DatasetJobs(NamedTuple):
    """Every job of a data set as the API takes it, and the files of the volume that they run, by path."""

    payloads: list[dict[str, Any]]
    contents: dict[str, bytes]


def jobs_of_dataset(settings: Settings, profile: Profile, contract: DatasetContract, graphs: Graphs) -> DatasetJobs:
    """Return the deployment job and the job of each pipeline; no workspace is asked.

    Raises:
        ConfigError: no jobs run there, or something of this machine cannot be handed over.
        StoreError: the wheel cannot be built.
    """
    deployment = prepared(settings, profile, contract, settings.registered_name(contract))
    own = [
        job_payload(profile.workspace, pipeline, contract.name, steps, deployment.code)
        for pipeline, steps in graphs.items()
    ]
    return DatasetJobs([deployment.payload, *own], deployment.contents)


def target_resources(
    settings: Settings, profile: Profile, contract: DatasetContract, graphs: Graphs
) -> dict[str, dict[str, Any]]:
    """Return what one target has, by kind and key: what `stack setup` sends."""
    jobs = jobs_of_dataset(settings, profile, contract, graphs).payloads
    own = resources(profile.workspace, contract, settings.registered_name(contract))
    return {**own, "jobs": {job["name"].replace("-", "_"): job for job in jobs}}


def bundle_files(
    targets: Mapping[str, tuple[Settings, Profile]],
    contract: DatasetContract,
    production: frozenset[str],
    graphs: Graphs,
) -> dict[str, str]:
    """Return the files of the bundle by path.

    Args:
        targets: Settings and profile of each target; the first one is the default.
        contract: The data set.
        production: The targets that a person does not deploy from their own machine.
        graphs: The steps of each pipeline, each with those that it waits for.

    Raises:
        ConfigError: two targets are the same place or project, or a target has no workspace or runs no jobs.
    """
    import yaml

    places: dict[tuple[str | None, str], str] = {}
    projects: dict[tuple[str | None, str], str] = {}
    files, listed, bundle = dict[str, str](), dict[str, Any](), f"churn-{contract.name}"
    for name, (settings, profile) in targets.items():
        at = profile.workspace
        twin = places.setdefault((at.host, at.schema_of(contract)), name)
        if twin != name:
            raise ConfigError(
                f"The targets {twin} and {name} are the same place, {at.schema_of(contract)}: give each a catalog of "
                "its own in configs/targets/, in `profile.databricks.catalog`."
            )
        twin = projects.setdefault((at.host, at.project), name)
        if twin != name:
            raise ConfigError(
                f"The targets {twin} and {name} are the project {at.project}, by which jobs and endpoint are found "
                "again: in one workspace each would change and remove those of the other. Give each a "
                "`profile.databricks.project` of its own in configs/targets/."
            )
        target: dict[str, Any] = {"workspace": {"root_path": f"/Workspace/Shared/.bundle/{bundle}/{name}"}}
        if at.host:
            target["workspace"]["host"] = at.host
        if name in production:
            target["mode"] = "production"
        if not listed:
            target["default"] = True
        if at.jobs and at.jobs.run_as:
            target["run_as"] = {"service_principal_name": at.jobs.run_as}
        listed[name] = target
        own = {"targets": {name: {"resources": target_resources(settings, profile, contract, graphs)}}}
        files[f"resources/{name}.yml"] = _NOTE + yaml.safe_dump(own, sort_keys=False, allow_unicode=True, width=120)
    whole = {"bundle": {"name": bundle}, "include": ["resources/*.yml"], "targets": listed}
    return {"databricks.yml": _NOTE + yaml.safe_dump(whole, sort_keys=False), **files}
