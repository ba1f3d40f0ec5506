"""From a training set to a challenger: the search, the verdict of the holdout, and what a version says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from .codebase import closure, digest, library_versions
from .contract import DatasetContract
from .evaluation import Evaluation, EvaluationSettings, evaluate
from .fitting.trials import Trial, TuningResult, TuningSettings
from .frame import FloatArray
from .model import ChurnModel
from .money import MoneySettings, decide, expected_value
from .profile import TableSnapshot
from .reporting.wording import interval, number
from .scoring import ReasonSettings, ScoringSettings
from .training import ModelSettings, TrainingReport
from .training_set import TrainingSet

__all__ = ["customer_values", "describe", "evaluate_holdout", "example_of", "scoring_settings", "search", "study_name"]


def study_name(
    snapshot: TableSnapshot,
    contract: DatasetContract,
    model: ModelSettings,
    tuning: TuningSettings,
    money: MoneySettings,
    *,
    seed: int,
) -> str:
    """Return a name that carries all that a trial's value depends on: data, contract, settings, seed, code, libraries.

    The budget is no part of it, so that a larger one goes on from the trials there are. Neither are the economics,
    unless it is profit that the search maximises.
    """
    whole = "|".join(
        [
            snapshot.ref.digest,
            contract.model_dump_json(),
            model.model_dump_json(),
            tuning.objective,
            money.model_dump_json() if tuning.objective == "profit" else "",
            str(seed),
            digest(closure("churn.tuning", "churn.money")),
            library_versions(),
        ]
    )
    return f"{snapshot.ref.dataset}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def search(
    training: TrainingSet,
    contract: DatasetContract,
    model: ModelSettings,
    tuning: TuningSettings,
    money: MoneySettings,
    *,
    seed: int,
    storage: Path,
    study: str,
    threads: int,
    tell: Callable[[int, int, str], None],
) -> TuningResult:
    """Search for better trees on the training side; `tell` hears trials done, trials at most, and the best so far."""
    from .tuning import tune

    side = training.side("train")
    value = customer_values(side, contract, money)
    label = side.data.label.astype(np.float64)
    best: list[float] = []

    def on_trial(trial: Trial) -> None:
        if trial.value is not None:
            better = min if tuning.objective == "log_loss" else max
            best[:] = [better([trial.value, *best])]
        unit = tuning.objective.replace("_", " ")
        tell(trial.number + 1, tuning.max_trials, f"best {unit} {number(best[0], 5)}" if best else "")

    def profit(probability: FloatArray) -> FloatArray:
        return np.where(decide(probability, value, money), expected_value(label, value, money), 0.0)

    return tune(
        side.data,
        contract,
        model,
        tuning,
        seed=seed,
        storage=storage,
        study=study,
        threads=threads,
        on_trial=on_trial,
        profit=profit,
    )


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


def customer_values(training: TrainingSet, contract: DatasetContract, money: MoneySettings) -> FloatArray:
    """Return what keeping each row's customer is worth, in the currency, shape `(n_rows,)`."""
    revenue = None if contract.monthly_revenue is None else training.columns[contract.monthly_revenue]
    known = None if revenue is None else revenue.astype(np.float64)
    return money.customer_value.values(len(training.rows), known)


def scoring_settings(contract: DatasetContract, money: MoneySettings, reasons: ReasonSettings) -> ScoringSettings:
    """Return how the packaged model decides and explains."""
    return ScoringSettings(money=money, monthly_revenue=contract.monthly_revenue, reasons=reasons)


def example_of(training: TrainingSet, contract: DatasetContract, rows: int = 5) -> pd.DataFrame:
    """Return a few customers of the holdout as a caller would send them: the contract's raw columns."""
    holdout = training.side("holdout")
    return pd.DataFrame({name: holdout.columns[name][:rows] for name in contract.columns})


def describe(report: TrainingReport, evaluation: Evaluation, snapshot: TableSnapshot) -> str:
    """Return the description of a registered version, in two sentences."""
    auc, profit = evaluation.metrics["roc_auc"], evaluation.metrics["profit_per_customer"]
    return (
        f"Churn model ({' + '.join(report.chosen)}) of the dataset {snapshot.ref.dataset}, trained on {report.rows:,} "
        f"rows of {report.customers:,} customers. On {evaluation.customers:,} customers of the holdout: ROC AUC "
        f"{interval(auc)}, profit per customer {interval(profit, partial(number, digits=2))} {evaluation.currency}."
    )
