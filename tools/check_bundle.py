"""Read bundles as Databricks' own package does, without a workspace: `python tools/check_bundle.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from databricks.bundles.experiments import MlflowExperiment
from databricks.bundles.jobs import Job
from databricks.bundles.registered_models import RegisteredModel
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume

KINDS: dict[str, Any] = {
    "experiments": MlflowExperiment,
    "jobs": Job,
    "registered_models": RegisteredModel,
    "schemas": Schema,
    "volumes": Volume,
}


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the resources of the bundles below a folder: kinds, fields, types, or no bundle."""
    bundles = sorted(folder.rglob("databricks.yml"))
    return [fault for path in bundles for fault in _of_a_bundle(path)] if bundles else [f"{folder}: no bundle is there"]


def _of_a_bundle(description: Path) -> list[str]:
    messages: list[str] = []
    whole = yaml.safe_load(description.read_text(encoding="utf-8"))
    for path in sorted(file for pattern in whole["include"] for file in description.parent.glob(pattern)):
        for target, target_settings in yaml.safe_load(path.read_text(encoding="utf-8"))["targets"].items():
            messages += [f"{path.name}: there is no target {target}"] * (target not in whole["targets"])
            for kind, resources in target_settings["resources"].items():
                for key, resource in resources.items():
                    messages += _faults(f"{path.name}: {kind}.{key}", KINDS.get(kind), resource)
    return messages


def _faults(where: str, kind: Any, resource: dict[str, Any]) -> list[str]:
    if kind is None:
        return [f"{where}: a bundle of this project has no such kind"]
    try:
        read = kind.from_dict(resource).as_dict()
    except (TypeError, ValueError) as error:
        return [f"{where}: {error}"]
    return [] if read == resource else [f"{where}: {sorted(set(resource) ^ set(read))} is read in another way"]


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print(*wrong or ["The bundles are ones that Databricks reads whole."], sep="\n")  # noqa: T201 - a command
    sys.exit(2 if wrong else 0)
