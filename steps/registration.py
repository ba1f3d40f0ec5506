"""Steps at the end of training: registration of the challenger and the report."""

from __future__ import annotations

from typing import Annotated

from zenml import get_step_context, log_metadata, step
from zenml.client import Client
from zenml.model.utils import link_artifact_version_to_model_version
from zenml.types import HTMLString, MarkdownString

from adapters.wiring import connect
from churn.data.contract import DatasetContract
from churn.data.leakage import LeakageReport
from churn.data.snapshot import TableSnapshot
from churn.data.validation import ValidationReport
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.importance import Explanation
from churn.lifecycle import training as use_case
from churn.lifecycle.beside_champion import beside_champion
from churn.lifecycle.registration import Findings, Registration
from churn.model.model import ChurnModel
from churn.ports.registry import MODEL_DIGEST
from churn.settings import Settings
from churn.training.search import TuningResult
from churn.training.train import TrainingReport
from reports.tags import training_tag
from reports.training_report import training_charts, training_page, training_summary

from .reporting import stage, tag_run, write_page

__all__ = ["register", "write_report"]


@step(enable_cache=False, experiment_tracker=True)
def register(
    training_set: TableSnapshot,
    tuning: TuningResult,
    model: ChurnModel,
    training: TrainingReport,
    evaluation: Evaluation,
    explanation: Explanation,
    settings: Settings,
    contract: DatasetContract,
) -> Annotated[Registration, "registration"]:
    """Record the run, register the model with everything that describes it, and let @Challenger name it."""
    with stage("register"):
        findings = Findings(training_set, tuning, training, evaluation, explanation)
        workspace = connect(contract, settings.model_name)
        registration = use_case.register(workspace, settings, findings, model, training_charts)
        _link_artifacts(registration)
        return registration


def _link_artifacts(registration: Registration) -> None:
    """Let the ZenML model version of the same number name the registered version and hold this step's inputs."""
    client = Client()
    version = client.get_model_version(registration.name, f"v{registration.version}")
    log_metadata(
        metadata={
            "mlflow_version": registration.version,
            "mlflow_run": registration.run_id or "",
            MODEL_DIGEST: registration.digest,
            "tags": dict(registration.tags),  # one entry: ZenML commits each for itself
        },
        model_version_id=version.id,
    )
    for inputs in get_step_context().step_run.inputs.values():
        for artifact in inputs:
            link_artifact_version_to_model_version(client.get_artifact_version(artifact.id), version)


@step(enable_cache=False, experiment_tracker=True)
def write_report(
    registration: Registration,
    training_set: TableSnapshot,
    model: ChurnModel,
    validation: ValidationReport,
    leakage: LeakageReport,
    tuning: TuningResult,
    training: TrainingReport,
    evaluation: Evaluation,
    explanation: Explanation,
    settings: Settings,
    contract: DatasetContract,
) -> tuple[Annotated[MarkdownString, "summary"], Annotated[HTMLString, "report"]]:
    """Write the run's one self-contained page, and its summary that the dashboard shows at once."""
    with stage("write_report"):
        findings = Findings(training_set, tuning, training, evaluation, explanation)
        workspace = connect(contract, settings.model_name)
        against = beside_champion(workspace, settings, training_set, model, registration)
        page = training_page(findings, registration, settings, validation=validation, leakage=leakage, against=against)
        write_page(workspace, page)
        workspace.tracker.log_file("report.html", page)
        workspace.tracker.describe(summary := training_summary(findings, registration))
        tag_run(training_tag(registration))
        return MarkdownString(summary), HTMLString(page)
