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
from churn.training.folds import customer_codes, customer_folds
from churn.training.train import ModelSettings, TrainingData, train

__all__ = ["MODEL", "MONEY", "PAIRS", "Known", "Trainer", "part", "trainers", "values", "without"]

MODEL = ModelSettings(candidates=("boosting",), folds=3, boosting=BoostingParams(patience=20))
"""A fifth of the full trainer's cost, so that a hundred rounds are affordable."""
MONEY = MoneySettings()
PAIRS: Mapping[str, tuple[str, str]] = {
    "equal (rows in another order)": ("full", "reseeded"),
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
class Trainer:
    """A way of making a model, on customers with drawn outcomes; no rows are predicted twice.

    Attributes:
        contract: The columns that it learns from.
        data: The customers.
        trainer: How it is trained.
        share: The share of the rows given to it that it learns from.
        order: Another number takes the rows in another order, so that the trees sample other rows.
    """

    contract: DatasetContract
    data: TrainingData
    trainer: ModelSettings = MODEL
    share: float = 1.0
    order: int = 0
    fits: dict[tuple[bytes, int], ScoredRows] = field(default_factory=dict)
    folds: dict[int, FloatArray] = field(default_factory=dict)

    def fit(self, learn: np.ndarray, predict: np.ndarray, seed: int) -> ScoredRows:
        """Learn from some rows and predict others; both are positions in `data`. No rows are predicted twice."""
        key = predict.tobytes(), seed
        if key not in self.fits:
            mixed = np.random.default_rng([seed, self.order]).permutation(learn)
            kept = part(self.data, mixed[: round(self.share * len(learn))])
            model = train(kept, self.contract, self.trainer, seed=seed, threads=1).model
            self.fits[key] = ScoredRows(model.probability(part(self.data, predict).columns), model.thresholds["f1"])
        return self.fits[key]

    def out_of_fold(self, rows: np.ndarray, seed: int, folds: int) -> FloatArray:
        """Return the out-of-fold probabilities of some rows, positions in `data`; see `churn.gate.recipes.Learner`."""
        if seed not in self.folds:
            if self.share == 1:
                mixed = np.random.default_rng([seed, self.order]).permutation(len(rows))
                settings = self.trainer.model_copy(update={"folds": folds})
                result = train(part(self.data, rows[mixed]), self.contract, settings, seed=seed, threads=1)
                self.folds[seed] = result.oof_probability[np.argsort(mixed)]
            else:
                data = part(self.data, rows)
                fold = customer_folds(customer_codes(data.entity), data.label, folds, seed)
                probability = np.empty(len(rows))
                for index in range(folds):
                    out = fold == index
                    probability[out] = self.fit(rows[~out], rows[out], seed).probability
                self.folds[seed] = probability
        return self.folds[seed]


def trainers(contract: DatasetContract, data: TrainingData) -> dict[str, Trainer]:
    """Return everybody who is named in `PAIRS`."""
    return {
        "full": Trainer(contract, data),
        "additive": Trainer(contract, data, trainer=MODEL.model_copy(update={"candidates": ("additive",)})),
        "reseeded": Trainer(contract, data, order=1),
        "quarter": Trainer(contract, data, share=0.25),
        "fewer columns": Trainer(without(contract, "contract", "internet_service"), data),
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
