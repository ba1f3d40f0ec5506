"""Source → validated rows → feature and label tables."""

from __future__ import annotations

from zenml import pipeline
from zenml.enums import ExecutionMode

from churn.data.contract import DatasetContract
from churn.settings import Settings
from steps.data import build_features, ingest

__all__ = ["features"]


@pipeline(name="features", execution_mode=ExecutionMode.FAIL_FAST)
def features(settings: Settings, contract: DatasetContract) -> None:
    """Fill the feature and label tables."""
    bronze, _ = ingest(settings, contract)
    build_features(bronze, settings, contract)
