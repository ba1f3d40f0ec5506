"""Predictions whose truth is known: churn probabilities, outcomes drawn from them, and a model's guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.evaluation.profit import MaximumProfit, maximum_profit
from churn.evaluation.ranking import Ranking
from churn.model.money import MoneySettings


@dataclass(frozen=True)
class Predictions:
    """Arrays of shape `(rows,)`."""

    label: np.ndarray
    probability: np.ndarray
    truth: np.ndarray
    entity: np.ndarray


def predictions(rows: int = 2000, *, seed: int = 0, noise: float = 0.5, rows_each: int = 1) -> Predictions:
    """Draw rows; `noise` blurs the model's logits, and each customer has `rows_each` rows of the same risk."""
    random = np.random.default_rng(seed)
    customers = -(-rows // rows_each)
    risk = np.repeat(random.normal(-1.3, 1.5, customers), rows_each)[:rows]
    # The blur shrinks towards the mean, so that the guess is calibrated: E[risk | guess] = guess.
    guess = risk + np.repeat(random.normal(0, noise, customers), rows_each)[:rows]
    guess = -1.3 + (guess + 1.3) * 1.5**2 / (1.5**2 + noise**2)
    truth = 1 / (1 + np.exp(-risk))
    return Predictions(
        label=(random.random(rows) < truth).astype(int),
        probability=1 / (1 + np.exp(-guess)),
        truth=truth,
        entity=np.array([f"c{number:06d}" for number in np.repeat(np.arange(customers), rows_each)[:rows]]),
    )


def empc(
    label: npt.ArrayLike, probability: npt.ArrayLike, money: MoneySettings, weights: np.ndarray | None = None
) -> MaximumProfit:
    """Return the expected maximum profit of predictions, each row counting once or by `weights`."""
    return maximum_profit(Ranking.of(label, probability).counts(weights), money)
