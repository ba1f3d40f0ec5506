"""The scripted events of one run as they change the customers, month by month."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..model.frame import FloatArray
from .events import ChangedOdds, Event, NewProduct, PriceRise, Seasonality
from .world import Mask, State, World

__all__ = ["Script", "shown_as", "shown_values"]


def shown_as(column: str) -> str:
    """Return the state's column with the position of a new value among `shown_values`, -1 for customers without one."""
    return f"_{column} shown as"


def shown_values(world: World, events: Sequence[Event], column: str) -> tuple[str, ...]:
    """Return every value the categorical `column` may be delivered with: the world's, then those of new products."""
    new = (event.value for event in events if isinstance(event, NewProduct) and event.column == column)
    return tuple(dict.fromkeys((*world.categories[column], *new)))


class Script:
    """Applies price rises, new products, changed odds and the season; what only the feed does is no part of it.

    What an event does to a customer is decided when the customer joins: the months of an outcome window are certain.
    """

    def __init__(self, world: World, events: Sequence[Event], first: np.datetime64) -> None:
        """Prepare the events of a run whose month 1 is the calendar month `first`."""
        self._world = world
        self._events = events
        self._calendar_month = int(first.astype("datetime64[M]").astype(int)) % 12

    def pull(self, state: State, month: int) -> FloatArray:
        """Return what season and changed odds add to the log odds of leaving in `month`, shape `(n_customers,)`."""
        pull = np.full(len(state[self._world.price]), self._season(month), dtype=np.float64)
        for event in self._events:
            if isinstance(event, ChangedOdds) and event.month <= month:
                pull += math.log(event.odds) * self._holds(state, event.only)
        return pull

    def _season(self, month: int) -> float:
        calendar = (self._calendar_month + month - 1) % 12 + 1
        return sum(
            math.log1p(event.amplitude * math.cos(math.tau * (calendar - event.peak) / 12))
            for event in self._events
            if isinstance(event, Seasonality) and event.month <= month
        )

    def welcome(self, rng: np.random.Generator, state: State, month: int) -> State:
        """Return customers who join in `month`, with the prices and products of that month."""
        price = np.round(self._world.list_price(state), 2)
        added: dict[str, npt.NDArray[np.generic]] = {self._world.price: price}
        for i, event in enumerate(self._events):
            if isinstance(event, NewProduct):
                added[_buys(i)] = rng.random(len(price)) < event.share
                added[shown_as(event.column)] = np.full(len(price), -1, dtype=np.int16)
        state = {**state, **added}
        for past in sorted({event.month for event in self._events if event.month <= month}):
            state = self.change(state, past)
        return state

    def change(self, state: State, month: int) -> State:
        """Return the customers after what starts in `month`."""
        for i, event in enumerate(self._events):
            if event.month != month:
                continue
            if isinstance(event, PriceRise):
                price = state[self._world.price]
                risen = np.where(self._holds(state, event.only), np.round(price * (1 + event.share), 2), price)
                state = {**state, self._world.price: risen}
            elif isinstance(event, NewProduct):
                state = self._sell(state, event, state[_buys(i)] & self._holds(state, event.only))
        return state

    def _sell(self, state: State, event: NewProduct, buyers: Mask) -> State:
        column, excluded = event.column, self._world.products[event.column]
        values = self._world.categories[column]
        if excluded is not None:
            buyers = buyers & (state[column] != values.index(excluded))
        # The world knows a new product by what it is like; only the delivered table shows the new name.
        acts_as = state[column].dtype.type(values.index(event.like or event.value))
        shown = shown_values(self._world, self._events, column).index(event.value) if event.like else -1
        after = {
            **state,
            column: np.where(buyers, acts_as, state[column]),
            shown_as(column): np.where(buyers, np.int16(shown), state[shown_as(column)]),
        }
        return self._world.reprice(state, after)

    def _holds(self, state: State, only: Mapping[str, Sequence[str]]) -> Mask:
        who = np.ones(len(state[self._world.price]), dtype=bool)
        for column, values in only.items():
            names = self._world.categories[column]
            who &= np.isin(state[column], [names.index(value) for value in values])
        return who


def _buys(event: int) -> str:
    return f"_buys product of event {event}"
