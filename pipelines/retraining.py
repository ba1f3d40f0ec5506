"""Monitoring → where it calls for one, a challenger of the newest outcomes → gate, approval, promotion."""

from __future__ import annotations

from zenml import pipeline
from zenml.enums import ExecutionMode

from churn.data.contract import DatasetContract
from churn.settings import Settings
from steps.monitoring import monitor
from steps.retraining import judge_challenger, train_challenger

__all__ = ["retraining"]


@pipeline(name="retraining", execution_mode=ExecutionMode.FAIL_FAST)
def retraining(settings: Settings, contract: DatasetContract) -> None:
    """Train and judge a model if a loss persists and outcomes are new; otherwise say why not."""
    report, _ = monitor(settings, contract)
    attempt = train_challenger(report, settings, contract)
    judge_challenger(attempt, report, settings, contract)
