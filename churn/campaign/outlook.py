"""What treating customers is expected to earn and to cost, and how far that may come out otherwise by chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.estimate import Estimate
from ..model.frame import FloatArray
from ..model.money import MoneySettings

__all__ = ["Outlook", "expected_cost", "outlook"]

_RATES = 2_000


def expected_cost(probability: FloatArray, money: MoneySettings) -> FloatArray:
    """Return what contacting each customer is expected to cost, in the currency, shape `(n_rows,)`: what budgets count.

    The contact f, and the incentive d of those who take it: churners who accept (p·gamma) and customers who would have
    stayed anyway (1 - p). It is f + d at most.
    """
    refused = probability * (1 - money.acceptance.mean)
    return np.asarray(money.contact_cost + money.incentive_cost * (1 - refused))


class Outlook(NamedTuple):
    """What a set of customers is expected to earn and to cost when all of them are treated, in the currency."""

    profit: Estimate
    cost: Estimate


def outlook(probability: FloatArray, value: FloatArray, money: MoneySettings, confidence: float) -> Outlook:
    """Return expected profit and cost of treating everybody given, with the intervals in which they will fall.

    The intervals hold if the probabilities are true. They cover what chance does: who churns, who of them accepts, and
    the acceptance rate itself, one gamma ~ Beta(alpha, beta) for the whole campaign. Given gamma, customers are
    independent of each other and their sum is taken as normal with its exact mean and variance; the quantiles are those
    of the mixture over gamma. They do not cover a model that errs or economics that differ from the settings.

    Args:
        probability: Calibrated churn probabilities, 0 to 1, shape `(n_rows,)`.
        value: What keeping each customer is worth, in the currency, shape `(n_rows,)`.
        money: Incentive d, contact f and the distribution of the acceptance rate.
        confidence: Share of the intervals, between 0 and 1.
    """
    if not len(probability):
        nothing = Estimate(point=0.0, lower=0.0, upper=0.0, se=0.0)
        return Outlook(nothing, nothing)
    d, reach = money.incentive_cost, money.contact_cost * len(probability)
    gain, stay = value - d, 1 - probability
    rates, mean = _rates(money), money.acceptance.mean
    # One customer earns gain·gamma if they churn and accept, -d if they stay; a square is gain² or d².
    earned = np.array([np.sum(probability * gain), -d * np.sum(stay)])
    squares = np.array([np.sum(probability * gain**2), d**2 * np.sum(stay)])
    means = np.array(
        [np.sum((probability * gain) ** 2), np.sum(probability * gain * -d * stay), np.sum((d * stay) ** 2)]
    )
    profit = _mixture(
        earned[0] * mean + earned[1] - reach,
        earned[0] * rates + earned[1] - reach,
        squares[0] * rates + squares[1] - (means[0] * rates**2 + 2 * means[1] * rates + means[2]),
        confidence,
    )
    taken = [np.sum(stay), np.sum(probability)]
    both = [np.sum(stay**2), np.sum(stay * probability), np.sum(probability**2)]
    cost = _mixture(
        d * (taken[0] + taken[1] * mean) + reach,
        d * (taken[0] + taken[1] * rates) + reach,
        d**2 * (taken[0] + taken[1] * rates - (both[0] + 2 * both[1] * rates + both[2] * rates**2)),
        confidence,
    )
    return Outlook(profit, cost)


def _rates(money: MoneySettings) -> FloatArray:
    """Return acceptance rates in the middle of equally likely intervals."""
    from scipy.special import betaincinv

    middles = (np.arange(_RATES) + 0.5) / _RATES
    return np.asarray(betaincinv(money.acceptance.alpha, money.acceptance.beta, middles))


def _mixture(point: float, means: FloatArray, variances: FloatArray, confidence: float) -> Estimate:
    """Return a mean with the quantiles of a mixture of equally likely normal distributions."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    spreads = np.sqrt(np.maximum(variances, 0.0))
    total = float(np.sqrt(np.mean(spreads**2) + np.var(means)))
    if total <= 1e-12 * max(1.0, abs(point)):
        return Estimate(point=float(point), lower=float(point), upper=float(point), se=0.0)
    spreads = np.maximum(spreads, 1e-9 * total)  # a normal needs a width

    def quantile(share: float) -> float:
        low, high = float(np.min(means - 9 * spreads)), float(np.max(means + 9 * spreads))
        return float(brentq(lambda x: float(np.mean(ndtr((x - means) / spreads))) - share, low, high))

    lower, upper = quantile((1 - confidence) / 2), quantile((1 + confidence) / 2)
    return Estimate(point=float(point), lower=min(lower, float(point)), upper=max(upper, float(point)), se=total)
