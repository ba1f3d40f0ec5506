"""Rounds of the simulation behind benchmarks/gate.py: models of known quality, judged by the demo's rules and ours.

A round draws new outcomes for the customers, parts them anew, trains every model, and asks what the rules ask.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.gate_trainers import MONEY, PAIRS, Known, Trainer, trainers, values
from benchmarks.quality_peers import warm_up
from churn.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate
from churn.gate.comparison import PairedRows, ScoredRows, compare
from churn.gate.quality import quality_checks
from churn.gate.recipes import Learner, compare_learners
from churn.gate.report import Comparison, RecipeComparison
from churn.gate.settings import GateSettings
from churn.training.train import TrainingData

__all__ = ["RULES", "one_round", "start_worker"]

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

    def _compare(self, old: ScoredRows, new: ScoredRows) -> Comparison:
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

    def _evaluation(self, predictions: ScoredRows) -> Evaluation:
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


def _f1(label: np.ndarray, predictions: ScoredRows) -> float:
    called = predictions.probability >= _DEMO_THRESHOLD
    return float(2 * np.sum(label * called) / max(np.sum(label) + np.sum(called), 1))
