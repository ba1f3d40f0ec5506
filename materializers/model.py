"""The trained model, stored in its own files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.utils import io_utils

from churn.model.model import ChurnModel
from reports.training_report import model_section

from .values import save_page

__all__ = ["ModelMaterializer"]

_FOLDER = "model"


class ModelMaterializer(BaseMaterializer):
    """The model in its own files: JSON and UBJ."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (ChurnModel,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def load(self, data_type: type[ChurnModel]) -> ChurnModel:
        """Return what `save` stored; ModelError where a file is not what it was."""
        with tempfile.TemporaryDirectory() as folder:
            io_utils.copy_dir(os.path.join(self.uri, _FOLDER), folder)
            return data_type.load(Path(folder))

    def save(self, data: ChurnModel) -> None:
        """Store the model's files."""
        with tempfile.TemporaryDirectory() as folder:
            data.save(Path(folder))
            io_utils.copy_dir(folder, os.path.join(self.uri, _FOLDER), overwrite=True)

    def save_visualizations(self, data: ChurnModel) -> dict[str, VisualizationType]:
        """Store the page that the dashboard shows."""
        return save_page(self, "The model", (model_section(data),))

    def compute_content_hash(self, data: ChurnModel) -> str:
        """Return the digest of everything that is saved."""
        return data.digest

    def extract_metadata(self, data: ChurnModel) -> dict[str, Any]:
        """Show the digest and the thresholds beside the artifact."""
        return {"digest": data.digest, "thresholds": dict(data.thresholds)}
