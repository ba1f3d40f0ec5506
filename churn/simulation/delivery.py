"""The table a source would deliver from a simulated business, with the faults and delays that were scripted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..data.tables import ARRIVED_AT, TRUTH
from .engine import Month, stream
from .events import BrokenFeed, Event, Fault, LateArrivals, LateLabels, Nulls, RenamedCategory
from .script import shown_as, shown_values
from .world import Mask, World

__all__ = ["LABEL_KNOWN_AT", "SimulatedTable"]

LABEL_KNOWN_AT = "label_known_at"
"""When the outcome of a row became known (UTC), where labels are scripted to come late."""

_UTC = pa.timestamp("us", tz="UTC")
_DAY = np.timedelta64(1, "D")
_FEED = 100
# Prime to 10 and to 26, so that no two customers get the same key.
_KEY_STEP = 9_876_543_211


@dataclass(frozen=True)
class _Column:
    values: npt.NDArray[Any]
    missing: Mask
    categories: tuple[str, ...] | None = None
    whole: bool = False

    def to_arrow(self) -> pa.Array:
        if self.categories is not None:
            codes = pa.array(self.values, mask=self.missing)
            return pa.DictionaryArray.from_arrays(codes, pa.array(self.categories, pa.string())).dictionary_decode()
        values = np.where(self.missing, 0, self.values)
        return pa.array(
            np.rint(values).astype(np.int64) if self.whole else values.astype(np.float64), mask=self.missing
        )


@dataclass(frozen=True)
class SimulatedTable:
    """The table of a simulated business: one row per customer and month, sorted by key and time, made as it is read.

    Attributes:
        world: The business.
        months: Its months in order; the table stands as of the first day of the last one.
        first: The calendar month of `months[0]`.
        events: What was scripted; only the faults and delays of the feed matter here.
        seed: The run's seed.
    """

    world: World
    months: Sequence[Month]
    first: np.datetime64
    events: Sequence[Event]
    seed: int

    def read(self, part_rows: int) -> Iterator[pa.Table]:
        """Yield the rows, so many at a time; how many changes no value."""
        world, customers = self.world, len(self.months[0].customer)
        codes = _key_codes(world.key_pattern, np.concatenate([month.customer for month in self.months]), self.seed)
        codes *= len(self.months)
        codes += np.repeat(np.arange(len(self.months)), customers)
        order = np.argsort(codes)
        del codes
        outcomes = self.outcomes()
        feed = [stream(self.seed, _FEED + i, event.month) for i, event in enumerate(self.events)]
        for start in range(0, len(order), part_rows):
            rows = _Rows(*np.divmod(order[start : start + part_rows], customers))
            yield self._part(rows, outcomes, feed)

    def month(self, number: int) -> pa.Table:
        """Return the rows of one month by themselves, as they are delivered every time, in the order of their places.

        Faults and delays are drawn for the month alone: it stays the same while the business lives on, but for the
        outcomes that become known.

        Args:
            number: The month, from 1.
        """
        customers = len(self.months[0].customer)
        rows = _Rows(np.full(customers, number - 1), np.arange(customers))
        feed = [stream(self.seed, _FEED + 1_000 * number + i, event.month) for i, event in enumerate(self.events)]
        return self._part(rows, self.outcomes(), feed)

    def keys(self, number: int) -> pa.Array:
        """Return the keys of the customers of a month, from 1, in the order of their places."""
        codes = _key_codes(self.world.key_pattern, self.months[number - 1].customer, self.seed)
        return _keys(self.world.key_pattern, codes)

    def outcomes(self) -> list[npt.NDArray[np.int8]]:
        """Return by month who left within the window that begins there, as far as it has closed."""
        left, window = [month.left for month in self.months], self.world.window_months
        return [np.logical_or.reduce(left[i : i + window]).astype(np.int8) for i in range(len(left))]

    def _part(
        self, rows: _Rows, outcomes: Sequence[npt.NDArray[np.int8]], feed: Sequence[np.random.Generator]
    ) -> pa.Table:
        world, month = self.world, rows.month + 1
        start = (self.first.astype("datetime64[M]") + rows.month).astype("datetime64[us]")
        codes = _key_codes(world.key_pattern, rows.of([lived.customer for lived in self.months]), self.seed)
        table = {world.entity_key: _keys(world.key_pattern, codes), world.event_time: pa.array(start, _UTC)}
        for name in world.columns:
            column = _read(world, self.months, self.events, name, rows)
            table[name] = _through_the_feed(column, name, self.events, month, feed).to_arrow()
        undecided = rows.month + world.window_months >= len(self.months)
        table[world.label] = _Column(rows.of(outcomes), undecided, (world.negative, world.positive)).to_arrow()
        table[TRUTH] = pa.array(rows.of([lived.truth for lived in self.months]))
        if (delay := _delay(self.events, LateArrivals, month, feed)) is not None:
            table[ARRIVED_AT] = pa.array(start + delay, _UTC)
        if (delay := _delay(self.events, LateLabels, month, feed)) is not None:
            known_at = start + (world.window_days + world.delay_days) * _DAY + delay
            table[LABEL_KNOWN_AT] = pa.array(known_at, _UTC, mask=undecided)
        return pa.table(table)


class _Rows(NamedTuple):
    """Some rows of the table: the month of each, counted from 0, and its customer's position in that month."""

    month: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]

    def of(self, by_month: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return the values of the rows, taken from one array for each month."""
        values = np.empty(len(self.month), dtype=np.result_type(*{array.dtype for array in by_month}))
        for month in np.unique(self.month):
            chosen = np.flatnonzero(self.month == month)
            values[chosen] = by_month[month][self.place[chosen]]
        return values


def _read(world: World, months: Sequence[Month], events: Sequence[Event], name: str, rows: _Rows) -> _Column:
    kind = world.columns[name]
    values = rows.of([month.state[name] for month in months])
    if not isinstance(kind, tuple):
        return _Column(values, np.isnan(values), whole=kind is int)
    if shown_as(name) in months[0].state:
        new = rows.of([month.state[shown_as(name)] for month in months])
        values = np.where(new >= 0, new, values)
    return _Column(values, np.zeros(len(values), dtype=bool), shown_values(world, events, name))


def _through_the_feed(
    column: _Column,
    name: str,
    events: Sequence[Event],
    month: npt.NDArray[np.int64],
    feed: Sequence[np.random.Generator],
) -> _Column:
    for event, rng in zip(events, feed, strict=True):
        if isinstance(event, BrokenFeed) and event.fault.column == name:
            column = _break(column, event.fault, _during(event, month), rng)
    return column


def _break(column: _Column, fault: Fault, hit: Mask, rng: np.random.Generator) -> _Column:
    if isinstance(fault, Nulls):
        return replace(column, missing=column.missing | (hit & (rng.random(len(hit)) < fault.share)))
    if isinstance(fault, RenamedCategory):
        names = column.categories or ()
        categories = names if fault.becomes in names else (*names, fault.becomes)
        renamed = hit & (column.values == names.index(fault.value))
        values = np.where(renamed, np.int16(categories.index(fault.becomes)), column.values)
        return replace(column, values=values, categories=categories)
    return replace(column, values=np.where(hit, column.values * fault.factor, column.values))


def _during(event: BrokenFeed | LateArrivals | LateLabels, month: npt.NDArray[np.int64]) -> Mask:
    from_start = month >= event.month
    return from_start if event.months is None else from_start & (month < event.month + event.months)


def _delay(
    events: Sequence[Event],
    kind: type[LateArrivals | LateLabels],
    month: npt.NDArray[np.int64],
    feed: Sequence[np.random.Generator],
) -> npt.NDArray[np.timedelta64] | None:
    """Return how much later each row comes than usual, None where no event of this kind is scripted."""
    days = None
    for event, rng in zip(events, feed, strict=True):
        if isinstance(event, kind):
            late = _during(event, month) & (rng.random(len(month)) < event.share)
            days = (0 if days is None else days) + event.days * late
    return None if days is None else days * _DAY


def _key_codes(pattern: str, customer: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Return one number per customer, scattered over all that `pattern` can write, in the order of the written keys."""
    space = 10 ** pattern.count("#") * 26 ** pattern.count("@")
    return np.asarray((customer * _KEY_STEP + int(stream(seed, _FEED - 1, 0).integers(space))) % space)


def _keys(pattern: str, codes: npt.NDArray[np.int64]) -> pa.Array:
    text = np.empty((len(codes), len(pattern)), dtype=np.uint8)
    for i, sign in reversed(list(enumerate(pattern))):
        if sign in "#@":
            codes, digit = np.divmod(codes, 10 if sign == "#" else 26)
            text[:, i] = digit + ord("0" if sign == "#" else "A")
        else:
            text[:, i] = ord(sign)
    offsets = np.arange(len(text) + 1, dtype=np.int32) * np.int32(len(pattern))
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(text))
