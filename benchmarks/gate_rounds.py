"""Rounds of the simulation behind benchmarks/gate.py: models of known quality, judged by the demo's rules and ours.

A round draws new outcomes for customers whose true churn probabilities are known, parts them anew, trains models that
are better or worse on them, and asks what the rules ask.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.customers import outcomes, subset
from benchmarks.quality_peers import warm_up
from churn.data.contract import DatasetContract
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.evaluation.oracle import reachable
from churn.gate.comparison import PairedRows, VersionScores, compare
from churn.gate.quality import quality_checks
from churn.gate.recipes import Learner, compare_learners
from churn.gate.report import Comparison, RecipeComparison
from churn.gate.settings import GateSettings
from churn.model.frame import FloatArray
from churn.model.money import MoneySettings
from churn.training.boosting import BoostingParams
from churn.training.folds import customer_codes, customer_folds
from churn.training.train import ModelSettings, TrainingData, train

__all__ = ["MODEL", "MONEY", "PAIRS", "RULES", "Known", "one_round", "start_worker", "values", "without"]

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
        return replace(self.data, label=outcomes({}, self.truth, random).label)

    def expected(self, rows: np.ndarray, probability: FloatArray) -> dict[str, float]:
        """Return what predictions for some rows reach on average over all outcomes; more is better of each."""
        found = reachable(probability, self.truth[rows], values(len(rows)), MONEY)
        profit = found.profit_per_customer.model
        return {"roc_auc": found.roc_auc.model, "log_loss": -found.log_loss.model, "profit": profit}


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
    fits: dict[tuple[bytes, int], VersionScores] = field(default_factory=dict)
    folds: dict[int, FloatArray] = field(default_factory=dict)

    def fit(self, learn: np.ndarray, predict: np.ndarray, seed: int) -> VersionScores:
        """Learn from some rows and predict others; both are positions in `data`. No rows are predicted twice."""
        key = predict.tobytes(), seed
        if key not in self.fits:
            mixed = np.random.default_rng([seed, self.order]).permutation(learn)
            kept = subset(self.data, mixed[: round(self.share * len(learn))])
            model = train(kept, self.contract, self.trainer, seed=seed, threads=1).model
            probability = model.probability(subset(self.data, predict).columns)
            self.fits[key] = VersionScores(probability, model.thresholds["f1"])
        return self.fits[key]

    def out_of_fold(self, rows: np.ndarray, seed: int, folds: int) -> FloatArray:
        """Return the out-of-fold probabilities of some rows, positions in `data`; see `churn.gate.recipes.Learner`."""
        if seed not in self.folds:
            if self.share == 1:
                mixed = np.random.default_rng([seed, self.order]).permutation(len(rows))
                settings = self.trainer.model_copy(update={"folds": folds})
                result = train(subset(self.data, rows[mixed]), self.contract, settings, seed=seed, threads=1)
                self.folds[seed] = result.oof_probability[np.argsort(mixed)]
            else:
                data = subset(self.data, rows)
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


def values(rows: int) -> FloatArray:
    """Return what keeping each customer is worth."""
    return MONEY.customer_value.values(rows)


_OURS = {
    "ours: superiority": ("recipe", "superiority"),
    "ours: non-inferiority": ("recipe", "non-inferiority"),
    "ours: version question alone": ("refresh", "superiority"),
}
RULES = ("demo: F1, own splits", "F1, shared rows", "paired bootstrap, log loss", *_OURS)
_DEMO_THRESHOLD = 0.5


@dataclass(frozen=True)
class Round:
    """Customers with drawn outcomes and two splits of them: the one that is shared, and the challenger's own.

    Attributes:
        number: Seed of everything in the round.
        known: The customers' true probabilities.
        settings: The gate's.
        data: The customers with their outcomes.
        shared: Rows to learn from and rows held out.
        own: The same of another split.
    """

    number: int
    known: Known
    settings: GateSettings
    data: TrainingData
    shared: tuple[np.ndarray, np.ndarray]
    own: tuple[np.ndarray, np.ndarray]

    @classmethod
    def draw(cls, number: int, known: Known, settings: GateSettings) -> Round:
        random = np.random.default_rng([20_240_101, number])
        data = known.labelled(random)
        shared, own = (_parted(len(data.label), random) for _ in range(2))
        return cls(number, known, settings, data, shared, own)

    def pair(self, champion: Trainer, challenger: Trainer) -> dict[str, Any]:
        """Return the true gains, the measured ones, which rules promote, and which of our checks refuse."""
        old, new = (each.fit(*self.shared, self.number) for each in (champion, challenger))
        elsewhere = challenger.fit(*self.own, self.number)
        label, own_label = (self.data.label[split[1]] for split in (self.shared, self.own))
        holdout, recipes = self._compare(old, new), self._recipes(champion, challenger)
        promoted = {
            "demo: F1, own splits": _f1(own_label, elsewhere) >= _f1(label, old),
            "F1, shared rows": _f1(label, new) >= _f1(label, old),
            "paired bootstrap, log loss": next(m for m in holdout.metrics if m.name == "log_loss").gain.lower > 0,
        }
        refused = self._refusals(holdout, recipes, self._evaluation(new))
        was, now = (self.known.expected(self.shared[1], each.probability) for each in (old, new))
        return {
            "true": {name: now[name] - was[name] for name in now},
            "holdout": {m.name: [m.champion, *m.gain.model_dump().values()] for m in holdout.metrics},
            "recipes": {m.name: [*m.gain.model_dump().values(), m.p_better, m.p_worse] for m in recipes.metrics},
            "promoted": {**promoted, **{name: not checks for name, checks in refused.items()}},
            "refused": refused,
        }

    def _compare(self, old: VersionScores, new: VersionScores) -> Comparison:
        rows = self.shared[1]
        times = pd.Series(pd.Timestamp("2024-01-01", tz="UTC"), index=range(len(rows)))
        slices = {name: self.data.columns[name][rows] for name in self.known.contract.slices}
        paired = PairedRows(
            self.data.label[rows], self.data.entity[rows], times, values(len(rows)), old, new, slices=slices
        )
        return compare(paired, MONEY, self.settings, name="holdout", seed=self.number)

    def _recipes(self, champion: Trainer, challenger: Trainer) -> RecipeComparison:
        rows = self.shared[0]

        def again(trainer: Trainer) -> Learner:
            return lambda seed: trainer.out_of_fold(rows, seed, self.settings.folds)

        return compare_learners(
            again(champion),
            again(challenger),
            self.data.label[rows],
            self.data.entity[rows],
            settings=self.settings,
            seed=self.number,
            threads=1,
            progress=lambda *_: None,
        )

    def _evaluation(self, predictions: VersionScores) -> Evaluation:
        rows = self.shared[1]
        return evaluate(
            self.data.label[rows],
            predictions.probability,
            self.data.entity[rows],
            thresholds={},
            money=MONEY,
            value=values(len(rows)),
            slices={},
            settings=EvaluationSettings(resamples=100),
            seed=self.number,
        )

    def _refusals(self, holdout: Comparison, recipes: RecipeComparison, evaluation: Evaluation) -> dict[str, list[str]]:
        refusals = {}
        for name, (relation, rule) in _OURS.items():
            checks = quality_checks(
                relation,
                holdout=holdout,
                newest=None,
                recipes=recipes,
                evaluation=evaluation,
                settings=self.settings.model_copy(update={"rule": rule}),
                currency=MONEY.currency,
            )
            refusals[name] = [check.name for check in checks if not check.passed]
        return refusals


_known: Known | None = None


def start_worker(known: Known) -> None:
    """Make a process ready for `one_round`; it gives way to whatever else runs on the machine."""
    global _known  # noqa: PLW0603 - a pool hands its workers nothing but through a global
    os.nice(10)
    warm_up()
    _known = known


def one_round(number: int, settings: GateSettings) -> dict[str, Any]:
    """Return what was found on each of `PAIRS`, as plain JSON values."""
    assert _known is not None
    drawn = Round.draw(number, _known, settings)
    each = trainers(_known.contract, drawn.data)
    return {pair: drawn.pair(each[champion], each[challenger]) for pair, (champion, challenger) in PAIRS.items()}


def _parted(rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mixed = random.permutation(rows)
    return np.sort(mixed[rows // 5 :]), np.sort(mixed[: rows // 5])


def _f1(label: np.ndarray, predictions: VersionScores) -> float:
    called = predictions.probability >= _DEMO_THRESHOLD
    return float(2 * np.sum(label * called) / max(np.sum(label) + np.sum(called), 1))
