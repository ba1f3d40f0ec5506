"""An always-valid test of a difference of means: it may be looked at every day, and stopped at any look.

Asymptotic confidence sequences: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit
theory and asymptotic confidence sequences", Annals of Statistics 52:2613-2640, with the normal mixture of Robbins
(1970). The interval holds the true difference at all looks at once with the confidence that is asked for, as far as a
mean of the fewest customers that are looked at is normal: begin to look at some hundreds an arm. Confidence sequences
by betting (Waudby-Smith and Ramdas 2023) hold for any number; they need bounds, which a profit that follows revenue
does not have, and where only one customer in ten is in an arm they take more customers for the same width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..core.errors import NotEnoughData
from ..core.estimate import Estimate
from ..model.frame import FloatArray

__all__ = ["difference_of_arms", "mean_of_pairs", "mixture_bound"]


def mixture_bound(customers: int, *, alpha: float, planned: int) -> float:
    """Return how far a sum of standardised values strays from zero at no number of customers, with probability 1-alpha.

    The two-sided normal mixture, `sqrt((n + r)·log((n + r) / (r·alpha²)))`.

    Args:
        customers: How many there are at this look, n.
        alpha: Probability of an interval that misses at any look, between 0 and 1.
        planned: The number of customers at which the bound is about as tight as it can be; it sets r, and any other
            number is valid too.
    """
    narrowest = -2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))
    mixture = planned / narrowest
    total = customers + mixture
    return float(np.sqrt(total * np.log(total / (mixture * alpha**2))))


def mean_of_pairs(gains: npt.ArrayLike, weight: npt.ArrayLike = 1.0, *, alpha: float, planned: int) -> Estimate:
    """Return the mean gain where both versions scored every customer, with its always-valid interval.

    Args:
        gains: What the challenger gained on each customer, shape `(n_customers,)`, in any unit.
        weight: How many customers each stands for, 0 upwards, of the same shape or one number.
        alpha: Probability of an interval that misses at any look.
        planned: See `mixture_bound`.

    Raises:
        NotEnoughData: fewer than two customers.
    """
    measured = np.asarray(gains, dtype=np.float64)
    if len(measured) < 2:
        raise NotEnoughData(f"{len(measured)} customers say nothing about chance: look at 2 or more.")
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), measured.shape)
    point = float(np.average(measured, weights=weights))
    return _interval(point, weights * (measured - point) / np.mean(weights), alpha, planned)


def difference_of_arms(
    values: npt.ArrayLike,
    is_challenger: npt.ArrayLike,
    share: npt.ArrayLike,
    weight: npt.ArrayLike = 1.0,
    *,
    alpha: float,
    planned: int,
) -> Estimate:
    """Return the mean of the challenger's customers less that of the champion's, with its always-valid interval.

    Each customer counts by the inverse of the probability with which they came to their arm, so that the share of the
    challenger may change from step to step.

    Args:
        values: What is compared, one a customer, shape `(n_customers,)`.
        is_challenger: Whether the challenger answered, shape `(n_customers,)`.
        share: The probability of that when the customer was assigned, between 0 and 1, shape `(n_customers,)` or one
            number.
        weight: How many customers each stands for, 0 upwards, of the same shape or one number.
        alpha: Probability of an interval that misses at any look.
        planned: See `mixture_bound`.

    Raises:
        NotEnoughData: fewer than two customers in an arm.
    """
    value, arm = np.asarray(values, dtype=np.float64), np.asarray(is_challenger, dtype=bool)
    shares = np.broadcast_to(np.asarray(share, dtype=np.float64), value.shape)
    fewest = min(np.count_nonzero(arm), np.count_nonzero(~arm))
    if fewest < 2:
        raise NotEnoughData(f"{fewest} customers in an arm say nothing about chance: look at 2 or more in each.")
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), value.shape)
    new, old = np.where(arm, weights / shares, 0.0), np.where(arm, 0.0, weights / (1 - shares))
    mean_new, mean_old = np.average(value, weights=new), np.average(value, weights=old)
    influence = new * (value - mean_new) / np.mean(new) - old * (value - mean_old) / np.mean(old)
    return _interval(float(mean_new - mean_old), influence, alpha, planned)


def _interval(point: float, influence: FloatArray, alpha: float, planned: int) -> Estimate:
    """Return the interval of an estimate whose error is about the mean of `influence`, shape `(n_customers,)`."""
    customers = len(influence)
    deviation = float(np.std(influence))
    half = deviation * mixture_bound(customers, alpha=alpha, planned=planned) / customers
    return Estimate(point=point, lower=point - half, upper=point + half, se=deviation / np.sqrt(customers))
