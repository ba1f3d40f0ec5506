"""Compares a model with the best possible one, where a simulation knows the true probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..core.errors import DataError
from ..core.frozen import Finite
from ..model.frame import FloatArray
from ..model.money import MoneySettings, expected_value, treatment_pays
from .ranking import Ranking, log_losses, roc_auc

__all__ = ["Reachable", "Reached", "expected_loss", "reachable"]


class Reached(Finite):
    """One metric of a model beside that of the true probabilities, both as expected over what could have happened."""

    model: float
    best: float
    share: float | None = Field(description="Of the gain over knowing nothing; none where there is nothing to gain.")


class Reachable(Finite):
    """The model against the truth; the gain is counted from 0.5, from the base rate's log loss, and from 0 money."""

    roc_auc: Reached
    log_loss: Reached
    profit_per_customer: Reached


def reachable(
    probability: FloatArray,
    truth: npt.ArrayLike,
    value: FloatArray,
    money: MoneySettings,
    weight: FloatArray | None = None,
) -> Reachable:
    """Compare a model with the true probabilities.

    Outcomes are not looked at: each row counts as a churner with its true probability and as a stayer with the rest,
    so that the luck of the draw blurs neither side.

    Args:
        probability: The model's churn probabilities, 0 to 1, shape `(n_rows,)`.
        truth: The probabilities that the outcomes were drawn from, 0 to 1, shape `(n_rows,)`.
        value: What keeping each customer is worth, in the currency, shape `(n_rows,)`.
        money: The economics.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.

    Raises:
        DataError: `truth` has another length, or holds what is not a probability.
    """
    true = np.asarray(truth, dtype=np.float64)
    if true.shape != probability.shape or not np.all((true >= 0) & (true <= 1)):
        raise DataError(
            f"The true probabilities (shape {true.shape}) must be numbers between 0 and 1, one for each of the "
            f"{len(probability)} rows: take the column that the simulation drew the outcomes from."
        )
    auc, best_auc = (_expected_auc(score, true, weight) for score in (probability, true))
    base_rate = np.full(true.shape, np.average(true, weights=weight))
    loss, best_loss, base_loss = (expected_loss(score, true, weight) for score in (probability, true, base_rate))
    profit, best_profit = (_expected_profit(score, true, value, money, weight) for score in (probability, true))
    return Reachable(
        roc_auc=_reached(auc, best_auc, 0.5),
        log_loss=_reached(loss, best_loss, base_loss),
        profit_per_customer=_reached(profit, best_profit, 0.0),
    )


def expected_loss(probability: FloatArray, truth: FloatArray, weight: FloatArray | None = None) -> float:
    """Return the log loss, in nats, that probabilities have on average over every outcome that could have happened."""
    happens, stays = (log_losses(np.full_like(probability, outcome), probability) for outcome in (1.0, 0.0))
    return float(np.average(truth * happens + (1 - truth) * stays, weights=weight))


def _reached(model: float, best: float, zero: float) -> Reached:
    gain = best - zero
    return Reached(model=model, best=best, share=(model - zero) / gain if abs(gain) > 1e-9 else None)


def _expected_auc(score: FloatArray, true: FloatArray, weight: FloatArray | None) -> float:
    outcome, counted = np.repeat([1.0, 0.0], len(true)), np.ones(len(true)) if weight is None else weight
    shares = np.concatenate([true * counted, (1 - true) * counted])
    area = roc_auc(Ranking.of(outcome, np.tile(score, 2)).counts(shares))
    return area if np.isfinite(area) else 0.5


def _expected_profit(
    score: FloatArray, true: FloatArray, value: FloatArray, money: MoneySettings, weight: FloatArray | None
) -> float:
    earned = np.where(treatment_pays(score, value, money), expected_value(true, value, money), 0.0)
    return float(np.average(earned, weights=weight))
