"""Plans a campaign: from a batch of predictions to contacts, control group and expected profit.

Customers are columns of numbers all the way. The list is put together a part at a time when it is written, and reasons
are read for the customers of a part alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ContractError, nearest
from ..core.shares import hash_shares
from ..data.contract import ColumnSpec
from ..data.untreated import CONTROL, TREATMENT
from ..model.frame import FloatArray
from ..model.money import MoneySettings
from ..scoring.batch import BATCH_ID
from .audience import Reasons, audience_of, reasons_of, sample_of
from .campaign import Campaign, Choice, ChoiceId, Contact, ControlComparison, MarginalValue, MoneyParts
from .candidates import AS_OF, CONTACTED_AT, PLANNED_AT, BoolArray, Candidates, IntArray, in_cooldown
from .interval import detectable_drop, profit_interval
from .selection import SegmentLimits, Selection, highest, select
from .settings import CampaignSettings, Limits

__all__ = ["CONTROL", "TREATMENT", "Contacts", "Plan", "ScoredBatch", "build_plan"]

_MORE_MONEY, _MORE_CONTACTS = 1_000.0, 100
_FIRST = 10
_PART = 131_072
"""Customers of the list whose rows are put together at a time."""
_POINTS = 101
_TIME = pa.timestamp("us", tz="UTC")


class ScoredBatch(NamedTuple):
    """The rows of one batch in `churn_predictions`.

    Attributes:
        batch_id: The batch.
        model: The registered model.
        version: Its version.
        as_of: As of when it was scored, in the time of the data (UTC).
        names: The columns there are.
        scan: Streams the named columns of all its rows.
    """

    batch_id: str
    model: str
    version: str
    as_of: dt.datetime
    names: Sequence[str]
    scan: Callable[[Sequence[str]], pa.RecordBatchReader]


@dataclass(frozen=True)
class Contacts:
    """The list of a campaign: a row for each customer of both groups, made when it is read, a part at a time.

    The contacted come first, by rank, then the control group by value. The columns are batch_id, the customer, group,
    rank (null in the control group), probability, expected_value, expected_cost, customer_value, the reasons in words,
    actionable_reason, what_would_change_it, contacted_at, planned_at, as_of.

    Attributes:
        candidates: All customers.
        treated: Where the contacted stand among them, in the order of the list.
        control: The same for the control group.
        predictions: The batch, of which the reasons are read.
        entity: The column of the customer.
        planned_at: When the campaign was planned (UTC).
        reasons: How to speak of the reasons.
    """

    candidates: Candidates
    treated: IntArray
    control: IntArray
    predictions: ScoredBatch
    entity: str
    planned_at: dt.datetime
    reasons: Reasons

    def __len__(self) -> int:
        return len(self.treated) + len(self.control)

    def of(self, group: str) -> Contacts:
        """Return the rows of one group."""
        nobody = np.empty(0, dtype=np.intp)
        return replace(self, control=nobody) if group == TREATMENT else replace(self, treated=nobody)

    def head(self, number: int) -> pa.Table:
        """Return the first contacted."""
        return self._rows(TREATMENT, self.treated[:number], 0)

    def read(self) -> pa.RecordBatchReader:
        """Return the rows in their order; each call reads the reasons again."""

        def batches() -> Iterator[pa.RecordBatch]:
            for group, places in ((TREATMENT, self.treated), (CONTROL, self.control)):
                for start in range(0, len(places), _PART):
                    yield from self._rows(group, places[start : start + _PART], start).to_batches()

        return pa.RecordBatchReader.from_batches(self.head(0).schema, batches())

    def _rows(self, group: str, places: IntArray, before: int) -> pa.Table:
        candidates, rows = self.candidates, len(places)
        ids = candidates.ids.take(pa.array(places))
        rank = pa.array(np.arange(before + 1, before + rows + 1), pa.int64())
        return pa.table(
            {
                BATCH_ID: pa.repeat(pa.scalar(self.predictions.batch_id, pa.string()), rows),
                self.entity: ids.cast(pa.string()),
                "group": pa.repeat(pa.scalar(group, pa.string()), rows),
                "rank": rank if group == TREATMENT else pa.nulls(rows, pa.int64()),
                "probability": pa.array(candidates.probability[places]),
                "expected_value": pa.array(candidates.expected_value[places]),
                "expected_cost": pa.array(candidates.cost[places]),
                "customer_value": pa.array(candidates.customer_value[places]),
                **_in_words(_reasons_of(ids, self.predictions, self.entity), self.reasons, rows),
                CONTACTED_AT: pa.repeat(pa.scalar(self.planned_at, _TIME), rows),
                PLANNED_AT: pa.repeat(pa.scalar(self.planned_at, _TIME), rows),
                AS_OF: pa.repeat(pa.scalar(self.predictions.as_of, _TIME), rows),
            }
        )


class Plan(NamedTuple):
    """The campaign, and its list."""

    campaign: Campaign
    contacts: Contacts


def build_plan(
    predictions: ScoredBatch,
    money: MoneySettings,
    settings: CampaignSettings,
    *,
    entity: str,
    planned_at: dt.datetime,
    window_days: int,
    columns: Mapping[str, ColumnSpec] = MappingProxyType({}),
    computed: Sequence[str] = (),
    facts: pa.RecordBatchReader | None = None,
    segments: pa.RecordBatchReader | None = None,
    contacted: pa.RecordBatchReader | None = None,
    confidence: float = 0.95,
) -> Plan:
    """Choose whom to contact: the greatest expected value within the limits, only where it is above zero.

    The control group is drawn first, by a hash of the customer, and is the same in every campaign with the same salt.
    Of its members those count whose value would have got them on the list. The limits of each segment are applied next,
    column by column in the order of the settings, then capacity and budget over all who are left. See `select` for how
    good the choice is. A customer whose segment has no limits of its own, or is not known, is under the overall ones.

    Args:
        predictions: One batch, a row for each customer.
        money: The economics. Expected values are computed from probability and customer value under these.
        settings: Limits, control group and rest.
        entity: The column of the customer.
        planned_at: When the campaign is planned, by the clock (UTC): rest days count from it.
        window_days: Within so many days after its date a prediction comes true or not.
        columns: The columns of the contract.
        computed: Descriptions of the computed features that the business can change.
        facts: The customers' values in those columns, a row for each customer, to say who they are.
        segments: The customers' values in the columns that `settings.segments` limits, a row for each customer.
        contacted: `churn_contacts` so far; rows of this batch are left out.
        confidence: Share of the intervals.

    Raises:
        ContractError: a column is not there, or a segment limits a column that is not.
        DataError: the predictions are not one row a customer with finite numbers.
    """
    settings = settings.model_copy(update={"rest_days": settings.rest(window_days)})
    candidates = Candidates.read(_numbers_of(predictions, entity), entity, money)
    rests = in_cooldown(
        candidates,
        contacted,
        entity,
        batch_id=predictions.batch_id,
        rest=dt.timedelta(days=settings.rest(window_days)),
        planned_at=planned_at,
    )
    held_back = hash_shares(candidates.keys(), settings.control_share, settings.salt)
    within = SegmentLimits.apply(candidates, settings, segments, entity, ~rests & ~held_back)
    chosen = _widened(candidates, within.left, settings)
    alike = within.reached & chosen.cutoff.reached(candidates.expected_value, candidates.cost)
    masks = Masks(rests, held_back, chosen.chosen, held_back & ~rests & alike)
    treated, control = (_ranked(candidates.expected_value, who) for who in (masks.treated, masks.control))
    sample = None if facts is None else sample_of(candidates, masks.treated, facts, entity, columns)
    reasons = reasons_of(sample, columns, computed)
    contacts = Contacts(candidates, treated, control, predictions, entity, planned_at, reasons)
    campaign = Campaign(
        batch_id=predictions.batch_id,
        model=predictions.model,
        version=predictions.version,
        as_of=predictions.as_of,
        planned_at=planned_at,
        settings=settings,
        money=money,
        confidence=confidence,
        bound=chosen.bound,
        marginal=_marginal(candidates, within.left, settings, masks.treated),
        segments=within.used(candidates, masks.treated),
        notes=(*within.notes, *_negative_values(candidates)),
        first=_first(contacts, _reasons_in(predictions.names)),
        parts=_parts(candidates, masks.treated, money),
        window_days=window_days,
        audience=None if sample is None else audience_of(sample, columns),
        **_counted(candidates, masks, money, confidence),
    )
    return Plan(campaign, contacts)


def _numbers_of(predictions: ScoredBatch, entity: str) -> pa.RecordBatchReader:
    needed = [entity, "probability", "customer_value"]
    for name in needed:
        if name not in predictions.names:
            raise ContractError(
                f"The predictions have no column {name!r}{nearest(name, predictions.names) or '.'} Plan a campaign "
                "from the table that `python run.py --pipeline inference` writes."
            )
    return predictions.scan([*needed, *(name for name in ("decision",) if name in predictions.names)])


def _negative_values(candidates: Candidates) -> Sequence[str]:
    if not candidates.negative:
        return ()
    return (
        f"{candidates.negative:,} customers have a customer value below 0, such as after a credit note; it counts as "
        "0, and they are not contacted.",
    )


def _widened(
    candidates: Candidates, left: BoolArray, limits: Limits, *, money: float = 0.0, contacts: int = 0
) -> Selection:
    """Return the choice among `left` by capacity and budget, each wider by what is given; shape `(n,)`."""
    wider = Limits(
        capacity=None if limits.capacity is None else limits.capacity + contacts,
        budget=None if limits.budget is None else limits.budget + money,
    )
    rows = np.flatnonzero(left)
    selection = select(candidates.expected_value[rows], candidates.cost[rows], wider)
    chosen = np.zeros(len(left), dtype=bool)
    chosen[rows[selection.chosen]] = True
    return Selection(chosen, selection.cutoff, selection.bound)


def _marginal(candidates: Candidates, left: BoolArray, limits: Limits, treated: BoolArray) -> tuple[MarginalValue, ...]:
    ways = []
    if limits.budget is not None:
        ways.append(("budget", _MORE_MONEY, _widened(candidates, left, limits, money=_MORE_MONEY)))
    if limits.capacity is not None:
        ways.append(("capacity", _MORE_CONTACTS, _widened(candidates, left, limits, contacts=_MORE_CONTACTS)))
    return tuple(
        MarginalValue(
            limit=limit,
            extra=extra,
            contacts=int(np.count_nonzero(selection.chosen)) - int(np.count_nonzero(treated)),
            profit=float(candidates.expected_value[selection.chosen].sum() - candidates.expected_value[treated].sum()),
            cost=float(candidates.cost[selection.chosen].sum() - candidates.cost[treated].sum()),
        )
        for limit, extra, selection in ways
    )


def _reasons_of(ids: pa.Array, predictions: ScoredBatch, entity: str) -> dict[str, pa.Array]:
    """Return the reasons of some customers, in their order; those of the others are not kept."""
    names = _reasons_in(predictions.names)
    if not names or not len(ids):
        return {name: pa.nulls(0, pa.string()) for name in names}
    reader = predictions.scan([entity, *names])
    parts = []
    for batch in reader:
        listed = pc.is_in(pc.cast(batch.column(entity), pa.large_string()), value_set=ids)
        parts.append(batch.filter(listed))
    rows = pa.Table.from_batches(parts, reader.schema)
    places = pc.index_in(ids, value_set=pc.cast(rows[entity].combine_chunks(), pa.large_string()))
    return {name: pc.cast(rows[name], pa.string()).take(places) for name in names}


def _in_words(reasons: dict[str, pa.Array], reader: Reasons, rows: int) -> dict[str, pa.Array]:
    """Return the reasons in words, then the first that the business can act on, with what would change it."""
    names, written = ("actionable_reason", "what_would_change_it"), dict[str, pa.Array]()
    first = pd.DataFrame({name: [None] * rows for name in names}, dtype=object)
    for name, texts in reasons.items():
        column = pd.Series(texts.to_pandas(), dtype=object)
        read = {text: reader.read(text) for text in column.dropna().unique()}
        written[name] = pa.array([read[text].words if text in read else None for text in column], pa.string())
        able = column.map(lambda text: text in read and read[text].actionable) & first["actionable_reason"].isna()  # noqa: B023
        worded = [read[text] for text in column[able]]
        first.loc[able, "actionable_reason"] = [reason.words for reason in worded]
        first.loc[able, "what_would_change_it"] = [reason.change for reason in worded]
    return written | {name: pa.array(first[name].tolist(), pa.string()) for name in names}


def _parts(candidates: Candidates, treated: BoolArray, money: MoneySettings) -> MoneyParts:
    risk, accepted = candidates.probability[treated], money.acceptance.mean
    return MoneyParts(
        saved=float(accepted * np.sum(risk * candidates.customer_value[treated])),
        contacts=-money.contact_cost * int(np.count_nonzero(treated)),
        churners=float(-money.incentive_cost * accepted * np.sum(risk)),
        stayers=float(-money.incentive_cost * np.sum(1 - risk)),
    )


class Masks(NamedTuple):
    """Who is in cool-down, never contacted, contacted, and never contacted but comparable; shape `(n,)` each."""

    in_cooldown: BoolArray
    held_back: BoolArray
    treated: BoolArray
    control: BoolArray

    @property
    def free(self) -> BoolArray:
        """Whom nothing but the limits keeps from being contacted."""
        return ~self.in_cooldown & ~self.held_back


def _counted(candidates: Candidates, masks: Masks, money: MoneySettings, confidence: float) -> dict[str, Any]:
    """Return what a `Campaign` says that follows from the masks, by the names of its attributes."""
    positive = candidates.expected_value > 0

    def choice(id_: ChoiceId, name: str, who: BoolArray) -> Choice:
        profit, cost = profit_interval(candidates, who, money, confidence)
        return Choice(id=id_, name=name, contacts=int(np.count_nonzero(who)), profit=profit, cost=cost)

    return {
        "customers": len(candidates),
        "positive": int(np.count_nonzero(positive)),
        "in_cooldown": int(np.count_nonzero(masks.in_cooldown & positive)),
        "repriced": candidates.repriced,
        "plan": choice("plan", "this campaign", masks.treated),
        "control": _comparison(candidates, masks, money),
        "choices": tuple(choice(id_, name, who()) for id_, name, who in _alternatives(candidates, masks)),
        "curve": _curve(candidates, masks.free),
    }


def _alternatives(candidates: Candidates, masks: Masks) -> Sequence[tuple[ChoiceId, str, Callable[[], BoolArray]]]:
    """Return other ways to choose among the same customers; each mask is made when it is needed."""
    free = masks.free
    within = int(np.count_nonzero(free))

    def riskiest(number: int) -> BoolArray:
        who = free.copy()
        who[free] = highest(candidates.probability[free], number)
        return who

    number, risk, nobody = int(np.count_nonzero(masks.treated)), candidates.probability, np.zeros(len(free), dtype=bool)
    return (
        ("positive_value", "all whose expected value is above 0", lambda: free & (candidates.expected_value > 0)),
        ("by_probability", "as many as this campaign, by probability", lambda: riskiest(number)),
        ("riskiest_tenth", "the riskiest tenth", lambda: riskiest(round(0.1 * within))),
        ("half_or_more", "probability of 50% or more", lambda: free & (risk >= 0.5)),
        ("everybody", "everybody", lambda: free),
        ("nobody", "nobody", lambda: nobody),
    )


def _comparison(candidates: Candidates, masks: Masks, money: MoneySettings) -> ControlComparison:
    treated, control = masks.treated, masks.control
    contacted, compared = int(np.count_nonzero(treated)), int(np.count_nonzero(control))
    churn = candidates.probability[treated | control]
    drop = money.acceptance.mean * candidates.probability[treated].mean() if contacted else 0.0
    both = contacted and compared
    return ControlComparison(
        customers=compared,
        never_contacted=int(np.count_nonzero(masks.held_back)),
        profit=float(candidates.expected_value[control].sum()),
        expected_drop=float(drop),
        detectable_drop=detectable_drop(float(np.mean(churn)), contacted, compared) if both else None,
    )


def _curve(candidates: Candidates, free: BoolArray) -> tuple[tuple[int, float, float], ...]:
    order = _ranked(candidates.expected_value, free)
    numbers = np.unique(np.linspace(0, len(order), _POINTS).round().astype(int))
    sums = [_sums(values, order)[numbers] for values in (candidates.expected_value, candidates.cost)]
    return tuple((int(number), float(profit), float(cost)) for number, profit, cost in zip(numbers, *sums, strict=True))


def _sums(values: FloatArray, order: IntArray) -> FloatArray:
    """Return the sums of the first 0, 1, … values in an order."""
    sums = np.zeros(len(order) + 1)
    np.take(values, order, out=sums[1:])
    return np.cumsum(sums, out=sums)


def _ranked(value: FloatArray, who: BoolArray) -> IntArray:
    """Return the places of some customers, the most valuable first, equals in the order of their ids."""
    values = value[who]
    order = np.argsort(np.negative(values, out=values), kind="stable")
    del values
    return np.flatnonzero(who)[order]


def _first(contacts: Contacts, reasons: Sequence[str]) -> tuple[Contact, ...]:
    return tuple(
        Contact(
            customer=str(row[contacts.entity]),
            probability=row["probability"],
            expected_value=row["expected_value"],
            customer_value=row["customer_value"],
            reasons=tuple(row[name] for name in reasons if row[name]),
            change=row["what_would_change_it"],
        )
        for row in contacts.head(_FIRST).to_pylist()
    )


def _reasons_in(names: Sequence[str]) -> list[str]:
    """Return the columns that hold reasons, the strongest first."""
    reasons = [name for name in names if name.startswith("reason_")]
    return sorted(reasons, key=lambda name: int(name.removeprefix("reason_")))
