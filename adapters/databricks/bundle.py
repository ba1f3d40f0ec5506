"""Bundles (Declarative Automation Bundles) of what the project has in a workspace: dev, staging and production.

A data set has a bundle of its own. What all data sets share is a bundle too: a bundle fails to make what another one
has made, and removes what it no longer names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from churn.core.errors import ConfigError
from churn.data.contract import DatasetContract
from churn.profile import DatabricksSettings, Profile
from churn.settings import Settings

from .deployment_payload import prepared
from .jobs import job_payload
from .resources import resources

__all__ = ["SHARED", "DatasetJobs", "Graphs", "bundle_files", "jobs_of_dataset", "target_resources"]

Graphs = Mapping[str, Mapping[str, Sequence[str]]]
"""The steps of each pipeline, each with those that it waits for."""

SHARED = "churn_shared"
"""The bundle of the schema and the volume for the files of all data sets."""
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
    pipelines = [
        job_payload(profile.workspace, pipeline, contract.name, steps, deployment.code)
        for pipeline, steps in graphs.items()
    ]
    return DatasetJobs([deployment.payload, *pipelines], deployment.contents)


def target_resources(
    settings: Settings, profile: Profile, contract: DatasetContract, graphs: Graphs
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what one target has, by bundle, kind and key: what `stack setup` sends."""
    jobs = jobs_of_dataset(settings, profile, contract, graphs).payloads
    places = resources(profile.workspace, contract, settings.registered_name(contract))
    own_schema = profile.workspace.schema_of(contract).partition(".")[2]
    schemas = places.pop("schemas")
    shared = {name: schemas.pop(name) for name in [*schemas] if name != own_schema}
    return {
        f"churn-{contract.name}": {
            "schemas": schemas,
            "experiments": places["experiments"],
            "registered_models": places["registered_models"],
            "jobs": {job["name"].replace("-", "_"): job for job in jobs},
        },
        SHARED: {**({"schemas": shared} if shared else {}), "volumes": places["volumes"]},
    }


def bundle_files(
    targets: Mapping[str, tuple[Settings, Profile]],
    contract: DatasetContract,
    production: frozenset[str],
    graphs: Graphs,
) -> dict[str, str]:
    """Return the files of the bundles by path: each bundle is a folder of its name.

    Args:
        targets: Settings and profile of each target; the first one is the default.
        contract: The data set.
        production: The targets that a person does not deploy from their own machine.
        graphs: The steps of each pipeline, each with those that it waits for.

    Raises:
        ConfigError: two targets are the same place or project, or a target has no workspace or runs no jobs.
    """
    _check_apart({name: profile.workspace for name, (_, profile) in targets.items()}, contract)
    files, listed = dict[str, str](), dict[str, dict[str, Any]]()
    for name, (settings, profile) in targets.items():
        for bundle, content in target_resources(settings, profile, contract, graphs).items():
            whole = listed.setdefault(
                bundle, {"bundle": {"name": bundle}, "include": ["resources/*.yml"], "targets": {}}
            )
            whole["targets"][name] = {
                **_target(profile.workspace, f"{bundle}/{name}", production=name in production),
                **({} if whole["targets"] else {"default": True}),
            }
            files[f"{bundle}/resources/{name}.yml"] = _text({"targets": {name: {"resources": content}}})
    return {f"{bundle}/databricks.yml": _text(whole) for bundle, whole in listed.items()} | files


def _check_apart(targets: Mapping[str, DatabricksSettings], contract: DatasetContract) -> None:
    places: dict[tuple[str | None, str], str] = {}
    projects: dict[tuple[str | None, str], str] = {}
    for name, at in targets.items():
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


def _target(at: DatabricksSettings, folder: str, *, production: bool) -> dict[str, Any]:
    target: dict[str, Any] = {"workspace": {"root_path": f"/Workspace/Shared/.bundle/{at.project}/{folder}"}}
    if at.host:
        target["workspace"]["host"] = at.host
    if production:
        target["mode"] = "production"
    if at.jobs and at.jobs.run_as:
        target["run_as"] = {"service_principal_name": at.jobs.run_as}
    return target


def _text(content: Mapping[str, Any]) -> str:
    import yaml

    return _NOTE + yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)
