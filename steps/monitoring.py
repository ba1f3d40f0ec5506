"""Monitoring: windows of predictions measured and judged."""

from __future__ import annotations

from typing import Annotated

from zenml import log_metadata, step

from adapters.wiring import connect
from churn.campaign.effect import ReadOut
from churn.core.progress import conclude
from churn.data.contract import DatasetContract
from churn.lifecycle import monitoring
from churn.lifecycle.alerts import Alerted, alert
from churn.lifecycle.campaigns import read_out
from churn.monitoring.report import MonitoringReport
from churn.settings import Settings
from reports.effect_report import effect_page, read_out_headline
from reports.monitoring_report import monitoring_page, monitoring_tags

from .reporting import keep_evidently, stage, tag_run, write_page

__all__ = ["campaign_effect", "monitor"]


@step(enable_cache=False)
def monitor(
    settings: Settings, contract: DatasetContract
) -> tuple[Annotated[MonitoringReport, "monitoring"], Annotated[Alerted, "alerts"]]:
    """Measure the windows that are new or have changed, say what they mean and what to do, and alert whoever should."""
    with stage("monitor"):
        workspace = connect(contract, settings.model_name)
        report = monitoring.monitor(workspace, settings)
        alerted = alert(workspace, report, write_page(workspace, monitoring_page(report)))
        log_metadata({"acts": report.acts, "measured": report.measured, "advice": report.advice.state})
        keep_evidently(workspace, settings, report)
        tag_run(*monitoring_tags(report))
        conclude("monitor", report.headline)
        return report, alerted


@step(enable_cache=False)
def campaign_effect(settings: Settings, contract: DatasetContract) -> Annotated[ReadOut, "campaign_effect"]:
    """Hold the contacted against the control group by the outcomes that are known now; nothing yet is an answer too."""
    with stage("campaign_effect"):
        workspace = connect(contract, settings.model_name)
        result = read_out(workspace, settings)
        if result.effect is not None:
            workspace.files.put("campaigns/effect.html", [effect_page(result.effect).encode()])
        conclude("campaign_effect", read_out_headline(result))
        return result
