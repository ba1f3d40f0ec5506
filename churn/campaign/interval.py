"""Expected profit and cost of a campaign, with the interval of their random variation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.estimate import Estimate
from ..model.frame import FloatArray
from ..model.money import MoneySettings
from .candidates import BoolArray, Candidates

__all__ = ["ProfitInterval", "detectable_drop", "profit_interval"]

_RATES = 2_000
_SLICE = 65_536
_POWER = 1.959964 + 0.841621
"""Normal quantiles of a two-sided test at 5 % and of a power of 80 %."""


class ProfitInterval(NamedTuple):
    """What a set of customers is expected to earn and to cost when all of them are treated, in the currency."""

    profit: Estimate
    cost: Estimate


def profit_interval(
    candidates: Candidates, chosen: BoolArray, money: MoneySettings, confidence: float
) -> ProfitInterval:
    """Return expected profit and cost of treating the chosen, with the intervals in which they will fall.

    The intervals hold if the probabilities are true. They cover what chance does: who churns, who of them accepts, and
    the acceptance rate itself, one gamma ~ Beta(alpha, beta) for the whole campaign. Given gamma, customers are
    independent of each other and their sum is taken as normal with its exact mean and variance; the quantiles are those
    of the mixture over gamma. They do not cover a model that errs or economics that differ from the settings.

    Args:
        candidates: Customers with calibrated churn probabilities.
        chosen: Who of them is treated, shape `(n,)`.
        money: Incentive d, contact f and the distribution of the acceptance rate.
        confidence: Share of the intervals, between 0 and 1.
    """
    number = int(np.count_nonzero(chosen))
    if not number:
        zero = Estimate(point=0.0, lower=0.0, upper=0.0, se=0.0)
        return ProfitInterval(zero, zero)
    d, reach = money.incentive_cost, money.contact_cost * number
    rates, mean = _rates(money), money.acceptance.mean
    sums = np.zeros(9)
    for start in range(0, len(chosen), _SLICE):  # so that no array of all customers is made on the way
        mask = chosen[start : start + _SLICE]
        p = candidates.probability[start : start + _SLICE][mask]
        gain, stay = candidates.customer_value[start : start + _SLICE][mask] - d, 1 - p
        # One customer earns gain·gamma if they churn and accept, -d if they stay; a square is gain² or d².
        sums += [
            np.sum(p * gain),
            np.sum(stay),
            np.sum(p * gain**2),
            np.sum((p * gain) ** 2),
            np.sum(p * gain * stay),
            np.sum(stay**2),
            np.sum(p),
            np.sum(p**2),
            np.sum(stay * p),
        ]
    gained, stays, squares, gained2, mixed, stays2, churns, churns2, both = map(float, sums)
    profit = _mixture(
        gained * mean - d * stays - reach,
        gained * rates - d * stays - reach,
        squares * rates + d**2 * stays - (gained2 * rates**2 - 2 * d * mixed * rates + d**2 * stays2),
        confidence,
    )
    cost = _mixture(
        d * (stays + churns * mean) + reach,
        d * (stays + churns * rates) + reach,
        d**2 * (stays + churns * rates - (stays2 + 2 * both * rates + churns2 * rates**2)),
        confidence,
    )
    return ProfitInterval(profit, cost)


def detectable_drop(churn: float, contacted: int, control: int) -> float:
    """Return the smallest fall of the churn that two groups show four times in five, by a two-sided test at 5 %.

    Args:
        churn: Share of both groups that churns, 0 to 1.
        contacted: Customers who were contacted, at least one.
        control: Customers of the control group, at least one.
    """
    return float(_POWER * np.sqrt(churn * (1 - churn) * (1 / contacted + 1 / control)))


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
