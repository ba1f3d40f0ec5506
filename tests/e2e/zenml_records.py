"""What a ZenML home holds, as JSON on standard output: a program of its own, because ZenML knows one home a process."""

from __future__ import annotations

import json
import sys
from typing import Any

from zenml.client import Client
from zenml.models import PipelineRunResponse, StackResponse


def stack(found: StackResponse) -> dict[str, Any]:
    members = [(str(kind), component[0]) for kind, component in found.components.items()]
    return {
        kind: {"name": component.name, "flavor": component.flavor_name, "configuration": component.configuration}
        for kind, component in members
    }


def run(found: PipelineRunResponse) -> dict[str, Any]:
    return {
        "name": found.name,
        "pipeline": found.pipeline.name if found.pipeline else None,
        "stack": found.stack.name if found.stack else None,
        "status": str(found.status),
        "tags": sorted(tag.name for tag in found.tags),
        "page": str(found.run_metadata.get("page", "")),
        "steps": {name: str(step.status) for name, step in found.steps.items()},
        "outputs": {
            f"{step}.{name}": [str(picture.type) for picture in (version.visualizations or [])]
            for step, made in found.steps.items()
            for name, versions in made.outputs.items()
            for version in versions
        },
    }


def models(client: Client) -> dict[str, Any]:
    return {
        model.name: {
            version.name: {
                "stage": version.stage,
                "metadata": {name: str(value) for name, value in version.run_metadata.items()},
                "artifacts": sorted({*version.data_artifact_ids, *version.model_artifact_ids}),
            }
            for version in client.list_model_versions(model.name, hydrate=True).items
        }
        for model in client.list_models().items
    }


def main() -> None:
    client = Client()
    runs = client.list_pipeline_runs(sort_by="asc:created", size=100, hydrate=True).items
    records = {
        "active_stack": client.active_stack_model.name,
        "stacks": {found.name: stack(found) for found in client.list_stacks(hydrate=True).items},
        "runs": [run(found) for found in runs],
        "models": models(client),
    }
    json.dump(records, sys.stdout)


if __name__ == "__main__":
    main()
