"""From a training set to a challenger: the search, the verdict of the holdout, and what a version says of itself."""

from __future__ import annotations

import pandas as pd

from ..data.contract import DatasetContract
from ..data.snapshot import TableSnapshot
from ..data.training_set import TrainingSet, customer_values
from ..evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from ..evaluation.metrics import METRICS
from ..model.model import ChurnModel
from ..model.money import MoneySettings
from ..model.scorer import ReasonSettings, ScoringSettings
from ..training.train import TrainingReport

__all__ = [
    "describe",
    "evaluate_holdout",
    "example_of",
    "scoring_settings",
]


def evaluate_holdout(
    model: ChurnModel,
    training: TrainingSet,
    contract: DatasetContract,
    *,
    money: MoneySettings,
    settings: EvaluationSettings,
    seed: int,
) -> Evaluation:
    """Evaluate the model on the customers that had no part in it."""
    holdout = training.side("holdout")
    return evaluate(
        holdout.data.label,
        model.probability(holdout.columns),
        holdout.data.entity,
        thresholds=model.thresholds,
        money=money,
        value=customer_values(holdout, contract, money),
        slices={name: holdout.columns[name] for name in contract.slices},
        settings=settings,
        seed=seed,
        truth=holdout.truth,
    )


def scoring_settings(contract: DatasetContract, money: MoneySettings, reasons: ReasonSettings) -> ScoringSettings:
    """Return how the packaged model decides and explains."""
    return ScoringSettings(money=money, monthly_revenue=contract.monthly_revenue, reasons=reasons)


def example_of(training: TrainingSet, contract: DatasetContract, rows: int = 5) -> pd.DataFrame:
    """Return a few customers of the holdout as a caller would send them: the contract's raw columns."""
    holdout = training.side("holdout")
    return pd.DataFrame({name: holdout.columns[name][:rows] for name in contract.columns})


def describe(report: TrainingReport, evaluation: Evaluation, snapshot: TableSnapshot) -> str:
    """Return the description of a registered version, in two sentences."""
    measured = ", ".join(
        f"{METRICS[name].label} {METRICS[name].interval(evaluation.metrics[name], evaluation.currency)}"
        for name in ("roc_auc", "profit_per_customer")
    )
    return (
        f"Churn model ({' + '.join(report.chosen)}) of the dataset {snapshot.ref.dataset}, trained on {report.rows:,} "
        f"rows of {report.customers:,} customers. On {evaluation.customers:,} customers of the holdout: {measured}."
    )
