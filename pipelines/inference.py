"""@Champion and the latest features → predictions → whom to contact."""

from __future__ import annotations

from zenml import pipeline
from zenml.enums import ExecutionMode

from churn.data.contract import DatasetContract
from churn.settings import Settings
from steps.inference import plan, score

__all__ = ["inference"]


@pipeline(name="inference", execution_mode=ExecutionMode.FAIL_FAST)
def inference(settings: Settings, contract: DatasetContract) -> None:
    """Score every customer with the version that is live, and choose whom to contact."""
    _, batch = score(settings, contract)
    plan(batch, settings, contract)
