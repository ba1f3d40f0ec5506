"""Steps of retraining: a challenger where monitoring calls for one, and its gate; none is cached."""

from __future__ import annotations

from typing import Annotated

from zenml import step

from adapters.wiring import connect
from churn.data.contract import DatasetContract
from churn.lifecycle import retraining as use_case
from churn.lifecycle.deployment import keep_gate_page
from churn.lifecycle.retraining_result import Attempt, Retraining
from churn.monitoring.report import MonitoringReport
from churn.settings import Settings
from reports.monitoring_report import retraining_page
from reports.training_report import training_charts

from .reporting import link_endpoint, stage, tag_run, verdict_page, write_page

__all__ = ["judge_challenger", "train_challenger"]


@step(enable_cache=False, experiment_tracker=True)
def train_challenger(
    monitoring: MonitoringReport, settings: Settings, contract: DatasetContract
) -> Annotated[Attempt, "attempt"]:
    """Train on every outcome that is known by now, if monitoring calls for it; else say why not."""
    with stage("train_challenger", evidence="leakage"):
        workspace = connect(contract, settings.model_name)
        attempt = use_case.train_challenger(workspace, settings, monitoring, training_charts)
        workspace.tracker.describe(attempt.advice.sentence)
        return attempt


@step(enable_cache=False)
def judge_challenger(
    attempt: Attempt, monitoring: MonitoringReport, settings: Settings, contract: DatasetContract
) -> Annotated[Retraining, "retraining"]:
    """Let gate, approval and ledger decide about the challenger, and record what became of it."""
    with stage("judge_challenger"):
        workspace = connect(contract, settings.model_name)
        judged = use_case.judge_attempt(workspace, settings, attempt)
        page = retraining_page(monitoring, judged.retraining, judged.report)
        use_case.announce(workspace, judged.retraining, write_page(workspace, page))
        if judged.report is not None:
            keep_gate_page(workspace, judged.report, verdict_page(settings, judged.report))
        tag_run(f"retraining: {judged.retraining.state}".replace("_", " "))
        link_endpoint(judged.address)
        return judged.require()
