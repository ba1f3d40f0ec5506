"""The stages of model versions in ZenML's model control plane, where the dashboard shows them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from churn.core.errors import StoreError
from churn.ports.stages import StageMirror

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import ModelVersionResponse

__all__ = ["ZenmlStageMirror"]


class ZenmlStageMirror(StageMirror):
    """The ZenML model versions `v1`, `v2`, … of the same model; bare numbers ZenML keeps for itself."""

    def show_candidate(self, model: str, version: int, description: str) -> None:
        """Put the ZenML model version into staging, unless it is in production."""
        self._show(model, version, "staging", description, unless="production")

    def show_champion(self, model: str, version: int) -> None:
        """Put the ZenML model version into production; ZenML archives the other."""
        self._show(model, version, "production")

    def _show(self, model: str, version: int, stage: str, description: str = "", unless: str = "") -> None:
        try:
            from zenml.client import Client

            found = _version(Client(), model, f"v{version}", description)
            if found.stage not in {stage, unless}:
                found.set_stage(stage, force=True)
        except Exception as error:  # ZenML raises what its database, its server and its settings raise
            raise StoreError(
                f"ZenML's model control plane cannot show version {version} of {model} in {stage}: "
                f"{type(error).__name__}: {' '.join(str(error).split())}. `python run.py doctor` looks into it."
            ) from error


def _version(client: Client, model: str, name: str, description: str) -> ModelVersionResponse:
    from zenml.exceptions import EntityExistsError

    with suppress(KeyError):
        return client.get_model_version(model, name)
    with suppress(EntityExistsError):
        client.create_model(model, description="Churn model; its versions are those of the MLflow registry.")
    try:
        return client.create_model_version(model, name=name, description=description or None)
    except EntityExistsError:
        return client.get_model_version(model, name)
