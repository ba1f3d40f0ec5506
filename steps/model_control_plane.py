"""The registered version mirrored in ZenML's model control plane, where the dashboard shows it with its artifacts."""

from __future__ import annotations

from zenml import get_step_context, log_metadata
from zenml.client import Client
from zenml.model.utils import link_artifact_version_to_model_version

from churn.lifecycle.registration import Registration
from churn.ports.stages import StageMirror

__all__ = ["mirror"]


def mirror(registration: Registration, stages: StageMirror) -> None:
    """Let the ZenML model version of the same number describe, hold and stage what the registry holds.

    It is made if it is missing, so that a run that was killed before is mended by the next one.
    """
    stages.show_candidate(registration.name, registration.version, registration.description)
    client = Client()
    version = client.get_model_version(registration.name, f"v{registration.version}")
    log_metadata(
        metadata={"mlflow_version": registration.version, "mlflow_run": registration.run_id or "", **registration.tags},
        model_version_id=version.id,
    )
    for inputs in get_step_context().step_run.inputs.values():
        for artifact in inputs:
            link_artifact_version_to_model_version(client.get_artifact_version(artifact.id), version)
