"""Ranking and classification metrics under any row weights: rows are sorted once for all weights."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ..model.frame import FloatArray, IntArray
from ..model.model import sigmoid

__all__ = [
    "BlockRanking",
    "CalibrationNoise",
    "Counts",
    "Ranking",
    "average_precision",
    "brier_losses",
    "calibration_gap",
    "calibration_noise",
    "calibration_slope",
    "equal_mass_bins",
    "f1_score",
    "lift",
    "log_losses",
    "logistic_line",
    "logit_losses",
    "roc_auc",
]

_NEWTON_STEPS = 50


class Counts(NamedTuple):
    """Weight of positives and negatives at or above each distinct score, falling; shape `(n_scores,)` each."""

    positive: FloatArray
    negative: FloatArray

    @property
    def has_both(self) -> bool:
        """Whether there is weight on either class; most metrics are undefined without."""
        return bool(self.positive[-1] > 0 and self.negative[-1] > 0)


@dataclass(frozen=True)
class Ranking:
    """Rows in the order of falling score; rows with the same score are one step of every curve.

    Sorting is the costly part of a ranking metric and does not depend on the weights, so a bootstrap sorts once.
    """

    order: IntArray
    last: IntArray
    label: FloatArray

    @classmethod
    def of(cls, label: npt.ArrayLike, score: npt.ArrayLike) -> Self:
        """Rank rows by `score`, shape `(n_rows,)`; `label` is 1 for the positives, 0 for the others."""
        scores = np.asarray(score, dtype=np.float64)
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
        return cls(order=order, last=last, label=np.asarray(label, dtype=np.float64)[order])

    def counts(self, weights: FloatArray | None = None) -> Counts:
        """Return the cumulated weights of both classes; `weights` has shape `(n_rows,)`, in the rows' own order."""
        weight = np.ones(len(self.order)) if weights is None else weights[self.order]
        positive, negative = weight * self.label, weight * (1 - self.label)
        return Counts(np.cumsum(positive)[self.last], np.cumsum(negative)[self.last])


def roc_auc(counts: Counts) -> float:
    """Return the chance that a positive ranks above a negative, ties counting half, 0 to 1; NaN with one class."""
    if not counts.has_both:
        return float("nan")
    positive, negative = np.append(0.0, counts.positive), np.append(0.0, counts.negative)
    area = np.sum(np.diff(negative) * (positive[1:] + positive[:-1])) / 2
    return float(area / (positive[-1] * negative[-1]))


def average_precision(counts: Counts) -> float:
    """Return the area under the precision-recall steps, `sum (R_k - R_k-1)·P_k`, 0 to 1; NaN without positives."""
    if counts.positive[-1] <= 0:
        return float("nan")
    total = counts.positive + counts.negative
    precision = np.divide(counts.positive, total, out=np.zeros_like(total), where=total > 0)
    return float(np.sum(np.diff(counts.positive, prepend=0.0) * precision) / counts.positive[-1])


def lift(counts: Counts, share: float | FloatArray) -> FloatArray:
    """Return how many times the base rate churns among the `share` (0 to 1) of customers ranked highest.

    Customers with the same score enter in proportion, as if in random order; NaN without positives. At 0.1 it is the
    top-decile lift of Neslin et al. (2006), Journal of Marketing Research 43(2):204-211.
    """
    shares = np.asarray(share, dtype=np.float64)
    if counts.positive[-1] <= 0:
        return np.full(shares.shape, np.nan)
    total = np.append(0.0, counts.positive + counts.negative)
    recall = np.interp(shares * total[-1], total, np.append(0.0, counts.positive)) / counts.positive[-1]
    return np.asarray(recall / shares)


def f1_score(true_positive: float, predicted: float, positive: float) -> float:
    """Return the harmonic mean of precision and recall, 0 to 1, from three weights; 0 where nothing is found."""
    return 2 * true_positive / (predicted + positive) if predicted + positive > 0 else 0.0


def log_losses(label: FloatArray, probability: FloatArray) -> FloatArray:
    """Return each row's log loss in nats; probabilities are kept one float64 rounding step away from 0 and 1."""
    tiny = np.finfo(np.float64).eps
    p = np.clip(probability, tiny, 1 - tiny)
    return np.asarray(-(label * np.log(p) + (1 - label) * np.log1p(-p)))


def brier_losses(label: FloatArray, probability: FloatArray) -> FloatArray:
    """Return each row's squared error, 0 to 1 (Brier 1950)."""
    return np.asarray((probability - label) ** 2)


def equal_mass_bins(probability: FloatArray, bins: int) -> IntArray:
    """Return each row's bin, 0 upwards, shape `(n_rows,)`: `bins` groups of as many rows, by rising probability.

    Rows with the same probability are never parted, so that there may be fewer bins, and none is empty.
    """
    _, inverse, count = np.unique(probability, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - count / 2) / len(probability)
    bin_of = np.minimum((middle * bins).astype(np.int64), bins - 1)
    _, used = np.unique(bin_of, return_inverse=True)
    return np.asarray(used[inverse], dtype=np.int64)


def calibration_gap(label: FloatArray, probability: FloatArray, bins: IntArray, weights: FloatArray) -> float:
    """Return the expected calibration error, 0 to 1: the mean over `bins`, by weight, of |observed - predicted|.

    With equal-mass bins it is the definition of Nixon et al. (2019, "Measuring calibration in deep learning").
    """
    difference = np.bincount(bins, weights * (label - probability))
    return float(np.sum(np.abs(difference)) / np.sum(weights))


class CalibrationNoise(NamedTuple):
    """The expected calibration error that chance alone gives: on average, and at most 19 times in 20."""

    mean: float
    upper: float


