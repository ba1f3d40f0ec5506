"""Planning a campaign: from a batch of predictions to the list of contacts, its control group and what it is worth."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..core.shares import hash_shares
from ..model.money import MoneySettings
from ..scoring.batch import BATCH_ID
from .campaign import Campaign, Further
from .candidates import CONTACTED_AT, BoolArray, Candidates, resting
from .segments import SegmentLimits
from .selection import Selection, select
from .settings import CampaignSettings, Limits
from .sums import Groups, counted, ranked, reasons_of

__all__ = ["CONTROL", "TREATMENT", "Plan", "plan_campaign"]

TREATMENT, CONTROL = "treatment", "control"
_MORE_MONEY, _MORE_CONTACTS = 1_000.0, 100


class Plan(NamedTuple):
    """The campaign, and its list.

    Attributes:
        campaign: In sums.
        contacts: A row for each customer of both groups, the contacted by rank, then the control group by value:
            batch_id, the customer, group, rank (null in the control group), probability, expected_value,
            expected_cost, customer_value, the reasons, contacted_at.
    """

    campaign: Campaign
    contacts: pa.Table


def plan_campaign(
    predictions: pa.Table,
    money: MoneySettings,
    settings: CampaignSettings,
    *,
    entity: str,
    as_of: dt.datetime,
    segments: pa.Table | None = None,
    contacted: pa.Table | None = None,
    confidence: float = 0.95,
) -> Plan:
    """Choose whom to contact: the greatest expected value within the limits, only where it is above zero.

    The control group is drawn first, by a hash of the customer, and is the same in every campaign with the same salt.
    Of its members those count whose value would have got them on the list. The limits of each segment are applied next,
    column by column in the order of the settings, then capacity and budget over all who are left. See `select` for how
    good the choice is. A customer whose segment has no limits of its own, or is not known, is under the overall ones.

    Args:
        predictions: One batch of `churn_predictions`, a row for each customer.
        money: The economics. Expected values are computed from probability and customer value under these.
        settings: Limits, control group and rest.
        entity: The column of the customer.
        as_of: When the batch was scored as of (UTC): from when on the contacted rest, and back to when rest counts.
        segments: The customers' values in the columns that `settings.segments` limits, a row for each customer.
        contacted: `churn_contacts` so far; rows of this batch are left out, so that planning again changes nothing.
        confidence: Share of the intervals.

    Raises:
        ContractError: a column is not there, or a segment limits a column that is not.
        DataError: the predictions are not one row a customer of one batch with finite numbers.
    """
    candidates = Candidates.of(predictions, entity, money)
    rests = resting(candidates, contacted, dt.timedelta(days=settings.rest_days), as_of)
    held_back = hash_shares(candidates.customers, settings.control_share, settings.salt)
    within = SegmentLimits.apply(candidates, settings, segments, ~rests & ~held_back)
    chosen = _widened(candidates, within.left, settings)
    alike = within.reached & chosen.bar.reached(candidates.worth, candidates.cost)
    groups = Groups(rests, held_back, chosen.chosen, held_back & ~rests & alike)
    campaign = Campaign(
        batch_id=candidates.fact(BATCH_ID),
        model=candidates.fact("model_name"),
        version=candidates.fact("model_version"),
        as_of=as_of,
        settings=settings,
        money=money,
        confidence=confidence,
        bound=chosen.bound,
        further=_further(candidates, within.left, settings, groups.treated),
        segments=within.used(candidates, groups.treated),
        notes=within.notes,
        **counted(candidates, groups, money, confidence),
    )
    return Plan(campaign, _contacts(candidates, groups, as_of))


def _widened(
    candidates: Candidates, left: BoolArray, limits: Limits, *, money: float = 0.0, contacts: int = 0
) -> Selection:
    """Return the choice among `left` by capacity and budget, each wider by what is given; shape `(n,)`."""
    wider = Limits(
        capacity=None if limits.capacity is None else limits.capacity + contacts,
        budget=None if limits.budget is None else limits.budget + money,
    )
    rows = np.flatnonzero(left)
    found = select(candidates.worth[rows], candidates.cost[rows], wider)
    chosen = np.zeros(len(left), dtype=bool)
    chosen[rows[found.chosen]] = True
    return Selection(chosen, found.bar, found.bound)


def _further(candidates: Candidates, left: BoolArray, limits: Limits, treated: BoolArray) -> tuple[Further, ...]:
    ways = []
    if limits.budget is not None:
        ways.append(("budget", _MORE_MONEY, _widened(candidates, left, limits, money=_MORE_MONEY)))
    if limits.capacity is not None:
        ways.append(("capacity", _MORE_CONTACTS, _widened(candidates, left, limits, contacts=_MORE_CONTACTS)))
    return tuple(
        Further(
            limit=limit,
            extra=extra,
            contacts=int(np.count_nonzero(found.chosen)) - int(np.count_nonzero(treated)),
            profit=float(candidates.worth[found.chosen].sum() - candidates.worth[treated].sum()),
            cost=float(candidates.cost[found.chosen].sum() - candidates.cost[treated].sum()),
        )
        for limit, extra, found in ways
    )


def _contacts(candidates: Candidates, groups: Groups, as_of: dt.datetime) -> pa.Table:
    contacted, control = (ranked(candidates.worth, who) for who in (groups.treated, groups.control))
    rows, number = np.concatenate([contacted, control]), len(contacted)
    rank = np.arange(1, len(rows) + 1)
    of_batch = candidates.rows.take(rows)
    return pa.table(
        {
            BATCH_ID: of_batch[BATCH_ID],
            candidates.entity: of_batch[candidates.entity],
            "group": pa.array([TREATMENT] * number + [CONTROL] * len(control), pa.string()),
            "rank": pa.array(rank, pa.int64(), mask=rank > number),
            "probability": pa.array(candidates.probability[rows]),
            "expected_value": pa.array(candidates.worth[rows]),
            "expected_cost": pa.array(candidates.cost[rows]),
            "customer_value": pa.array(candidates.value[rows]),
            **{name: of_batch[name] for name in reasons_of(of_batch)},
            CONTACTED_AT: pa.array([as_of] * len(rows), pa.timestamp("us", tz="UTC")),
        }
    )
