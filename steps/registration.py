"""The end of training: the record in MLflow, the registered challenger, its mirror in ZenML, the report."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from zenml import step
from zenml.types import HTMLString

from adapters import wiring
from churn.core.progress import note, stage
from churn.data.contract import DatasetContract
from churn.data.leakage import LeakageReport
from churn.data.snapshot import TableSnapshot
from churn.data.training_set import read_training_set
from churn.data.validation import ValidationReport
from churn.evaluation.evaluate import Evaluation
from churn.evaluation.importance import Explanation
from churn.lifecycle.challenger import describe, example_of, scoring_settings
from churn.lifecycle.model_card import model_card
from churn.lifecycle.recording import Findings, provenance, record, version_tags
from churn.lifecycle.registration import Registration, register_challenger
from churn.model.model import ChurnModel
from churn.model.scorer import Scorer
from churn.settings import Settings
from churn.training.recipe import RECIPE
from churn.training.train import TrainingReport
from churn.training.trials import TuningResult
from reports.training_page import report_page, training_charts

from .model_control_plane import mirror
from .pages import write_page

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
    with stage("register"), tempfile.TemporaryDirectory() as folder:
        profile, name = settings.profile, settings.registered_name(contract)
        rows = wiring.feature_store(profile, training_set.ref.dataset).read(training_set.ref)
        tracker = wiring.experiment_tracker(profile, name)
        findings = Findings(training_set, tuning, training, evaluation, explanation)
        record(tracker, settings, findings, rows, training_charts(findings))
        who, commit = wiring.identity(), wiring.code_version()
        origin = provenance(
            settings, contract, tuning, rows, table=training_set.ref, code_version=commit, registered_by=who
        )
        tags = version_tags(settings, contract, findings, origin)
        package, digest = wiring.build_package(
            Scorer(model, scoring_settings(contract, settings.money, settings.reasons)),
            Path(folder) / "package",
            example_of(read_training_set(rows, contract), contract),
            metadata={**tags, RECIPE: origin.recipe.stored()},
            card=model_card(contract, training, evaluation, explanation, training_set),
        )
        registration = register_challenger(
            wiring.model_registry(profile), name, package,
            digest=digest, description=describe(training, evaluation, training_set), tags=tags, run_id=tracker.run_id(),
        )  # fmt: skip
        mirror(registration, wiring.stage_mirror(profile))
        note(
            "register", f"{name} version {registration.version} is @Challenger" + ", unchanged" * registration.unchanged
        )
        return registration


@step(enable_cache=False, experiment_tracker=True)
def write_report(
    registration: Registration,
    training_set: TableSnapshot,
    validation: ValidationReport,
    leakage: LeakageReport,
    tuning: TuningResult,
    training: TrainingReport,
    evaluation: Evaluation,
    explanation: Explanation,
    settings: Settings,
) -> Annotated[HTMLString, "report"]:
    """Write the run's one self-contained page."""
    with stage("write_report"):
        findings = Findings(training_set, tuning, training, evaluation, explanation)
        page = report_page(findings, registration, validation=validation, leakage=leakage, settings=settings)
        write_page(settings.profile, page)
        wiring.experiment_tracker(settings.profile, registration.name).log_file("report.html", page)
        return HTMLString(page)
