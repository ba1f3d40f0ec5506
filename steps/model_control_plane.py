"""The registered version in ZenML's model control plane, where the dashboard shows it with its artifacts."""

from __future__ import annotations

from zenml import get_step_context, log_metadata
from zenml.client import Client
from zenml.model.utils import link_artifact_version_to_model_version

from churn.lifecycle.registration import Registration
from churn.ports.registry import MODEL_DIGEST

__all__ = ["link_artifacts"]


def link_artifacts(registration: Registration) -> None:
    """Let the ZenML model version of the same number name the registered version and hold this step's inputs."""
    client = Client()
    version = client.get_model_version(registration.name, f"v{registration.version}")
    log_metadata(
        metadata={
            "mlflow_version": registration.version,
            "mlflow_run": registration.run_id or "",
            MODEL_DIGEST: registration.digest,
            "tags": dict(registration.tags),  # one entry: ZenML commits each for itself
        },
        model_version_id=version.id,
    )
    for inputs in get_step_context().step_run.inputs.values():
        for artifact in inputs:
            link_artifact_version_to_model_version(client.get_artifact_version(artifact.id), version)
