"""The registered version mirrored in ZenML's model control plane, where the dashboard shows it with its artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from zenml import get_step_context, log_metadata
from zenml.client import Client
from zenml.enums import ModelStages
from zenml.exceptions import EntityExistsError
from zenml.model.utils import link_artifact_version_to_model_version
from zenml.models import ModelVersionResponse

from churn.registration import Registration

__all__ = ["mirror"]

_STAGE = ModelStages.STAGING
"""What a challenger is in ZenML's words."""


def mirror(registration: Registration) -> None:
    """Let the ZenML model version of the same number describe, hold and stage what the registry holds.

    It is made if it is missing, so that a run that was killed before is mended by the next one.
    """
    client = Client()
    version = _version(client, registration)
    log_metadata(
        metadata={"mlflow_version": registration.version, "mlflow_run": registration.run_id or "", **registration.tags},
        model_version_id=version.id,
    )
    _link(client, version, _inputs_of_this_step())
    if version.stage not in {_STAGE, ModelStages.PRODUCTION}:  # what is live stays so when it is trained again
        version.set_stage(_STAGE, force=True)


def _version(client: Client, registration: Registration) -> ModelVersionResponse:
    name, number = registration.name, f"v{registration.version}"  # ZenML keeps bare numbers for itself
    with suppress(EntityExistsError):
        client.create_model(name, description="Churn model; its versions are those of the MLflow registry.")
    try:
        return client.create_model_version(name, name=number, description=registration.description)
    except EntityExistsError:
        return client.get_model_version(name, number)


def _inputs_of_this_step() -> list[UUID]:
    return [version.id for versions in get_step_context().step_run.inputs.values() for version in versions]


def _link(client: Client, version: ModelVersionResponse, artifacts: Iterable[UUID]) -> None:
    for artifact in artifacts:
        link_artifact_version_to_model_version(client.get_artifact_version(artifact), version)
