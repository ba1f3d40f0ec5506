"""Evaluation → approval check → promotion of the challenger → release."""

from __future__ import annotations

from zenml import pipeline
from zenml.enums import ExecutionMode

from churn.data.contract import DatasetContract
from churn.settings import Settings
from steps.deployment import approval_check, evaluation, promotion, release

__all__ = ["deployment"]


@pipeline(name="deployment", execution_mode=ExecutionMode.FAIL_FAST)
def deployment(settings: Settings, contract: DatasetContract, version: int | None = None) -> None:
    """Judge the challenger, or the version that is named, promote it if it may be, and bring it to whoever asks."""
    report = evaluation(settings, contract, version)
    status = approval_check(report, settings, contract)
    outcome = promotion(status, settings, contract)
    release(outcome, status, settings, contract)
