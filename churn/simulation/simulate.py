"""One call from settings to the table that a simulated business delivers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ..core.errors import ConfigError, nearest
from ..core.frozen import Frozen
from .delivery import SimulatedTable
from .engine import live
from .events import BrokenFeed, ChangedOdds, Event, Fault, NewProduct, PriceRise, RenamedCategory, UnitChange
from .saas import Saas
from .script import Script, shown_values
from .telco import Telco
from .world import World

__all__ = [
    "SIMULATORS",
    "SimulationSettings",
    "check_events",
    "simulate",
    "simulate_world",
    "simulated_table",
    "world_called",
]

SIMULATORS: Mapping[str, World] = MappingProxyType({world.name: world for world in (Saas(), Telco())})
"""The simulated businesses by name."""

_MOST_ROWS = 60_000_000  # Arrow's text columns hold 2 GB


class SimulationSettings(Frozen):
    """How large a business to simulate, for how long, and what happens to it."""

    customers: int = Field(
        default=4000, ge=1, le=5_000_000, description="Active customers in every month: who leaves is replaced."
    )
    months: int = Field(default=12, ge=4, le=600, description="Simulated months; an active customer has a row in each.")
    end: dt.date = Field(
        default=dt.date(2025, 12, 1),
        ge=dt.date(1980, 1, 1),
        le=dt.date(2200, 1, 1),
        description="First day of the last simulated month: the day as of which the table is delivered.",
    )
    seed: int = Field(default=0, ge=0, description="The same seed gives the same table, bit for bit.")
    events: tuple[Event, ...] = Field(default=(), description="What is scripted to happen, in any order.")

    @field_validator("end")
    @classmethod
    def _first_of_month(cls, value: dt.date) -> dt.date:
        if value.day != 1:
            raise ValueError(f"must be the first day of a month, such as {value.replace(day=1)}")
        return value

    @model_validator(mode="after")
    def _fits_a_table(self) -> Self:
        if self.customers * self.months > _MOST_ROWS:
            raise ValueError(f"`customers` times `months` must be at most {_MOST_ROWS:,} rows: lower one of them")
        return self


def simulate(name: str, settings: SimulationSettings) -> pa.Table:
    """Let a business live and return what its source delivers on the first day of the last simulated month.

    Args:
        name: One of `SIMULATORS`.
        settings: Size, length, seed and events.

    Returns:
        One row per active customer and month, sorted by key and time: entity key, event time (the first of the month,
        UTC), the columns of the dataset contract, label, `true_probability`, and `arrived_at` or `label_known_at`
        where events script them. The label is null where the outcome window has not closed yet: in the last months,
        as many as the window has.

    Raises:
        ConfigError: an unknown name, or an event that does not fit the business or the simulated time.
    """
    return _whole(simulated_table(name, settings), settings)


def simulated_table(name: str, settings: SimulationSettings) -> SimulatedTable:
    """Do what `simulate` does, and return a table that is made a part at a time: the months alone are in memory."""
    return _live(world_called(name), settings)


def world_called(name: str) -> World:
    """Return one of `SIMULATORS`; raises ConfigError where there is none of that name."""
    if name not in SIMULATORS:
        raise ConfigError(
            f"There is no simulation called {name!r}: choose one of {', '.join(SIMULATORS)}{nearest(name, SIMULATORS)}."
        )
    return SIMULATORS[name]


def simulate_world(world: World, settings: SimulationSettings) -> pa.Table:
    """Do what `simulate` does for a business of one's own: a subclass of `World`."""
    return _whole(_live(world, settings), settings)


def _whole(table: SimulatedTable, settings: SimulationSettings) -> pa.Table:
    (rows,) = table.read(settings.customers * settings.months)
    return rows


def _live(world: World, settings: SimulationSettings) -> SimulatedTable:
    _check_world(world)
    check_events(world, settings.events, settings.months)
    first = np.datetime64(settings.end, "M") - (settings.months - 1)
    months = live(world, Script(world, settings.events, first), settings.customers, settings.months, settings.seed)
    return SimulatedTable(world, months, first, settings.events, settings.seed)


def _check_world(world: World) -> None:
    """Check that the true probabilities of the world can be computed.

    Raises:
        ConfigError: changes by chance that cannot be summed over fall into the outcome window.
    """
    if type(world).wander is not World.wander and world.window_months > 1:
        raise ConfigError(
            f"The simulation {world.name!r} changes customers in `wander` and has an outcome window of "
            f"{world.window_months} months, so that its true probabilities cannot be known: shorten the window to one "
            "month, or make the changes certain."
        )


def check_events(world: World, events: Sequence[Event], months: int) -> None:
    """Check that every event happens within the simulated time, to columns and values that the world has.

    Raises:
        ConfigError: naming the event, the rule and the valid names.
    """
    for event in events:
        where = f"The event {event.kind!r} of month {event.month}"
        if event.month > months:
            raise ConfigError(f"{where} would start after the last simulated month, {months}: choose an earlier month.")
        if isinstance(event, PriceRise | NewProduct | ChangedOdds):
            _check_only(world, event.only, where)
        if isinstance(event, NewProduct):
            _check_product(world, event, where)
        if isinstance(event, BrokenFeed):
            _check_fault(world, events, event.fault, where)


def _check_only(world: World, only: Mapping[str, Sequence[str]], where: str) -> None:
    for column, values in only.items():
        if column == world.switching:
            raise ConfigError(
                f"{where} is limited by {column!r}, which changes by chance within the outcome window: the true "
                "probability would not be known. Limit it by another column."
            )
        _choose(column, world.categories, f"{where} is limited by the column")
        if not values:
            raise ConfigError(f"{where} is limited to no {column} at all: name the values, or leave the column out.")
        for value in values:
            _choose(value, world.categories[column], f"{where} is limited by the {column}")


def _check_product(world: World, event: NewProduct, where: str) -> None:
    _choose(event.column, world.products, f"{where} sells the column")
    values = world.categories[event.column]
    sold = tuple(value for value in values if value != world.products[event.column])
    if event.value in values:
        _choose(event.value, sold, f"{where} sells the {event.column}")
        if event.like is not None:
            raise ConfigError(
                f"{where} says what {event.value!r} is like, but {event.column} has that value: leave out `like`."
            )
    elif event.like is None:
        raise ConfigError(
            f"{where} sells {event.value!r}, which {event.column} does not have{nearest(event.value, sold)}: "
            f"name in `like` which of {', '.join(sold)} costs the same and keeps customers as well."
        )
    else:
        _choose(event.like, sold, f"{where} is like the {event.column}")


def _check_fault(world: World, events: Sequence[Event], fault: Fault, where: str) -> None:
    _choose(fault.column, world.columns, f"{where} breaks the column")
    categorical = fault.column in world.categories
    if isinstance(fault, UnitChange) and categorical:
        raise ConfigError(
            f"{where} changes the unit of {fault.column!r}, which is not a number: choose a numeric column."
        )
    if isinstance(fault, RenamedCategory):
        if not categorical:
            raise ConfigError(
                f"{where} renames a value of {fault.column!r}, which has no categories: choose a categorical column."
            )
        _choose(fault.value, shown_values(world, events, fault.column), f"{where} renames the {fault.column}")
        if fault.becomes == fault.value:
            raise ConfigError(f"{where} renames {fault.value!r} to itself: give `becomes` another name.")


def _choose(name: str, valid: Iterable[str], what: str) -> None:
    valid = list(valid)
    if name not in valid:
        raise ConfigError(
            f"{what} {name!r}, which is not there{nearest(name, valid)}: choose one of {', '.join(valid)}."
        )
