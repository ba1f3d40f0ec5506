"""Every domain type that crosses a step: its title and sections in the dashboard, its metadata, its content hash.

A type is added here by one row; `materializers.values` does the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from churn.approval.state import VersionStatus
from churn.campaign.campaign import Campaign
from churn.campaign.effect import ReadOut
from churn.data.leakage import LeakageReport
from churn.data.snapshot import TableSnapshot
from churn.data.validation import ValidationReport
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.importance import Explanation
from churn.gate.report import GateReport
from churn.lifecycle.alerts import Alerted
from churn.lifecycle.deployment import Deployment
from churn.lifecycle.registration import Registration
from churn.lifecycle.release import Release
from churn.lifecycle.retraining_result import RETRAININGS, Attempt, Retraining
from churn.monitoring.report import MonitoringReport
from churn.scoring.batch import BatchSummary
from churn.training.search import TuningResult
from churn.training.train import TrainingReport
from reports.batch_report import batch_sections
from reports.campaign_report import campaign_sections
from reports.data_report import leakage_section, table_section, validation_section
from reports.effect_report import read_out_sections
from reports.evaluation_report import evaluation_sections
from reports.gate_report import deployment_section, gate_sections, gate_verdict, release_section, status_section
from reports.monitoring_report import alerts_section, attempt_section, monitoring_sections, retraining_section
from reports.page import Section
from reports.training_report import explanation_section, registration_section, training_section, tuning_section

__all__ = ["VIEWS", "View"]


def _digest(data: BaseModel) -> str:
    return hashlib.sha256(data.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True)
class View:
    """How the dashboard shows a value of one type.

    Attributes:
        title: The heading of its page.
        sections: What the page says.
        metadata: What is listed beside the artifact.
        content: A hash of what later steps take from it; by default of all of it.
    """

    title: Callable[[Any], str]
    sections: Callable[[Any], tuple[Section, ...]]
    metadata: Callable[[Any], dict[str, Any]] = lambda _: {}
    content: Callable[[Any], str] = _digest


def _version(of: VersionStatus | Deployment) -> str:
    return f"{of.model}, version {of.version}: {of.state}"


def _release_metadata(release: Release) -> dict[str, Any]:
    shown = ("state", "address", "online", "compared", "scored", "failed_at")
    return {name: value for name in shown if (value := getattr(release, name)) is not None}


def _validated(report: ValidationReport) -> str:
    return f"{report.accepted:,} of {report.rows:,} rows accepted" if report.passed else "The batch was refused"


def _gate_metadata(report: GateReport) -> dict[str, Any]:
    checks = {f"gate.{check.name}": check.verdict for check in report.checks}
    return {"version": report.challenger.version, "verdict": report.verdict, "digest": report.digest, **checks}


def _batch_metadata(batch: BatchSummary) -> dict[str, Any]:
    shown = ("batch_id", "rows", "quarantined", "value_at_stake")
    return {**{name: getattr(batch, name) for name in shown}, "version": batch.model_version}


def _campaign_metadata(campaign: Campaign) -> dict[str, Any]:
    return {
        "batch_id": campaign.batch_id,
        "contacts": campaign.plan.contacts,
        "control": campaign.control.customers,
        "expected_profit": campaign.plan.profit.point,
        "expected_cost": campaign.plan.cost.point,
        "currency": campaign.money.currency,
    }


VIEWS: Mapping[type[BaseModel], View] = {
    TableSnapshot: View(
        lambda table: f"{table.ref.name}, version {table.ref.version}",
        lambda table: (table_section(table),),
        lambda table: {"rows": table.ref.rows, "version": table.ref.version, "content_id": table.ref.content_id},
        lambda table: str(table.ref.content_id),
    ),
    ValidationReport: View(_validated, lambda report: (validation_section(report),)),
    LeakageReport: View(
        lambda report: "No leak found" if report.passed else "The training set leaks",
        lambda report: (leakage_section(report),),
    ),
    TuningResult: View(
        lambda tuning: f"Tuning: {len(tuning.trials)} trials",
        lambda tuning: (tuning_section(tuning),),
        content=lambda tuning: _digest(tuning.boosting),
    ),
    TrainingReport: View(
        lambda report: f"Model card: {' + '.join(report.chosen)}", lambda report: (training_section(report),)
    ),
    Evaluation: View(
        lambda evaluation: f"Evaluation on {evaluation.customers:,} customers of the holdout", evaluation_sections
    ),
    Explanation: View(lambda _: "Why customers are at risk", lambda explanation: (explanation_section(explanation),)),
    Registration: View(
        lambda registration: f"{registration.name}, version {registration.version}",
        lambda registration: (registration_section(registration),),
    ),
    GateReport: View(gate_verdict, gate_sections, _gate_metadata, lambda report: str(report.digest)),
    VersionStatus: View(_version, lambda status: (status_section(status),)),
    Deployment: View(_version, lambda deployment: (deployment_section(deployment),)),
    Release: View(
        lambda release: f"{release.deployment.model}, version {release.deployment.version}: {release.state}",
        lambda release: (release_section(release),),
        _release_metadata,
    ),
    BatchSummary: View(
        lambda batch: f"{batch.scored:,} customers scored by {batch.model_name} version {batch.model_version}",
        batch_sections,
        _batch_metadata,
    ),
    Campaign: View(
        lambda campaign: (
            f"Retention campaign: {campaign.plan.contacts:,} contacts among {campaign.customers:,} customers"
        ),
        campaign_sections,
        _campaign_metadata,
    ),
    ReadOut: View(
        lambda out: f"Campaign effect: {out.effect.verdict if out.effect else 'nothing to read out yet'}",
        read_out_sections,
        lambda out: {"verdict": out.effect.verdict if out.effect else "none"},
    ),
    MonitoringReport: View(
        lambda report: "Someone should act" if report.acts else "Nothing to do",
        monitoring_sections,
        lambda report: {"acts": report.acts, "measured": report.measured, "advice": report.advice.state},
    ),
    Alerted: View(
        lambda alerted: f"Alerts: {len(alerted.opened):,} open",
        lambda alerted: (alerts_section(alerted),),
        lambda alerted: {"open": len(alerted.opened), "sent": len(alerted.notices), "waiting": len(alerted.waiting)},
    ),
    Attempt: View(
        lambda attempt: f"{attempt.model}: {'nothing was trained' if attempt.registration is None else 'a challenger'}",
        lambda attempt: (attempt_section(attempt),),
    ),
    Retraining: View(
        lambda retraining: f"{retraining.model}: {RETRAININGS[retraining.state]}",
        lambda retraining: (retraining_section(retraining),),
        lambda retraining: {"state": retraining.state, "version": retraining.version or 0},
    ),
}
"""Each type with its view; `content` of a search leaves out how long it took, that of a table where it lies."""
