"""Predictions, outcomes and the baseline → figures of each window → what they mean; and what campaigns changed."""

from __future__ import annotations

from zenml import pipeline
from zenml.enums import ExecutionMode

from churn.data.contract import DatasetContract
from churn.settings import Settings
from steps.monitoring import campaign_effect, monitor

__all__ = ["monitoring"]


@pipeline(name="monitoring", execution_mode=ExecutionMode.FAIL_FAST)
def monitoring(settings: Settings, contract: DatasetContract) -> None:
    """Measure the predictions of each window, judge the newest ones, and read out the campaigns."""
    monitor(settings, contract)
    campaign_effect(settings, contract, after=["monitor"])
