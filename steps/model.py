"""Model stages: tuning, training, and the holdout's verdict; nothing of them is repeated while data and code stay."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from zenml import step

from adapters import wiring
from churn.core.progress import advance, note, stage
from churn.data.contract import DatasetContract
from churn.data.snapshot import TableSnapshot
from churn.data.training_set import read_training_set
from churn.evaluation.evaluate import Evaluation, EvaluationSettings
from churn.evaluation.importance import Explanation, explain_rows
from churn.lifecycle.challenger import evaluate_holdout, scoring_settings
from churn.model.model import ChurnModel
from churn.model.money import MoneySettings
from churn.model.scorer import ReasonSettings, Scorer
from churn.settings import Profile
from churn.training.search import search, study_name
from churn.training.train import ModelSettings, TrainingReport
from churn.training.train import train as train_model
from churn.training.trials import TuningResult, TuningSettings

from .caching import cached_on

__all__ = ["evaluate", "train", "tune"]


@step(
    experiment_tracker=True,
    cache_policy=cached_on("churn.lifecycle.challenger", "churn.training.search", "churn.data.training_set"),
)
def tune(
    training_set: TableSnapshot,
    contract: DatasetContract,
    profile: Profile,
    model: ModelSettings,
    tuning: TuningSettings,
    money: MoneySettings,
    seed: int,
) -> Annotated[TuningResult, "tuning"]:
    """Search for better parameters on the training side, and record every trial."""
    with stage("tune"):
        training = read_training_set(
            wiring.feature_store(profile, training_set.ref.dataset).read(training_set.ref), contract
        )
        study = study_name(training_set, contract, model, tuning, money, seed=seed)
        threads, tell = profile.resources.threads, partial(advance, "tune")
        result = search(
            training, contract, model, tuning, money,
            seed=seed, storage=profile.studies, study=study, threads=threads, tell=tell,
        )  # fmt: skip
        wiring.experiment_tracker(profile, training_set.ref.dataset).log_trials(study, result.trials)
        note("tune", result.reason)
        return result


@step(
    cache_policy=cached_on("churn.training.train", "churn.data.training_set"),
)
def train(
    training_set: TableSnapshot,
    tuning: TuningResult,
    contract: DatasetContract,
    profile: Profile,
    model: ModelSettings,
    seed: int,
) -> tuple[Annotated[ChurnModel, "model"], Annotated[TrainingReport, "training"]]:
    """Train the candidates on the training side and keep the blend that out-of-fold loss asks for."""
    with stage("train"):
        training = read_training_set(
            wiring.feature_store(profile, training_set.ref.dataset).read(training_set.ref), contract
        )
        settings = model.model_copy(update={"boosting": tuning.boosting})
        result = train_model(
            training.side("train").data, contract, settings, seed=seed, threads=profile.resources.threads
        )
        note(
            "train",
            f"{' + '.join(result.report.chosen)}, out-of-fold log loss {result.report.calibration.after.log_loss:.4f}",
        )
        return result.model, result.report


@step(
    cache_policy=cached_on("churn.lifecycle.challenger", "churn.evaluation.importance", "churn.data.training_set"),
)
def evaluate(
    training_set: TableSnapshot,
    model: ChurnModel,
    contract: DatasetContract,
    profile: Profile,
    money: MoneySettings,
    evaluation: EvaluationSettings,
    reasons: ReasonSettings,
    seed: int,
) -> tuple[Annotated[Evaluation, "evaluation"], Annotated[Explanation, "explanation"]]:
    """Measure the model on the holdout, and explain it there."""
    with stage("evaluate"):
        training = read_training_set(
            wiring.feature_store(profile, training_set.ref.dataset).read(training_set.ref), contract
        )
        verdict = evaluate_holdout(model, training, contract, money=money, settings=evaluation, seed=seed)
        holdout = training.side("holdout")
        scorer = Scorer(model, scoring_settings(contract, money, reasons))
        explanation = explain_rows(scorer, holdout.columns, holdout.data.entity)
        auc = verdict.metrics["roc_auc"]
        note(
            "evaluate", f"ROC AUC {auc.point:.3f} [{auc.lower:.3f}, {auc.upper:.3f}] on {verdict.customers:,} customers"
        )
        return verdict, explanation
