"""A business small enough to compute its truth by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from churn.model.frame import FloatArray
from churn.simulation.world import ColumnKinds, State, World


class Gym(World):
    """Members on one of two plans, who leave with a fixed chance and change plans with a fixed chance."""

    name = "gym"
    entity_key = "member_id"
    key_pattern = "G########"
    event_time = "month"
    columns: ClassVar[ColumnKinds] = {"plan": ("Basic", "Premium"), "visits": int, "fee": float}
    price = "fee"
    label = "left"
    positive = "yes"
    negative = "no"
    window_months = 2
    window_days = 60
    delay_days = 0
    history_months = 0
    products: ClassVar[Mapping[str, str | None]] = {}
    switching = "plan"
    leaving = (0.2, 0.1)
    changing = ((0.75, 0.25), (0.5, 0.5))

    def join(self, rng: np.random.Generator, n: int) -> State:
        return {"plan": (rng.random(n) < 0.5).astype(np.int8), "visits": np.zeros(n, dtype=np.int64)}

    def list_price(self, state: State) -> FloatArray:
        return np.where(state["plan"] == 1, 40.0, 20.0)

    def log_odds(self, state: State) -> FloatArray:
        chance = np.array(self.leaving)
        return np.tile(np.log(chance / (1 - chance)), (len(state["plan"]), 1))

    def grow_older(self, state: State) -> State:
        return {**state, "visits": state["visits"] + 4}

    def switches(self, state: State) -> FloatArray:
        return np.tile(np.array(self.changing), (len(state["plan"]), 1, 1))


class WanderingGym(Gym):
    """A gym whose members also change by chance, within a window of two months: its truth cannot be known."""

    def wander(self, rng: np.random.Generator, state: State) -> State:
        return {**state, "visits": rng.poisson(4, len(state["visits"]))}
