"""Profit of a ranking: the expected maximum profit (EMPC) and the profit curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ..model.frame import FloatArray, IntArray
from ..model.money import MoneySettings, expected_value
from .ranking import Counts, Ranking

__all__ = ["MaximumProfit", "ProfitCurve", "ProfitRanking", "maximum_profit"]


class MaximumProfit(NamedTuple):
    """The best that a ranking can earn, averaged over how readily churners accept the offer."""

    profit: float
    """EMPC: per customer, in the currency, 0 upwards."""
    share: float
    """The share of customers, 0 to 1, that is contacted to earn it."""


def maximum_profit(counts: Counts, money: MoneySettings) -> MaximumProfit:
    """Return the EMPC of a ranking, `integral over g of max_t P(t; g) h(g)`, exactly.

    Only the vertices of the ROC convex hull can be the best cut for some acceptance rate g. Between two of them lies a
    block of t churners and s others, which is worth contacting once `g·(CLV - d)·t` covers `f·t + (d + f)·s`. Each
    block therefore adds its profit integrated over the rates above that limit, which for g ~ Beta(alpha, beta) is a
    difference of regularised incomplete beta functions. Verbraken, Verbeke and Baesens (2013), "A novel profit
    maximizing metric for measuring classification performance of customer churn prediction models", IEEE TKDE
    25(5):961-973, doi 10.1109/TKDE.2012.50.

    Args:
        counts: Of a ranking by any score that rises with the churn risk; only its order counts.
        money: CLV (`customer_value.amount`), incentive d, contact f and the distribution of the acceptance rate.
    """
    from scipy.special import betainc

    alpha, beta = money.acceptance.alpha, money.acceptance.beta
    gain = money.customer_value.amount - money.incentive_cost
    if gain <= 0:
        return MaximumProfit(0.0, 0.0)
    churners, others = _hull_blocks(counts)
    cost = money.contact_cost * churners + (money.incentive_cost + money.contact_cost) * others
    limit = np.divide(cost, gain * churners, out=np.full(cost.shape, np.inf), where=churners > 0)
    limit = np.clip(limit, 0.0, 1.0)
    contacted = 1 - betainc(alpha, beta, limit)
    accepted = money.acceptance.mean * (1 - betainc(alpha + 1, beta, limit))
    profit = np.sum(gain * churners * accepted - cost * contacted)
    return MaximumProfit(float(profit), float(np.sum((churners + others) * contacted)))


def _hull_blocks(counts: Counts) -> tuple[FloatArray, FloatArray]:
    """Return the shares of all customers, churners and others, between neighbouring vertices of the ROC hull.

    Pooling adjacent violators of a falling churn rate gives the hull's edges (Fawcett and Niculescu-Mizil 2007).
    """
    from scipy.optimize import isotonic_regression

    churners, others = np.diff(counts.positive, prepend=0.0), np.diff(counts.negative, prepend=0.0)
    present = churners + others > 0
    churners, others = churners[present], others[present]
    weight = churners + others
    starts = isotonic_regression(churners / weight, weights=weight, increasing=False).blocks[:-1]
    total = np.sum(weight)
    return np.add.reduceat(churners, starts) / total, np.add.reduceat(others, starts) / total


class ProfitCurve(NamedTuple):
    """Profit per customer of the whole base, in the currency, against the share contacted; shape `(n,)` each."""

    share: FloatArray
    realised: FloatArray
    expected: FloatArray

    def at(self, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the realised and the expected profit per customer where `shares` (0 to 1) are contacted."""
        return np.interp(shares, self.share, self.realised), np.interp(shares, self.share, self.expected)


@dataclass(frozen=True)
class ProfitRanking:
    """Customers in the order of falling expected value, which is the best order for any number of contacts."""

    order: IntArray
    last: IntArray
    realised: FloatArray
    expected: FloatArray

    @classmethod
    def of(cls, label: FloatArray, probability: FloatArray, value: FloatArray, money: MoneySettings) -> Self:
        """Rank customers by `expected_value`; all arrays have shape `(n_rows,)`.

        `realised` is what treating each earns at the expected acceptance, now that the outcome is known.
        """
        expected = expected_value(probability, value, money)
        ranking = Ranking.of(label, expected)
        order = ranking.order
        return cls(order, ranking.last, expected_value(label, value, money)[order], expected[order])

    def curve(self, weights: FloatArray | None = None) -> ProfitCurve:
        """Return profit against the share contacted, from nobody to everybody; `weights` has shape `(n_rows,)`."""
        weight = np.ones(len(self.order)) if weights is None else weights[self.order]
        steps = [
            np.append(0.0, np.cumsum(amount)[self.last])
            for amount in (weight, weight * self.realised, weight * self.expected)
        ]
        share, realised, expected = (step / steps[0][-1] for step in steps)
        return ProfitCurve(share, realised, expected)
