"""How each domain type that crosses a step is stored and shown in the ZenML dashboard; never pickle."""

from __future__ import annotations

from .data import LeakageMaterializer, TableMaterializer, ValidationMaterializer
from .deployment import DeploymentMaterializer, GateMaterializer, StandingMaterializer
from .model import (
    EvaluationMaterializer,
    ExplanationMaterializer,
    ModelMaterializer,
    RegistrationMaterializer,
    TrainingMaterializer,
    TuningMaterializer,
)

__all__ = [
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
