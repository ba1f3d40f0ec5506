"""From mature outcomes to @Challenger: training set, search, model, holdout, registration."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.progress import advance, conclude, note
from ..data.contract import DatasetContract
from ..data.leakage import LeakageReport, check_training_set
from ..data.snapshot import TableSnapshot, snapshot_of
from ..data.tables import EVENT_TIME, LABEL_TIME, SPLIT, WEIGHT
from ..data.training_set import drawn_rows, read_side, read_training_set
from ..evaluation.evaluate import Evaluation, EvaluationSettings, evaluate_holdout
from ..evaluation.importance import Explanation, explain_rows
from ..evaluation.metrics import METRICS
from ..model.model import ChurnModel
from ..model.money import MoneySettings
from ..model.scorer import ReasonSettings, Scorer, ScoringSettings
from ..ports.registry import CHALLENGER
from ..ports.tables import TableRef
from ..scoring.baseline import write_baseline
from ..settings import Settings
from ..training.recipe import RECIPE
from ..training.search import TuningResult, TuningSettings, search, study_name
from ..training.train import ModelSettings, TrainingReport
from ..training.train import train as fit
from .model_card import model_card
from .registration import (
    Findings,
    Registration,
    describe_model,
    provenance,
    record_run,
    register_challenger,
    version_tags,
)
from .workspace import Workspace

__all__ = [
    "build_training_set",
    "describe",
    "evaluate_model",
    "example_of",
    "register",
    "scoring_settings",
    "train",
    "tune",
]

_SAMPLE = 1_000
"""Rows of the holdout that the run's record is shown."""
_EXAMPLE = 5
"""Rows of the input example."""


def build_training_set(
    workspace: Workspace, settings: Settings, features: TableSnapshot, labels: TableSnapshot
) -> tuple[TableSnapshot, LeakageReport]:
    """Join each mature outcome with the features known at its time, and check that nothing leaks.

    Raises:
        NotEnoughData: no outcome is mature by the cut-off.
        LeakageError: a check failed; the report is its evidence.
    """
    contract, store = workspace.contract, workspace.tables
    cutoff = settings.training_set.cutoff or workspace.clock()
    ref = store.point_in_time_join(labels.ref, features.ref, contract.table("training"), known_by=cutoff)
    report = check_training_set(store, ref, contract, cutoff, settings.leakage)
    report.require()
    note("build_training_set", f"{ref.rows:,} rows with a mature outcome, {len(report.checks)} leakage checks held")
    if report.untreated is not None:
        note("build_training_set", report.untreated.sentence)
        if report.untreated.cost:
            note("build_training_set", report.untreated.cost)
    return snapshot_of(store, ref), report


def tune(
    workspace: Workspace,
    training_set: TableSnapshot,
    *,
    model: ModelSettings,
    tuning: TuningSettings,
    money: MoneySettings,
    seed: int,
) -> TuningResult:
    """Search for better parameters on the training side, and record every trial."""
    contract = workspace.contract
    advance("tune", 0, 0, "reads the training rows")
    study = study_name(training_set.ref, contract, model, tuning, money, seed=seed)
    result = search(
        read_side(workspace.tables, training_set.ref, contract, "train", limit=model.max_rows, seed=seed)[0],
        contract,
        model,
        tuning,
        money,
        seed=seed,
        storage=workspace.studies.storage(),
        study=study,
        threads=workspace.threads,
        progress=partial(advance, "tune"),
    )
    workspace.tracker.log_trials(study, result.trials, result.objective)
    advance("tune", 0, 0, f"{len(result.trials)} trials" if result.trials else "no search")
    note("tune", result.reason)
    return result


def train(
    workspace: Workspace, training_set: TableSnapshot, tuning: TuningResult, *, model: ModelSettings, seed: int
) -> tuple[ChurnModel, TrainingReport]:
    """Train the candidates on the training side and keep the blend that out-of-fold loss asks for."""
    settings = model.model_copy(update={"boosting": tuning.boosting})
    contract = workspace.contract
    rows, available = read_side(workspace.tables, training_set.ref, contract, "train", limit=model.max_rows, seed=seed)
    result = fit(rows.data, contract, settings, seed=seed, threads=workspace.threads, available=available)
    report = result.report
    note("train", f"{' + '.join(report.chosen)}, out-of-fold log loss {report.calibration.after.log_loss:.4f}")
    if report.doubling is not None:
        gain, se = report.doubling.gain, report.doubling.gain_se
        note("train", f"{report.rows:,} of {report.available:,} rows; the last doubling saved {gain:.4f} ± {se:.4f}")
    return result.model, report


