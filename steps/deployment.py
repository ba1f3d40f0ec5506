"""Steps of deployment: evaluation, approval, promotion, release; none is cached."""

from __future__ import annotations

from typing import Annotated

from zenml import log_metadata, step

from adapters.wiring import connect
from churn.approval.state import VersionStatus
from churn.data.contract import DatasetContract
from churn.gate.report import GateReport
from churn.lifecycle.deployment import (
    Deployment,
    check_approval,
    evaluate_challenger,
    keep_gate_page,
    kept_report,
    promote_version,
)
from churn.lifecycle.release import Release, release_version
from churn.settings import Settings
from reports.tags import deployment_tags, gate_tag, release_tags

from .reporting import link_endpoint, stage, tag_run, verdict_page, write_page

__all__ = ["approval_check", "evaluation", "promotion", "release"]


@step(enable_cache=False)
def evaluation(
    settings: Settings, contract: DatasetContract, version: int | None
) -> Annotated[GateReport, "gate_report"]:
    """Hold the challenger against the champion on the same rows, and record the verdict; a gate that holds is kept."""
    with stage("evaluation"):
        workspace = connect(contract, settings.model_name)
        report = evaluate_challenger(workspace, settings, version)
        page = verdict_page(settings, report)
        write_page(workspace, page)
        keep_gate_page(workspace, report, page)
        tag_run(gate_tag(report))
        log_metadata({"version": report.challenger.version, "verdict": report.verdict, "gate_report": report.digest})
        return report


@step(enable_cache=False)
def approval_check(
    report: GateReport, settings: Settings, contract: DatasetContract
) -> Annotated[VersionStatus, "approval"]:
    """Let the policy answer to the gate's verdict: approved, rejected, or waiting for a person."""
    with stage("approval_check"):
        status = check_approval(connect(contract, settings.model_name), settings, report)
        log_metadata({"version": status.version, "Approval_Check": status.state})
        return status


@step(enable_cache=False)
def promotion(
    status: VersionStatus, settings: Settings, contract: DatasetContract
) -> Annotated[Deployment, "deployment"]:
    """Let @Champion name the version if it is approved; whatever else is true, nothing moves."""
    with stage("promotion"):
        workspace = connect(contract, settings.model_name)
        outcome, report = promote_version(workspace, settings, status), kept_report(workspace, status)
        if report is not None:
            write_page(workspace, verdict_page(settings, report, status=status, outcome=outcome))
        log_metadata({"champion": outcome.champion or "none", "state": outcome.state})
        return outcome


@step(enable_cache=False)
def release(
    outcome: Deployment, status: VersionStatus, settings: Settings, contract: DatasetContract
) -> Annotated[Release, "release"]:
    """Publish features, bring the endpoint to the version, verify it; on failure the version before is live again."""
    with stage("release"):
        workspace = connect(contract, settings.model_name)
        released, report = release_version(workspace, settings, outcome), kept_report(workspace, status)
        tag_run(*deployment_tags(released.deployment), *release_tags(released))
        link_endpoint(released.address)
        if report is not None:
            write_page(workspace, verdict_page(settings, report, status=status, outcome=released.deployment))
        released.require()
        return released
