"""The trained model and what is known of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.utils import io_utils

from churn.evaluation.evaluate import Evaluation
from churn.evaluation.importance import Explanation
from churn.lifecycle.registration import Registration
from churn.model.model import ChurnModel
from churn.training.train import TrainingReport
from churn.training.trials import TuningResult
from reports.evaluation_report import evaluation_sections
from reports.explanation_report import explanation_section
from reports.model_report import model_section, registration_section, training_section, tuning_section
from reports.page import Section

from .base import JsonMaterializer, save_page

__all__ = [
    "EvaluationMaterializer",
    "ExplanationMaterializer",
    "ModelMaterializer",
    "RegistrationMaterializer",
    "TrainingMaterializer",
    "TuningMaterializer",
]


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


class TuningMaterializer(JsonMaterializer):
    """What tuning tried and bought."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (TuningResult,)

    def title(self, data: TuningResult) -> str:
        """Say what it bought."""
        return f"Tuning: {len(data.trials)} trials"

    def sections(self, data: TuningResult) -> tuple[Section, ...]:
        """Show the trials."""
        return (tuning_section(data),)

    def compute_content_hash(self, data: TuningResult) -> str:
        """Return a hash of what training takes from it: the parameters, not how long the search took."""
        return super().compute_content_hash(data.boosting)


class TrainingMaterializer(JsonMaterializer):
    """The model card: what was trained, chosen and measured out of fold."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (TrainingReport,)

    def title(self, data: TrainingReport) -> str:
        """Name the blend."""
        return f"Model card: {' + '.join(data.chosen)}"

    def sections(self, data: TrainingReport) -> tuple[Section, ...]:
        """Show candidates, calibration and cost."""
        return (training_section(data),)


class EvaluationMaterializer(JsonMaterializer):
    """The holdout's verdict with its curves."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (Evaluation,)

    def title(self, data: Evaluation) -> str:
        """Say on what."""
        return f"Evaluation on {data.customers:,} customers of the holdout"

    def sections(self, data: Evaluation) -> tuple[Section, ...]:
        """Show metrics, money, curves and slices."""
        return evaluation_sections(data)


class ExplanationMaterializer(JsonMaterializer):
    """Importance and reason codes."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (Explanation,)

    def title(self, data: Explanation) -> str:
        """Say what it is."""
        return "Why customers are at risk"

    def sections(self, data: Explanation) -> tuple[Section, ...]:
        """Show importance and examples."""
        return (explanation_section(data),)


class RegistrationMaterializer(JsonMaterializer):
    """The registered version that a run ended in."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (Registration,)

    def title(self, data: Registration) -> str:
        """Name the version."""
        return f"{data.name}, version {data.version}"

    def sections(self, data: Registration) -> tuple[Section, ...]:
        """Show description and tags."""
        return (registration_section(data),)