def evaluate_model(
    workspace: Workspace,
    training_set: TableSnapshot,
    model: ChurnModel,
    *,
    money: MoneySettings,
    evaluation: EvaluationSettings,
    reasons: ReasonSettings,
    seed: int,
) -> tuple[Evaluation, Explanation]:
    """Measure the model on the holdout, and explain it there."""
    advance("evaluate", 0, 2, f"metrics with intervals from {evaluation.resamples:,} resamples")
    contract, limit = workspace.contract, evaluation.max_rows
    holdout, available = read_side(workspace.tables, training_set.ref, contract, "holdout", limit=limit, seed=seed)
    if available > len(holdout.rows):
        note("evaluate", f"{len(holdout.rows):,} of {available:,} rows of the holdout, of customers drawn at random")
    measured = evaluate_holdout(model, holdout, contract, money=money, settings=evaluation, seed=seed)
    advance("evaluate", 1, 2, "reasons and what matters most")
    scorer = Scorer(model, scoring_settings(contract, money, reasons))
    explanation = explain_rows(scorer, holdout.columns, holdout.data.entity, seed=seed, label=holdout.data.label)
    advance("evaluate", 2, 2, "")
    auc = METRICS["roc_auc"]
    note("evaluate", f"{auc.label} {auc.interval(measured.metrics[auc.name])} on {measured.customers:,} customers")
    return measured, explanation


def register(
    workspace: Workspace,
    settings: Settings,
    findings: Findings,
    model: ChurnModel,
    charts: Callable[[Findings], Mapping[str, str]],
) -> Registration:
    """Record the run, register the model with everything that describes it, and let @Challenger name it.

    Args:
        workspace: The data set's ports.
        settings: The run's settings.
        findings: What the run found out.
        model: The model.
        charts: Draws the charts of the record, SVG by name.

    Raises:
        StoreError: tracker or registry do not answer; the next run completes what was begun.
    """
    contract, tracker = workspace.contract, workspace.tracker
    ref, holdout = findings.training_set.ref, pc.field(SPLIT) == "holdout"
    sample, _ = drawn_rows(workspace.tables, ref, contract, holdout, limit=_SAMPLE, seed=settings.seed)
    record_run(tracker, settings, findings, sample, charts(findings))
    origin = provenance(
        settings,
        contract,
        findings.tuning,
        table=ref,
        trained_until=_newest(workspace, ref, EVENT_TIME, {SPLIT: "train"}),
        labels_until=_newest(workspace, ref, LABEL_TIME),
        registered_at=workspace.clock(),
        code_version=workspace.code_version,
        registered_by=workspace.identity,
    )
    tags = version_tags(settings, contract, findings, origin)
    description = describe(findings.training, findings.evaluation, findings.training_set)
    scorer = Scorer(model, scoring_settings(contract, settings.money, settings.reasons))
    approval = workspace.approval(settings.approval)
    with tempfile.TemporaryDirectory() as folder:
        package, digest = workspace.package(
            scorer,
            Path(folder) / "package",
            example=example_of(sample, contract),
            metadata={**tags, RECIPE: origin.recipe.stored()},
            card=model_card(
                contract, findings.training, findings.evaluation, findings.explanation, findings.training_set
            ),
        )
        registration = register_challenger(
            workspace.registry,
            workspace.model,
            package,
            digest=digest,
            description=description,
            tags=tags,
            run_id=tracker.run_id(),
            whole=lambda version: approval.package_fault(version) is None,
        )
    write_baseline(
        workspace.tables,
        contract,
        scorer,
        ref,
        model_name=registration.name,
        model_version=registration.version,
        model_digest=digest,
    )
    workspace.stages.show_candidate(registration.name, registration.version, registration.description)
    describe_model(workspace, f"Version {registration.version} is @{CHALLENGER}: the gate decides about it.")
    unchanged = ", unchanged" if registration.unchanged else ""
    conclude("register", f"{registration.name} version {registration.version} is @Challenger{unchanged}")
    return registration


def scoring_settings(contract: DatasetContract, money: MoneySettings, reasons: ReasonSettings) -> ScoringSettings:
    """Return how the packaged model decides and explains."""
    return ScoringSettings(money=money, monthly_revenue=contract.monthly_revenue, reasons=reasons)


def example_of(rows: pa.Table, contract: DatasetContract) -> pd.DataFrame:
    """Return a few of the rows as a caller would send them: the contract's raw columns."""
    columns = read_training_set(rows.slice(0, _EXAMPLE), contract).columns
    return pd.DataFrame({name: columns[name] for name in contract.columns})


def _newest(
    workspace: Workspace, training_set: TableRef, column: str, where: Mapping[str, str] | None = None
) -> dt.datetime:
    """Return the newest time in a column, of untreated rows."""
    store = workspace.tables
    weight = [WEIGHT] if WEIGHT in store.scan(training_set).schema.names else []
    batches = store.scan(training_set, [column, *weight], where=where)
    learned = (batch.filter(pc.greater(batch[WEIGHT], 0)) if weight else batch for batch in batches)
    times: list[dt.datetime] = [pc.max(batch[column]).as_py() for batch in learned if batch.num_rows]
    return max(times)


def describe(report: TrainingReport, evaluation: Evaluation, snapshot: TableSnapshot) -> str:
    """Return the description of a registered version, in two sentences."""
    measured = ", ".join(
        f"{METRICS[name].label} {METRICS[name].interval(evaluation.metrics[name], evaluation.currency)}"
        for name in ("roc_auc", "campaign_profit", "profit_per_customer")
        if name in evaluation.metrics
    )
    return (
        f"Churn model ({' + '.join(report.chosen)}) of the dataset {snapshot.ref.dataset}, trained on {report.rows:,} "
        f"rows of {report.customers:,} customers. On {evaluation.rows:,} {evaluation.unit} of the holdout: {measured}."
    )
