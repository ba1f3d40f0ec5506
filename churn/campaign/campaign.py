"""The summary of a planned campaign: size, expected profit, and the alternatives."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from ..core.estimate import Estimate
from ..core.frozen import Finite
from ..model.money import MoneySettings
from .audience import Audience
from .settings import CampaignSettings, Limits

__all__ = ["Campaign", "Choice", "Contact", "ControlComparison", "MarginalValue", "MoneyParts", "SegmentUse"]


ChoiceId = Literal["plan", "positive_value", "by_probability", "riskiest_tenth", "half_or_more", "everybody", "nobody"]


class Choice(Finite):
    """A way to choose whom to treat: how many it takes, and what that is expected to earn and to cost.

    Attributes:
        id: Which way it is, for programs.
        name: The same in words.
    """

    id: ChoiceId
    name: str
    contacts: int
    profit: Estimate
    cost: Estimate


class MarginalValue(Finite):
    """What a wider limit would add, in the currency; zeros where that limit does not bind."""

    limit: str
    extra: float
    contacts: int
    profit: float
    cost: float


class SegmentUse(Finite):
    """What a segment with limits of its own took."""

    column: str
    value: str
    limits: Limits
    customers: int
    contacts: int
    cost: float


class ControlComparison(Finite):
    """The control group, and what the comparison of both groups can show.

    Attributes:
        customers: Customers who would have been contacted and are not, so that the contacted can be held against them.
        never_contacted: All customers of the batch whom the control share keeps from every campaign.
        profit: What contacting the control group too was expected to earn: the price of knowing.
        expected_drop: By how much the model expects the churn of the contacted to fall, 0 to 1.
        detectable_drop: The smallest fall that the two groups show four times in five (two-sided test at 5 %), 0 to 1;
            None without both groups.
    """

    customers: int
    never_contacted: int
    profit: float
    expected_drop: float
    detectable_drop: float | None


class MoneyParts(Finite):
    """What the expected profit is made of, in the currency; the parts add up to it.

    Attributes:
        saved: Customer value of the churners who are expected to accept and stay.
        contacts: What the contacts cost, below 0.
        churners: Incentives to those churners, below 0.
        stayers: Incentives to customers who would have stayed anyway, below 0.
    """

    saved: float
    contacts: float
    churners: float
    stayers: float


class Contact(Finite):
    """One customer of the list; `change` is what customers of lower risk have instead of an actionable reason."""

    customer: str
    probability: float
    expected_value: float
    customer_value: float
    reasons: tuple[str, ...]
    change: str | None = None


class Campaign(Finite):
    """Whom a batch of predictions says to contact, in sums; the list itself is a table.

    Attributes:
        as_of: As of when the batch was scored, in the time of the data (UTC).
        planned_at: When the campaign was planned, by the clock (UTC).
        customers: Scored customers.
        positive: Those whose expected value is above zero.
        in_cooldown: Those of them who were on another list within the rest days.
        plan: The campaign itself.
        bound: No choice within capacity and budget is expected to earn more, after the segments' limits.
        choices: The campaign beside other ways to choose among the same customers: without control group and those in
            cool-down, and without limits.
        curve: Contacts, most valuable first, and what that many are expected to earn and to cost.
        repriced: Customers decided otherwise than in the predictions, for the economics have changed since.
        first: The most valuable contacts.
        parts: What the expected profit is made of.
        window_days: Within so many days after its date a prediction comes true or not.
        audience: Who is on the list; None where too little is known of the customers.
        dataset: How a command names the data set: a shipped contract or the path of one; None where that is not known.
    """

    batch_id: str
    model: str
    version: str
    as_of: dt.datetime
    planned_at: dt.datetime
    settings: CampaignSettings
    money: MoneySettings
    confidence: float
    customers: int
    positive: int
    in_cooldown: int
    repriced: int
    plan: Choice
    bound: float
    control: ControlComparison
    choices: tuple[Choice, ...]
    marginal: tuple[MarginalValue, ...]
    segments: tuple[SegmentUse, ...]
    curve: tuple[tuple[int, float, float], ...]
    first: tuple[Contact, ...]
    parts: MoneyParts
    window_days: int
    audience: Audience | None
    notes: tuple[str, ...]
    dataset: str | None = None
