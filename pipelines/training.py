"""Features, then training set → tuning → model → evaluation → @Challenger → report."""

from __future__ import annotations

from zenml import pipeline
from zenml.enums import ExecutionMode

from churn.data.contract import DatasetContract
from churn.settings import Settings
from steps.data import build_features, build_training_set, ingest
from steps.model import evaluate, train, tune
from steps.registration import register, write_report

__all__ = ["training"]


@pipeline(name="training", execution_mode=ExecutionMode.FAIL_FAST)
def training(settings: Settings, contract: DatasetContract) -> None:
    """Train a model on what the source holds and register it as the challenger."""
    name, seed = settings.model_name, settings.seed
    bronze, validation = ingest(settings, contract, purpose="training")
    features, labels = build_features(bronze, settings, contract)
    training_set, leakage = build_training_set(features, labels, settings, contract)
    tuning = tune(training_set, contract, name, settings.model, settings.tuning, settings.money, seed)
    model, card = train(training_set, tuning, contract, name, settings.model, seed)
    verdict, reasons = evaluate(
        training_set, model, contract, name, settings.money, settings.evaluation, settings.reasons, seed
    )
    version = register(training_set, tuning, model, card, verdict, reasons, settings, contract)
    write_report(version, training_set, model, validation, leakage, tuning, card, verdict, reasons, settings, contract)
