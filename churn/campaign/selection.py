"""Selects the customers with the most expected value within a capacity and a budget.

With a capacity alone the best choice is the most valuable customers. A budget makes it a knapsack (with both, one with
two constraints), which is solved by Lagrangian relaxation (Everett 1963, Operations Research 11(3):399-417): money gets
a price, and the customers are chosen whose value less the price of their cost is greatest. The lowest price at which
the choice is within the budget is at most one customer, or one exchange of two, away from the best there is; what is
left of the budget is then filled in the order of value per cost (Dantzig 1957, Operations Research 5(2):266-288).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from ..core.errors import ContractError, DataError, nearest
from ..model.frame import FloatArray
from ..scoring.rows import coded_columns
from .campaign import SegmentUse
from .candidates import BoolArray, Candidates, IntArray
from .settings import CampaignSettings, Limits

__all__ = ["Cutoff", "SegmentLimits", "Selection", "highest", "select"]

_HALVINGS = 100
_SLACK = 1e-9
"""What sums of floats may be beside the truth, as a share of the budget."""


@dataclass(frozen=True)
class Cutoff:
    """What a customer had to reach to be chosen: value less the price of their cost.

    Attributes:
        price: What one unit of the budget is worth at the margin; 0 where the budget does not bind.
        lowest: The lowest that was still chosen; 0 where there was room for all whose expected value is above 0.
    """

    price: float
    lowest: float

    def reached(self, value: FloatArray, cost: FloatArray) -> BoolArray:
        """Return who reaches the cut-off, shape `(n,)`; nobody without value does."""
        reached: BoolArray = (value > 0) & (value - self.price * cost >= self.lowest)
        return reached


@dataclass(frozen=True)
class Selection:
    """The chosen of `(n,)` customers.

    Attributes:
        chosen: Whether each is, shape `(n,)`.
        cutoff: What it took.
        bound: No choice within the limits has more value in sum.
    """

    chosen: BoolArray
    cutoff: Cutoff
    bound: float


def select(value: FloatArray, cost: FloatArray, limits: Limits) -> Selection:
    """Choose customers of positive value so that their values sum to as much as the limits allow.

    A greater budget never makes the sum smaller, nor does a greater capacity where there is no budget. Where the budget
    binds, the sum is below `bound` by at most the price times the cost of one customer; elsewhere it is the greatest
    there is. Of equals, those that stand first are chosen.

    Args:
        value: Expected value of each customer, shape `(n,)`, finite.
        cost: What each is expected to cost, 0 upwards, shape `(n,)`.
        limits: Capacity and budget.
    """
    capacity = len(value) if limits.capacity is None else min(limits.capacity, len(value))
    chosen = _best(value, capacity)
    budget = limits.budget
    if budget is None or cost[chosen].sum() <= budget * (1 + _SLACK):
        return Selection(chosen, Cutoff(0.0, _lowest(value, chosen, limits.capacity)), float(value[chosen].sum()))
    price, within, beyond = _priced(value, cost, capacity, budget)
    score = value - price * cost
    cutoff = Cutoff(price, _lowest(score, within, limits.capacity))
    bound = float(np.maximum(score, 0.0)[_best(score, capacity)].sum() + price * budget)
    chosen = _fill(_exchange(within, beyond, cost, budget), value, cost, capacity, budget)
    return Selection(chosen, cutoff, max(bound, float(value[chosen].sum())))


def _best(score: FloatArray, capacity: int) -> BoolArray:
    """Return the `capacity` highest positive scores; of equals, those that stand first."""
    positive: BoolArray = score > 0
    return positive if np.count_nonzero(positive) <= capacity else highest(score, capacity)


def highest(score: FloatArray, number: int) -> BoolArray:
    """Return the `number` highest scores, shape `(n,)`; of equals, those that stand first."""
    if number == 0 or number >= len(score):
        return np.full(len(score), number > 0)
    last = np.partition(score, -number)[-number]
    best: BoolArray = score > last
    best[np.flatnonzero(score == last)[: number - np.count_nonzero(best)]] = True
    return best


def _lowest(score: FloatArray, chosen: BoolArray, capacity: int | None) -> float:
    """Return the lowest score that was chosen where the capacity is used up, infinity where nobody can be chosen."""
    if capacity == 0:
        return np.inf
    return float(score[chosen].min()) if np.count_nonzero(chosen) == capacity else 0.0


def _priced(value: FloatArray, cost: FloatArray, capacity: int, budget: float) -> tuple[float, BoolArray, BoolArray]:
    """Return the lowest price at which the choice is within the budget, that choice, and the one just below it."""
    costly = cost > 0
    low, high = 0.0, float(np.max(value[costly] / cost[costly])) * (1 + _SLACK)
    within, beyond = _best(value - high * cost, capacity), _best(value, capacity)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        chosen = _best(value - middle * cost, capacity)
        if cost[chosen].sum() <= budget:
            high, within = middle, chosen
        else:
            low, beyond = middle, chosen
    return high, within, beyond


def _exchange(within: BoolArray, beyond: BoolArray, cost: FloatArray, budget: float) -> BoolArray:
    """Go from one choice as far towards the other, one customer at a time, as the budget allows.

    Both have the same value at the price, and so has every step between: the costliest is the most valuable.
    """
    enter, leave = (
        rows[np.argsort(cost[rows], kind="stable")]
        for rows in (np.flatnonzero(beyond & ~within), np.flatnonzero(within & ~beyond))
    )
    steps = cost[enter].copy()
    steps[: len(leave)] -= cost[leave[: len(enter)]]
    spent = cost[within].sum() + np.append(0.0, np.cumsum(steps))
    furthest = int(np.argmax(np.where(spent <= budget, spent, -np.inf)))
    chosen = within.copy()
    chosen[enter[:furthest]] = True
    chosen[leave[:furthest]] = False
    return chosen


def _fill(chosen: BoolArray, value: FloatArray, cost: FloatArray, capacity: int, budget: float) -> BoolArray:
    """Add customers in the order of value per cost while there is room and money; one too dear is passed over."""
    chosen, room, money = chosen.copy(), capacity - np.count_nonzero(chosen), budget - cost[chosen].sum()
    waiting = np.flatnonzero((value > 0) & ~chosen)
    with np.errstate(divide="ignore"):
        waiting = waiting[np.argsort(-value[waiting] / cost[waiting], kind="stable")]
    while room > 0 and len(waiting := waiting[cost[waiting] <= money]):
        taken = waiting[: min(room, int(np.searchsorted(np.cumsum(cost[waiting]), money, side="right")) or 1)]
        chosen[taken] = True
        room, money = room - len(taken), money - cost[taken].sum()
        waiting = waiting[len(taken) :]
    return chosen


class SegmentLimits(NamedTuple):
    """Who is left after the limits of the segments.

    Attributes:
        left: Those worth contacting whom the limits of their segments leave a place, shape `(n,)`.
        reached: Who, control group and all, reaches the cut-off of their segments, shape `(n,)`.
        members: Column, value, limits and members of each segment.
        notes: Segments that nobody is in.
    """

    left: BoolArray
    reached: BoolArray
    members: tuple[tuple[str, str, Limits, BoolArray], ...]
    notes: tuple[str, ...]

    @classmethod
    def apply(
        cls,
        candidates: Candidates,
        settings: CampaignSettings,
        segments: pa.RecordBatchReader | None,
        entity: str,
        free: BoolArray,
    ) -> SegmentLimits:
        """Apply the limits column by column, in the order of the settings, to the customers who are `free`.

        Raises:
            ContractError: nothing is known of a column.
            DataError: a customer is in two rows of `segments`.
        """
        left, reached = free & (candidates.expected_value > 0), np.ones(len(free), dtype=bool)
        members: list[tuple[str, str, Limits, BoolArray]] = []
        notes: list[str] = []
        segments_of = _values_of(candidates, segments, entity, [*settings.segments])
        for column, values in settings.segments.items():
            segment = segments_of[column]
            for value, limits in values.items():
                of = np.asarray(segment == value, dtype=bool)
                members.append((column, value, limits, of))
                if not of.any():
                    hint = nearest(value, segment.categories) or "."
                    notes.append(f"No customer has {column} {value!r}, which has limits{hint}")
                cutoff = _cutoff_in(candidates, left, of, limits)
                reached &= ~of | cutoff.reached(candidates.expected_value, candidates.cost)
        return cls(left, reached, tuple(members), tuple(notes))

    def used(self, candidates: Candidates, treated: BoolArray) -> tuple[SegmentUse, ...]:
        """Return what each segment took of its limits."""
        return tuple(
            SegmentUse(
                column=column,
                value=value,
                limits=limits,
                customers=int(np.count_nonzero(of)),
                contacts=int(np.count_nonzero(of & treated)),
                cost=float(candidates.cost[of & treated].sum()),
            )
            for column, value, limits, of in self.members
        )


def _cutoff_in(candidates: Candidates, left: BoolArray, of: BoolArray, limits: Limits) -> Cutoff:
    """Take those out of `left` whom the limits of a segment leave no place."""
    rows = np.flatnonzero(left & of)
    selection = select(candidates.expected_value[rows], candidates.cost[rows], limits)
    left[rows[~selection.chosen]] = False
    return selection.cutoff


def _values_of(
    candidates: Candidates, segments: pa.RecordBatchReader | None, entity: str, columns: Sequence[str]
) -> dict[str, pd.Categorical]:
    """Return each customer's values as coded text by column, missing where they are not known, shape `(n,)` each.

    Raises:
        ContractError: nothing is known of a column.
        DataError: a customer is in two rows.
    """
    names = [] if segments is None else [name for name in segments.schema.names if name != entity]
    for column in columns:
        if column not in names:
            raise ContractError(
                f"`campaign.segments` limits {column!r}, which no column of the customers is called"
                f"{nearest(column, names) or '.'} Correct the setting."
            )
    if segments is None:
        return {}
    codes = {column: np.full(len(candidates), -1, dtype=np.int32) for column in columns}
    categories: dict[str, dict[str, int]] = {column: {} for column in columns}
    seen = np.zeros(len(candidates), dtype=bool)
    for batch in segments:
        places = candidates.places(batch.column(entity))
        rows = np.flatnonzero(places >= 0)
        places = places[rows]
        twins = rows[seen[places]] if len(rows) == len(np.unique(places)) else _second(places, rows)
        if len(twins):
            twin = batch.column(entity)[int(twins[0])].as_py()
            raise DataError(f"Customer {twin!r} is in two rows of the segments: pass one row for each customer.")
        seen[places] = True
        for column, values in coded_columns(batch, dict.fromkeys(columns, "categorical")).items():
            numbers = categories[column]
            recoded = [numbers.setdefault(value, len(numbers)) for value in values.categories]  # type: ignore[union-attr]
            codes[column][places] = np.array([*recoded, -1], dtype=np.int32)[values.codes[rows]]  # type: ignore[union-attr]
    return {
        column: pd.Categorical.from_codes(codes[column], dtype=pd.CategoricalDtype([*categories[column]]))  # type: ignore[arg-type]
        for column in columns
    }


def _second(places: IntArray, rows: IntArray) -> IntArray:
    """Return the rows whose place an earlier row has."""
    _, first = np.unique(places, return_index=True)
    return np.delete(rows, first)
