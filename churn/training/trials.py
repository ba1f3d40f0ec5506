"""What a search of the trees' parameters is told, what it reports, and how it judges one configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ..core.frozen import Frozen
from ..model.frame import FloatArray
from ..model.model import sigmoid
from ..ports.studies import Trial
from .blending import Difference, logit_losses, paired_difference
from .boosting import BoostingParams, fit_folds
from .preparation import Prepared

__all__ = ["Judge", "ProfitOfRows", "TuningResult", "TuningSettings", "searched", "suggest"]

ProfitOfRows = Callable[[FloatArray], FloatArray]
"""Takes the out-of-fold churn probabilities of the training rows and returns what acting on each earns, in money."""

_RANGES: Mapping[str, tuple[float, float, bool]] = {
    "max_depth": (2, 6, False),
    "learning_rate": (0.03, 0.2, True),
    "min_child_weight": (1.0, 40.0, True),
    "subsample": (0.5, 1.0, False),
    "colsample_bytree": (0.25, 1.0, False),
    "reg_lambda": (0.1, 50.0, True),
    "gamma": (0.0, 3.0, False),
}
"""Least and greatest value of each parameter, and whether it is drawn on a logarithmic scale."""


class TuningSettings(Frozen):
    """Whether, how long and for what to search."""

    mode: Literal["auto", "on", "off"] = Field(
        default="auto", description="auto stops when the gain stays within its noise; on spends the whole budget."
    )
    max_trials: int = Field(default=20, ge=1, le=1000, description="Trials of the study, resumed ones included.")
    min_trials: int = Field(default=8, ge=2, description="Trials before auto may stop for want of a gain.")
    min_rows: int = Field(default=1000, ge=0, description="With fewer training rows auto does not search.")
    timeout_seconds: float = Field(default=300.0, gt=0, description="No trial starts later than this.")
    objective: Literal["log_loss", "profit"] = Field(default="log_loss", description="What the best trial is best at.")
    parallel_trials: int = Field(default=1, ge=1, le=16, description="Trials side by side; 1 repeats exactly.")


class TuningResult(Frozen):
    """What the search found.

    Attributes:
        trials: Every finished trial of the study, in order.
        best: The complete trial with the best value, None where nothing was searched.
        boosting: The parameters to train with: those of `best`, or the fixed ones.
        objective: What `best` is best at.
        gain: How much better `best` is than the fixed configuration, per row, never negative.
        gain_se: Standard error of `gain`, paired by row, over customers.
        seconds: Wall time of this search.
        reason: In words, what the search bought and why it stopped.
    """

    trials: tuple[Trial, ...] = ()
    best: Trial | None = None
    boosting: BoostingParams
    objective: Literal["log_loss", "profit"]
    gain: float = 0.0
    gain_se: float = 0.0
    seconds: float = 0.0
    reason: str


def _go_on(index: int, loss: float) -> None:
    """Never give up."""


@dataclass
class Judge:
    """Scores configurations of the trees on the same folds; what was scored once is remembered.

    Attributes:
        ready: The training rows.
        additive: Out-of-fold log-odds of the additive model, shape `(n_rows,)`, or None where it is no candidate.
        seed: Seed of the trees.
        threads: Folds grown side by side.
        budget: Microseconds a row that exact contributions may cost at most.
        profit: What acting on probabilities earns, or None to judge by log loss.
    """

    ready: Prepared
    additive: FloatArray | None
    seed: int
    threads: int
    budget: float
    profit: ProfitOfRows | None
    known: dict[BoostingParams, tuple[FloatArray, list[float]]] = field(default_factory=dict)

    def scores(self, params: BoostingParams, after_fold: Callable[[int, float], None] = _go_on) -> FloatArray:
        """Return each row's score, greater is better: money, or minus the log loss; shape `(n_rows,)`.

        It is that of the trees alone or of their mean with the additive model, whichever has less log loss.

        Args:
            params: The configuration.
            after_fold: Called with each fold's index and its least log loss; it may raise to give up.
        """
        if params in self.known:
            scores, losses = self.known[params]
            for index, loss in enumerate(losses):
                after_fold(index, loss)
            return scores
        losses = []

        def listen(index: int, loss: float) -> None:
            losses.append(loss)
            after_fold(index, loss)

        trees = fit_folds(
            self.ready.matrices, params, self.seed, budget=self.budget, threads=self.threads, after_fold=listen
        ).oof
        choices = [trees] if self.additive is None else [trees, (trees + self.additive) / 2]
        label = self.ready.label
        logit = min(choices, key=lambda choice: float(np.mean(logit_losses(label, choice))))
        scores = -logit_losses(label, logit) if self.profit is None else self.profit(sigmoid(logit))
        self.known[params] = scores, losses
        return scores

    def gain(self, params: BoostingParams, fixed: BoostingParams) -> Difference:
        """Return how much better `params` scores than `fixed`, with its standard error over customers."""
        return paired_difference(self.scores(params), self.scores(fixed), self.ready.customer)


def searched(params: BoostingParams) -> dict[str, float | int]:
    """Return the parameters that a search varies."""
    return {name: getattr(params, name) for name in _RANGES}


def suggest(trial: Any, fixed: BoostingParams) -> BoostingParams:
    """Draw a configuration with an `optuna.Trial` from the ranges, widened where `fixed` lies outside them."""
    drawn: dict[str, float | int] = {}
    for name, own in searched(fixed).items():
        least, greatest, logarithmic = _RANGES[name]
        low, high = min(least, own), max(greatest, own)
        if isinstance(own, int):
            drawn[name] = trial.suggest_int(name, int(low), int(high))
        else:
            drawn[name] = trial.suggest_float(name, low, high, log=logarithmic and low > 0)
    return fixed.model_copy(update=drawn)
