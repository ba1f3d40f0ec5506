"""A simulated business whose campaigns change who stays, and what its source delivers month by month."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..model.frame import FloatArray
from .delivery import LABEL_KNOWN_AT, SimulatedTable
from .engine import Business, Month, stream
from .events import BrokenFeed, Event
from .script import Script
from .simulate import SimulationSettings, check_events, world_called
from .world import Mask

__all__ = ["Company", "Passed"]

_ACCEPTING = 50
_NOON = dt.timedelta(hours=12)


@dataclass(frozen=True)
class Passed:
    """What became of the customers of a month, arrays of shape `(n_customers,)` by their places.

    Attributes:
        contacted: Whom the campaign contacted.
        truth: The probability of leaving within the outcome window without contact.
        price: What each pays in a month.
        kept: Who would have left in the month, and stays because of a contact; each is counted once a contact.
        left: Who left in the month.
    """

    contacted: Mask
    truth: FloatArray
    price: FloatArray
    kept: Mask
    left: Mask


class Company:
    """A business on the first day of a month, at noon.

    A contacted customer accepts the offer by a chance that is the same for all; one who accepts stays for the outcome
    window, whatever else would have happened. Every draw belongs to a place and a month, so that two companies that
    contact others differ in what follows from that alone.
    """

    def __init__(
        self,
        business: Business,
        months: Sequence[Month],
        first: np.datetime64,
        events: Sequence[Event],
        acceptance: float,
    ) -> None:
        """Take over a business that has lived `months`, the first in the calendar month `first`; see `founded`."""
        self._business, self._first, self._events, self._acceptance = business, first, events, acceptance
        self._business.by_place = True
        self._months = [*months, business.today()]  # who leaves in the last one is not decided yet
        self._bound_until = np.zeros(len(business.customer), dtype=np.int64)
        self._kept = np.zeros(len(business.customer), dtype=bool)
        self._delivered: dict[int, Mask] = {}
        self._mended: tuple[Event, ...] = ()

    @classmethod
    def founded(cls, name: str, settings: SimulationSettings, *, acceptance: float, months: int) -> Company:
        """Return a company that has lived `settings.months` months without campaigns, and is in the next one.

        Args:
            name: One of `SIMULATORS`.
            settings: Size, length and end of the past, seed, and the events of past and future by month, the past's
                first being 1.
            acceptance: The share of the contacted who accept, 0 to 1.
            months: How many months it will live from today on: events may happen in them.

        Raises:
            ConfigError: an unknown name, or an event that does not fit the business or the time.
        """
        world = world_called(name)
        check_events(world, settings.events, settings.months + months)
        first = np.datetime64(settings.end, "M") - (settings.months - 1)
        business = Business.founded(world, Script(world, settings.events, first), settings.customers, settings.seed)
        lived = []
        for _ in range(settings.months):
            lived.append(business.today())
            business.pass_month(lived[-1].left)
        return cls(business, lived, first, settings.events, acceptance)

    def copied(self) -> Company:
        """Return another company in the same state."""
        twin = copy.copy(self)
        twin._business, twin._months, twin._delivered = copy.copy(self._business), [*self._months], {**self._delivered}
        return twin

    @property
    def now(self) -> dt.datetime:
        """Today at noon (UTC)."""
        return self._start(self._business.month) + _NOON

    @property
    def today(self) -> Month:
        """Today's customers; `left` is who will leave in this month if nobody is kept."""
        return self._months[-1]

    @property
    def price(self) -> FloatArray:
        """What each of today's customers pays in a month, shape `(n_customers,)`."""
        return np.asarray(self.today.state[self._business.world.price])

    def keys(self) -> pa.Array:
        """Return the keys of today's customers, in the order of their places."""
        return self._table().keys(self._business.month)

    def delivery(self) -> pa.Table:
        """Return what the source delivers today: new rows, those whose outcome became known, and corrected ones."""
        table, parts = self._table(), []
        for number in range(1, self._business.month + 1):
            delivered = self._delivered.get(number)
            if delivered is not None and delivered.all():
                continue
            rows = table.month(number)
            is_known = self._known(rows, number)
            parts.append(
                _without_outcome(rows, ~is_known, self._business.world.label).filter(
                    pa.array(np.ones_like(is_known) if delivered is None else is_known & ~delivered)
                )
            )
            self._delivered[number] = is_known
        return pa.concat_tables(parts)

    @property
    def broken(self) -> bool:
        """Whether the source delivers something else than the truth, today or by what it delivered before."""
        return bool(self._faults())

    def closed(self) -> list[tuple[Mask, FloatArray]]:
        """Return who left within the outcome window, and the price, of each month whose window has closed."""
        table, world = self._table(), self._business.world
        closed = len(self._months) - world.window_months
        return [
            (left.astype(bool), np.asarray(month.state[world.price]))
            for left, month in zip(table.outcomes()[: max(closed, 0)], self._months, strict=False)
        ]

    def mend(self) -> None:
        """Let the source deliver the truth from now on, and those rows again in which it did not."""
        for event in (faults := self._faults()):
            for number in range(event.month, event.month + event.months):
                self._delivered.pop(number, None)
        self._mended = (*self._mended, *faults)

    def _faults(self) -> list[BrokenFeed]:
        return [
            event
            for event in self._events
            if isinstance(event, BrokenFeed) and event.month <= self._business.month and event not in self._mended
        ]

    def pass_month(self, contacted: Mask) -> Passed:
        """Contact these of today's customers, shape `(n_customers,)`, and let the month pass."""
        business, today, price = self._business, self.today, self.price
        accepts = contacted & (stream(business.seed, _ACCEPTING, business.month).random(len(price)) < self._acceptance)
        last = business.month + business.world.window_months - 1
        bound = np.where(accepts, last, self._bound_until)
        stays, kept_before = bound >= business.month, self._kept & ~accepts
        kept, left = today.left & stays & ~kept_before, today.left & ~stays
        self._months[-1] = replace(today, left=left)
        business.pass_month(left)
        self._months.append(business.today())
        self._bound_until, self._kept = np.where(left, 0, bound), (kept_before | kept) & ~left
        return Passed(contacted, today.truth, price, kept, left)

    def _table(self) -> SimulatedTable:
        events = [event for event in self._events if event not in self._mended]
        return SimulatedTable(self._business.world, self._months, self._first, events, self._business.seed)

    def _start(self, number: int) -> dt.datetime:
        day: dt.date = (self._first + (number - 1)).astype("datetime64[D]").item()
        return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)

    def _known(self, rows: pa.Table, number: int) -> Mask:
        """Return whose outcome is known by now, of the rows of a month."""
        world = self._business.world
        if LABEL_KNOWN_AT in rows.column_names:
            return np.asarray(pc.fill_null(pc.less_equal(rows[LABEL_KNOWN_AT], self.now), False))
        usual = self._start(number) + dt.timedelta(days=world.window_days + world.delay_days)
        return np.full(rows.num_rows, usual <= self.now)


def _without_outcome(rows: pa.Table, hidden: Mask, label: str) -> pa.Table:
    for name in {label, LABEL_KNOWN_AT} & {*rows.column_names}:
        place, field = rows.column_names.index(name), rows.schema.field(name)
        rows = rows.set_column(place, field, pc.if_else(pa.array(hidden), pa.scalar(None, field.type), rows[name]))
    return rows
