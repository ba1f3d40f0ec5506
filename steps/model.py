"""Steps of the model: tuning, training, evaluation; cached while data and code stay the same."""

from __future__ import annotations

from typing import Annotated

from zenml import step

from adapters.wiring import connect
from churn.data.contract import DatasetContract
from churn.data.snapshot import TableSnapshot
from churn.evaluation.evaluate import Evaluation, EvaluationSettings
from churn.evaluation.importance import Explanation
from churn.lifecycle import training
from churn.model.model import ChurnModel
from churn.model.money import MoneySettings
from churn.model.scorer import ReasonSettings
from churn.training.search import TuningResult, TuningSettings
from churn.training.train import ModelSettings, TrainingReport

from .caching import cached_on
from .reporting import stage

__all__ = ["evaluate", "train", "tune"]


@step(experiment_tracker=True, cache_policy=cached_on("churn.training.search", "churn.data.training_set"))
def tune(
    training_set: TableSnapshot,
    contract: DatasetContract,
    model_name: str,
    model: ModelSettings,
    tuning: TuningSettings,
    money: MoneySettings,
    seed: int,
) -> Annotated[TuningResult, "tuning"]:
    """Search for better parameters on the training side, and record every trial."""
    with stage("tune"):
        workspace = connect(contract, model_name)
        return training.tune(workspace, training_set, model=model, tuning=tuning, money=money, seed=seed)


@step(cache_policy=cached_on("churn.training.train", "churn.data.training_set"))
def train(
    training_set: TableSnapshot,
    tuning: TuningResult,
    contract: DatasetContract,
    model_name: str,
    model: ModelSettings,
    seed: int,
) -> tuple[Annotated[ChurnModel, "model"], Annotated[TrainingReport, "training"]]:
    """Train the candidates on the training side and keep the blend that out-of-fold loss asks for."""
    with stage("train"):
        workspace = connect(contract, model_name)
        fitted, report = training.train(workspace, training_set, tuning, model=model, seed=seed)
        return fitted, report


@step(cache_policy=cached_on("churn.evaluation.evaluate", "churn.evaluation.importance", "churn.data.training_set"))
def evaluate(
    training_set: TableSnapshot,
    model: ChurnModel,
    contract: DatasetContract,
    model_name: str,
    money: MoneySettings,
    evaluation: EvaluationSettings,
    reasons: ReasonSettings,
    seed: int,
) -> tuple[Annotated[Evaluation, "evaluation"], Annotated[Explanation, "explanation"]]:
    """Measure the model on the holdout, and explain it there."""
    with stage("evaluate"):
        workspace = connect(contract, model_name)
        measured, explanation = training.evaluate_model(
            workspace, training_set, model, money=money, evaluation=evaluation, reasons=reasons, seed=seed
        )
        return measured, explanation
