"""A bundle (Declarative Automation Bundle) of what the project has in a workspace: dev, staging and production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from churn.core.errors import ConfigError
from churn.data.contract import DatasetContract
from churn.settings import Profile, Settings

from .deployment_job import prepared
from .resources import resources

__all__ = ["bundle_files", "target_resources"]

_NOTE = "# Written by `python run.py stack bundle`: change configs/targets/ and write it anew.\n"


def target_resources(settings: Settings, profile: Profile, contract: DatasetContract) -> dict[str, dict[str, Any]]:
    """Return what one target has, by kind and key: what `stack setup` and `deployment-job create` send."""
    model = settings.registered_name(contract)
    job = prepared(settings, profile, contract, model).payload
    return {**resources(profile.workspace, contract, model), "jobs": {job["name"].replace("-", "_"): job}}


def bundle_files(
    targets: Mapping[str, tuple[Settings, Profile]], contract: DatasetContract, production: frozenset[str]
) -> dict[str, str]:
    """Return the files of the bundle by path.

    Args:
        targets: Settings and profile of each target; the first one is the default.
        contract: The data set.
        production: The targets that a person does not deploy from their own machine.

    Raises:
        ConfigError: two targets are the same place, or a target has no workspace or runs no jobs.
    """
    import yaml

    places: dict[tuple[str | None, str], str] = {}
    files, listed = dict[str, str](), dict[str, Any]()
    for name, (settings, profile) in targets.items():
        at = profile.workspace
        twin = places.setdefault((at.host, at.schema_of(contract)), name)
        if twin != name:
            raise ConfigError(
                f"The targets {twin} and {name} are the same place, {at.schema_of(contract)}: give each a catalog of "
                "its own in configs/targets/, in `profile.databricks.catalog`."
            )
        target: dict[str, Any] = {"workspace": {"root_path": f"/Workspace/Shared/.bundle/{at.project}/{name}"}}
        if at.host:
            target["workspace"]["host"] = at.host
        if name in production:
            target["mode"] = "production"
        if not listed:
            target["default"] = True
        if at.jobs and at.jobs.run_as:
            target["run_as"] = {"service_principal_name": at.jobs.run_as}
        listed[name] = target
        own = {"targets": {name: {"resources": target_resources(settings, profile, contract)}}}
        files[f"resources/{name}.yml"] = _NOTE + yaml.safe_dump(own, sort_keys=False, allow_unicode=True, width=120)
    project = next(iter(targets.values()))[1].workspace.project
    whole = {"bundle": {"name": project}, "include": ["resources/*.yml"], "targets": listed}
    return {"databricks.yml": _NOTE + yaml.safe_dump(whole, sort_keys=False), **files}
