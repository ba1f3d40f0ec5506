"""How each domain type that crosses a step is stored and shown in the ZenML dashboard; never pickle."""

from __future__ import annotations

from .campaign import CampaignMaterializer
from .data import LeakageMaterializer, TableMaterializer, ValidationMaterializer
from .deployment import DeploymentMaterializer, GateMaterializer, StandingMaterializer
from .inference import BatchMaterializer
from .model import (
    EvaluationMaterializer,
    ExplanationMaterializer,
    ModelMaterializer,
    RegistrationMaterializer,
    TrainingMaterializer,
    TuningMaterializer,
)

__all__ = [
    "BatchMaterializer",
    "CampaignMaterializer",
    "DeploymentMaterializer",
    "EvaluationMaterializer",
    "ExplanationMaterializer",
    "GateMaterializer",
    "LeakageMaterializer",
    "ModelMaterializer",
    "RegistrationMaterializer",
    "StandingMaterializer",
    "TableMaterializer",
    "TrainingMaterializer",
    "TuningMaterializer",
    "ValidationMaterializer",
]
