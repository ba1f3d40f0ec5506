"""Businesses that live through months, with the true churn probability of every row known."""

from __future__ import annotations

from .delivery import LABEL_KNOWN_AT
from .events import (
    BrokenFeed,
    Event,
    LateArrivals,
    LateLabels,
    NewProduct,
    Nulls,
    PriceRise,
    RenamedCategory,
    Seasonality,
    UnitChange,
)
from .simulation import SIMULATORS, SimulationSettings, simulate, simulate_world
from .world import World

__all__ = [
    "LABEL_KNOWN_AT",
    "SIMULATORS",
    "BrokenFeed",
    "Event",
    "LateArrivals",
    "LateLabels",
    "NewProduct",
    "Nulls",
    "PriceRise",
    "RenamedCategory",
    "Seasonality",
    "SimulationSettings",
    "UnitChange",
    "World",
    "simulate",
    "simulate_world",
]
