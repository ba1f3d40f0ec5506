"""What a simulated year came to: what each policy earned of what could be earned, and what happened by month."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from pydantic import Field

from ..core.clock import UtcTime
from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..model.frame import FloatArray

__all__ = ["GOAL", "OPTIMUM", "Month", "PolicyYear", "YearResult", "paired_difference", "share_of"]

GOAL = 0.95
"""The share of the reachable profit that the loop is to earn."""
OPTIMUM = "optimum"


class Month(Finite):
    """One month of one policy.

    Attributes:
        start: Its first day.
        profit: Expected value of its contacts by the true probabilities, in the currency.
        contacted: Customers contacted.
        kept: Customers who would have left in it and stayed because of a contact.
        left: Customers who left.
        happened: What happened, a sentence each.
    """

    start: UtcTime
    profit: float
    contacted: int
    kept: int
    left: int
    happened: tuple[str, ...] = ()


class PolicyYear(Finite):
    """The year of one policy.

    Attributes:
        name: The policy.
        label: In words.
        profit: Of all its contacts, by the true probabilities; the interval is over customers.
        share: Of what could be earned, 0 to 1.
        against_loop: What it earned more than the loop did, paired by customer.
        trainings: Trainings after the first one.
        promotions: Versions that went live after the first one.
        months: The months.
    """

    name: str
    label: str
    profit: Estimate
    share: Estimate
    against_loop: Estimate
    trainings: int
    promotions: int
    months: tuple[Month, ...]

    @property
    def contacted(self) -> int:
        """Contacts of the year."""
        return sum(month.contacted for month in self.months)

    @property
    def kept(self) -> int:
        """Customers who stayed because of a contact."""
        return sum(month.kept for month in self.months)

    @property
    def left(self) -> int:
        """Customers who left."""
        return sum(month.left for month in self.months)


class YearResult(Finite):
    """What a simulated year came to; the policies share customers and chance, so that differences are paired.

    Attributes:
        dataset: The data set.
        scenario: What happened in the year.
        description: The same in a sentence.
        customers: Active customers in every month.
        currency: Of all amounts.
        confidence: Of all intervals.
        control_share: Share of the customers who are never contacted, by any policy.
        control_cost: What the optimum would earn more if it contacted them too.
        policies: The loop first.
        optimum: Contacts by the true probabilities and the true effect, with the same control group and rest.
        seconds: What the simulation took.
        faults: The faults that were injected.
    """

    dataset: str
    scenario: str
    description: str
    customers: int = Field(ge=1)
    currency: str
    confidence: float
    control_share: float
    control_cost: float
    policies: tuple[PolicyYear, ...]
    optimum: PolicyYear
    seconds: float
    faults: tuple[str, ...] = ()

    @property
    def goals(self) -> tuple[tuple[str, bool], ...]:
        """Each goal in words, and whether it was reached."""
        loop, by_name = self.policies[0], {policy.name: policy for policy in self.policies[1:]}
        goals = [(f"at least {GOAL:.0%} of the reachable profit", loop.share.point >= GOAL)]
        if "monthly" in by_name:
            monthly = by_name["monthly"]
            fewer = loop.trainings < monthly.trainings or not monthly.trainings
            goals.append(
                (
                    "not worse than retraining every month, with fewer trainings",
                    monthly.against_loop.lower <= 0 and fewer,
                )
            )
        if "never" in by_name:
            goals.append(("not below never retraining", by_name["never"].against_loop.lower <= 0))
        return tuple(goals)


def paired_difference(earned: FloatArray, compared: FloatArray, confidence: float) -> Estimate:
    """Return the sum of `earned` less that of `compared`, arrays of shape `(n_customers,)`, with its interval."""
    difference = earned - compared
    return _interval(float(difference.sum()), float(np.sqrt(len(difference)) * difference.std()), confidence)


def share_of(earned: FloatArray, reachable: FloatArray, confidence: float) -> Estimate:
    """Return the sum of `earned` by that of `reachable`, with its interval (delta method); 1 where the latter is 0."""
    total = float(reachable.sum())
    if total <= 0:
        return _interval(1.0, 0.0, confidence)
    share = float(earned.sum()) / total
    return _interval(share, float(np.sqrt(len(earned)) * (earned - share * reachable).std()) / total, confidence)


def _interval(point: float, se: float, confidence: float) -> Estimate:
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * se
    return Estimate(point=point, lower=point - reach, upper=point + reach, se=se)
