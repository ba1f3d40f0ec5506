"""Customers whose true churn probabilities are known, and ways of making models that are better or worse on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from churn.data.contract import DatasetContract
from churn.evaluation.ranking import Counts, log_losses, roc_auc
from churn.gate.comparison import ScoredRows
from churn.model.frame import FloatArray
from churn.model.money import MoneySettings, decide, expected_value
from churn.training.boosting import BoostingParams
from churn.training.train import ModelSettings, TrainingData, train

__all__ = ["MONEY", "PAIRS", "TRAINER", "Contestant", "Known", "contestants", "part", "values", "without"]

TRAINER = ModelSettings(candidates=("boosting",), folds=3, boosting=BoostingParams(patience=20))
"""A fifth of the full trainer's cost, so that a hundred rounds are affordable."""
MONEY = MoneySettings()
PAIRS: Mapping[str, tuple[str, str]] = {
    "equal (another seed)": ("full", "reseeded"),
    "another family, boosting": ("additive", "full"),
    "trained on a quarter of the rows": ("full", "quarter"),
    "without contract and internet": ("full", "fewer columns"),
    "all rows instead of a quarter": ("quarter", "full"),
    "with contract and internet": ("fewer columns", "full"),
}
"""Champion and challenger."""


@dataclass(frozen=True)
class Known:
    """Customers whose true churn probabilities are known.

    Attributes:
        contract: What the columns mean.
        data: The customers; their labels are not used.
        truth: Their true probabilities of churn, shape `(n_rows,)`.
    """

    contract: DatasetContract
    data: TrainingData
    truth: FloatArray

    def labelled(self, random: np.random.Generator) -> TrainingData:
        """Return the customers with outcomes drawn from the truth."""
        label = (random.random(len(self.truth)) < self.truth).astype(np.int8)
        return TrainingData(self.data.columns, label, self.data.entity)

    def expected(self, rows: np.ndarray, probability: FloatArray) -> dict[str, float]:
        """Return what predictions for some rows reach on average over all outcomes; more is better of each."""
        truth = self.truth[rows]
        order = np.argsort(-probability)
        auc = roc_auc(Counts(np.cumsum(truth[order]), np.cumsum(1 - truth[order])))
        gone, stayed = np.ones_like(truth), np.zeros_like(truth)
        losses = truth * log_losses(gone, probability) + (1 - truth) * log_losses(stayed, probability)
        worth = values(len(truth))
        earned = np.where(decide(probability, worth, MONEY), expected_value(truth, worth, MONEY), 0.0)
        return {"roc_auc": auc, "log_loss": -float(np.mean(losses)), "profit": float(np.mean(earned))}


@dataclass
class Contestant:
    """A way of making a model, on customers with drawn outcomes; no rows are predicted twice.

    Attributes:
        contract: The columns that it learns from.
        data: The customers.
        trainer: How it is trained.
        share: The share of the rows given to it that it learns from.
        seed: Added to every seed.
    """

    contract: DatasetContract
    data: TrainingData
    trainer: ModelSettings = TRAINER
    share: float = 1.0
    seed: int = 0
    known: dict[bytes, ScoredRows] = field(default_factory=dict)

    def fit(self, learn: np.ndarray, ask: np.ndarray, seed: int) -> ScoredRows:
        """Learn from some rows and predict others; both are positions in `data`."""
        place = ask.tobytes()
        if place not in self.known:
            mixed = np.random.default_rng([seed, self.seed]).permutation(learn)
            kept = part(self.data, np.sort(mixed[: round(self.share * len(learn))]))
            model = train(kept, self.contract, self.trainer, seed=seed + self.seed, threads=1).model
            self.known[place] = ScoredRows(model.probability(part(self.data, ask).columns), model.thresholds["f1"])
        return self.known[place]


def contestants(contract: DatasetContract, data: TrainingData) -> dict[str, Contestant]:
    """Return everybody who is named in `PAIRS`."""
    return {
        "full": Contestant(contract, data),
        "additive": Contestant(contract, data, trainer=TRAINER.model_copy(update={"candidates": ("additive",)})),
        "reseeded": Contestant(contract, data, seed=1_000_003),
        "quarter": Contestant(contract, data, share=0.25),
        "fewer columns": Contestant(without(contract, "contract", "internet_service"), data),
    }


def without(contract: DatasetContract, *names: str) -> DatasetContract:
    """Return the contract without some columns, which a model of it then does not read."""
    columns = {name: column for name, column in contract.columns.items() if name not in names}
    slices = tuple(name for name in contract.slices if name not in names)
    return contract.model_copy(update={"columns": columns, "slices": slices})


def part(data: TrainingData, rows: np.ndarray) -> TrainingData:
    """Return some rows."""
    columns = {name: column[rows] for name, column in data.columns.items()}
    return TrainingData(columns, data.label[rows], data.entity[rows])


def values(rows: int) -> FloatArray:
    """Return what keeping each customer is worth."""
    return MONEY.customer_value.values(rows)
