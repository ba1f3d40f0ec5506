"""One call from settings to the table that a simulated business delivers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ..core.errors import ConfigError, nearest
from ..core.frozen import Frozen
from .checks import check_events, check_world
from .delivery import deliver
from .engine import live
from .events import Event
from .saas import Saas
from .script import Script
from .telco import Telco
from .world import World

__all__ = ["SIMULATORS", "SimulationSettings", "simulate", "simulate_world"]

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
    if name not in SIMULATORS:
        raise ConfigError(
            f"There is no simulation called {name!r}: choose one of {', '.join(SIMULATORS)}{nearest(name, SIMULATORS)}."
        )
    return simulate_world(SIMULATORS[name], settings)


def simulate_world(world: World, settings: SimulationSettings) -> pa.Table:
    """Do what `simulate` does for a business of one's own: a subclass of `World`."""
    check_world(world)
    check_events(world, settings.events, settings.months)
    first = np.datetime64(settings.end, "M") - (settings.months - 1)
    months = live(world, Script(world, settings.events, first), settings.customers, settings.months, settings.seed)
    return deliver(world, months, first, settings.events, settings.seed)