def calibration_noise(
    label: FloatArray, probability: FloatArray, bins: IntArray, customer: IntArray, weights: FloatArray
) -> CalibrationNoise:
    """Return the expected calibration error that chance alone would give if every probability were true.

    The rows of one customer share a fate: a bin's sum of residuals has the variance s² that summing over customers
    first gives, the cluster-robust one (Liang and Zeger 1986, Biometrika 73:13-22). The error is a sum of |N(0, s²)|
    over bins, of mean `s·sqrt(2/pi)` and variance `s²·(1 - 2/pi)` each; the upper end takes it for normal.

    Args:
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        probability: Churn probabilities, 0 to 1, shape `(n_rows,)`.
        bins: The bin of each row, 0 upwards, shape `(n_rows,)`.
        customer: The customer of each row as a number, 0 upwards, shape `(n_rows,)`.
        weights: How many rows each stands for, shape `(n_rows,)`.
    """
    customers = int(np.max(customer)) + 1
    cells = (int(np.max(bins)) + 1) * customers
    cell, difference = bins * customers + customer, weights * (label - probability)
    residual = np.bincount(cell, difference, minlength=cells).reshape(-1, customers)
    variance = np.sum(residual**2, axis=1) / np.sum(weights) ** 2
    mean = float(np.sqrt(2 / np.pi) * np.sum(np.sqrt(variance)))
    spread = float(np.sqrt((1 - 2 / np.pi) * np.sum(variance)))
    return CalibrationNoise(mean, mean + NormalDist().inv_cdf(0.95) * spread)


def logit_losses(label: npt.NDArray[np.int8] | FloatArray, logit: FloatArray) -> FloatArray:
    """Return each row's log loss in nats, from log-odds of any size, shape `(n_rows,)`."""
    return np.asarray(np.logaddexp(0.0, logit) - label * logit)


def logistic_line(
    logit: FloatArray, target: FloatArray, weights: FloatArray | float = 1.0
) -> tuple[float, float, bool]:
    """Return slope and intercept of the logistic regression of `target` on `logit`, and whether they exist.

    They do not exist for log-odds that are all the same, nor where targets of 0 and 1 are parted without error. A step
    of Newton's method that is large is halved until it lowers the loss.

    Args:
        logit: Log-odds, shape `(n_rows,)`.
        target: Outcomes from 0 to 1, shape `(n_rows,)`.
        weights: How much each row counts, shape `(n_rows,)`.
    """
    design = np.stack([logit, np.ones_like(logit)])
    line, large = np.array([1.0, 0.0]), 0.1 / max(1.0, float(np.max(np.abs(logit))))

    def loss(at: FloatArray) -> float:
        return float(np.mean(weights * logit_losses(target, at @ design)))

    for _ in range(_NEWTON_STEPS):
        fitted = sigmoid(line @ design)
        hessian = (design * (weights * fitted * (1 - fitted))) @ design.T
        step = np.linalg.lstsq(hessian, design @ (weights * (target - fitted)), rcond=None)[0]
        while np.max(np.abs(step)) > large and loss(line + step) > loss(line):
            step = step / 2
        line = line + step
        if np.max(np.abs(step)) < 1e-9:
            return float(line[0]), float(line[1]), bool(np.linalg.cond(hessian) < 1e12)
    return float(line[0]), float(line[1]), False


def calibration_slope(label: FloatArray, probability: FloatArray, weights: FloatArray) -> float:
    """Return the slope of a logistic regression of the label on the logit of the probability (Cox 1958).

    1 is calibrated; below 1 the probabilities are too extreme, above 1 too timid. NaN where it does not exist:
    one class, probabilities all the same, or classes that the probability parts without error.
    """
    p = np.clip(probability, 1e-9, 1 - 1e-9)
    slope, _, exists = logistic_line(np.log(p / (1 - p)), label, weights)
    return slope if exists else float("nan")


class BlockRanking:
    """Churners and others by falling probability, and where each stands among the rows of the other outcome.

    With both places known a draw takes one pass over its weights, where sorting them anew would take most of the time.
    """

    def __init__(self, label: npt.ArrayLike, probability: FloatArray) -> None:
        """Rank the rows; `label` is 1 for churners, both arrays have shape `(n_rows,)`."""
        churned = np.asarray(label) == 1
        order = np.argsort(-probability, kind="stable")
        self._churners, self._others = order[churned[order]], order[~churned[order]]
        churners, others = -probability[self._churners], -probability[self._others]
        self._churners_above = np.searchsorted(churners, others, side="left")
        self._churners_level = np.searchsorted(churners, others, side="right")
        self._own_level = np.searchsorted(churners, churners, side="right")
        self._others_level = np.searchsorted(others, churners, side="right")
        self._tied = not np.array_equal(self._churners_above, self._churners_level)

    def __call__(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return `roc_auc` and `average_precision` of statistics.metrics for each draw, shape `(n_draws,)` each.

        Args:
            weights: How often each row counts, shape `(n_draws, n_rows)`. NaN where the metric does not exist.
        """
        churners, others = weights[:, self._churners], weights[:, self._others]
        churners_so_far, others_so_far = _sums(churners), _sums(others)
        outranking = churners_so_far[:, self._churners_above]
        if self._tied:
            outranking = (outranking + churners_so_far[:, self._churners_level]) / 2
        positives, negatives = churners_so_far[:, -1], others_so_far[:, -1]
        hits = churners_so_far[:, self._own_level]
        called = hits + others_so_far[:, self._others_level]
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = np.einsum("ij,ij->i", others, outranking) / (positives * negatives)
            return auc, np.einsum("ij,ij->i", churners, precision) / positives


def _sums(weights: FloatArray) -> FloatArray:
    """Return the sums of each draw's first 0, 1, 2, … weights, shape `(n_draws, n + 1)`."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
