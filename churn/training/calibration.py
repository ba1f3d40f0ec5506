"""Measures calibration, and recalibrates where that lowers the log loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..core.frozen import Frozen
from ..evaluation.ranking import (
    Ranking,
    brier_losses,
    calibration_gap,
    calibration_noise,
    equal_mass_bins,
    logistic_line,
    logit_losses,
)
from ..model.frame import FloatArray, IntArray
from ..model.model import sigmoid
from .blending import paired_difference

__all__ = [
    "ECE_BINS",
    "Calibration",
    "CalibrationScore",
    "best_f1_threshold",
    "calibrate",
    "fit_platt",
    "score_calibration",
]

ECE_BINS = 10
"""Groups of equally many rows by rising probability, over which the expected calibration error is taken."""
_PAYS = 2.0


class CalibrationScore(Frozen):
    """How well probabilities match outcomes.

    Attributes:
        log_loss: Mean log loss, in nats.
        brier: Mean squared error of the probability (Brier 1950).
        ece: Expected calibration error over 10 bins of equally many rows.
        ece_by_chance: What `ece` would be if every probability were true.
        slope: Of the logistic regression of outcome on log-odds; below 1 they are too extreme, above 1 too timid.
        intercept: Of the same regression; above 0 where churn is underestimated.
    """

    log_loss: float
    brier: float
    ece: float
    ece_by_chance: float
    slope: float
    intercept: float


class Calibration(Frozen):
    """The line that log-odds are put through, and what it is worth out of fold.

    Attributes:
        slope: 1 where the log-odds are left as they are.
        intercept: 0 where the log-odds are left as they are.
        gain: Out-of-fold log loss that the line saves when it is fitted on the other folds.
        gain_se: Standard error of `gain` over customers.
        applied: Whether the gain is more than two standard errors, so that the line is used.
        before: Out-of-fold scores without it.
        after: Out-of-fold scores with it, or those without it where it is not applied.
    """

    slope: float
    intercept: float
    gain: float
    gain_se: float
    applied: bool
    before: CalibrationScore
    after: CalibrationScore


def calibrate(
    logit: FloatArray,
    label: npt.NDArray[np.int8],
    fold: IntArray,
    customer: IntArray,
    weight: FloatArray | None = None,
) -> Calibration:
    """Fit Platt's line (1999, "Probabilistic outputs for support vector machines") and keep it only where it pays.

    Args:
        logit: Out-of-fold log-odds, shape `(n_rows,)`.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        fold: The fold of each row, shape `(n_rows,)`.
        customer: Each row's customer as a number, shape `(n_rows,)`.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """
    calibrated = np.empty_like(logit)
    for index in np.unique(fold):
        out = fold == index
        slope, intercept = fit_platt(logit[~out], label[~out], None if weight is None else weight[~out])
        calibrated[out] = slope * logit[out] + intercept
    gain = paired_difference(logit_losses(label, logit), logit_losses(label, calibrated), customer, weight)
    applied = gain.mean > _PAYS * gain.se
    slope, intercept = fit_platt(logit, label, weight) if applied else (1.0, 0.0)
    return Calibration(
        slope=slope,
        intercept=intercept,
        gain=gain.mean,
        gain_se=gain.se,
        applied=applied,
        before=score_calibration(logit, label, customer, weight),
        after=score_calibration(calibrated if applied else logit, label, customer, weight),
    )


def score_calibration(
    logit: FloatArray, label: npt.NDArray[np.int8], customer: IntArray, weight: FloatArray | None = None
) -> CalibrationScore:
    """Return how well the probabilities that belong to `logit` match `label`; all arrays have shape `(n_rows,)`."""
    probability, outcome = sigmoid(logit), label.astype(np.float64)
    bins = equal_mass_bins(probability, ECE_BINS)
    slope, intercept = fit_platt(logit, label, weight)
    weights = np.ones_like(outcome) if weight is None else weight
    return CalibrationScore(
        log_loss=float(np.average(logit_losses(label, logit), weights=weight)),
        brier=float(np.average(brier_losses(outcome, probability), weights=weight)),
        ece=calibration_gap(outcome, probability, bins, weights),
        ece_by_chance=calibration_noise(outcome, probability, bins, customer, weights).mean,
        slope=slope,
        intercept=intercept,
    )


def fit_platt(logit: FloatArray, label: npt.NDArray[np.int8], weight: FloatArray | None = None) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of `label` on `logit`, both of shape `(n_rows,)`.

    The outcomes are drawn towards each other as Platt proposes, so that a line exists even where the classes are parted
    without error. Log-odds that are all the same have no slope: it stays 1.
    """
    weights = np.ones(len(label)) if weight is None else weight
    churned, stayed = float(np.sum(weights[label == 1])), float(np.sum(weights[label == 0]))
    target = np.where(label == 1, (churned + 1) / (churned + 2), 1 / (stayed + 2))
    if np.ptp(logit) < 1e-12:
        share = float(np.average(target, weights=weight))
        return 1.0, float(np.log(share / (1 - share)) - logit[0])
    slope, intercept, _ = logistic_line(logit, target, weights)
    return slope, intercept


def best_f1_threshold(probability: FloatArray, label: npt.NDArray[np.int8], weight: FloatArray | None = None) -> float:
    """Return the probability from which on calling a customer a churner gives the greatest F1, 0 to 1.

    It lies halfway between two neighbouring probabilities, so that a rounding error moves no customer.
    """
    counts = Ranking.of(label, probability).counts(weight)
    f1 = 2 * counts.positive / (counts.positive + counts.negative + counts.positive[-1])
    distinct = np.unique(probability)[::-1]
    best = int(np.argmax(f1))
    return float((distinct[best] + distinct[best + 1]) / 2) if best + 1 < len(distinct) else float(distinct[best])
