"""A vendor of subscription software, seen through how its accounts use it: mostly numbers, few categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..model.frame import FloatArray
from .world import ColumnKinds, State, World, draw

__all__ = ["Saas"]

_TEAM = 1
_ANNUAL = 1
_LATIN_AMERICA = 3

# Shares among accounts that sign up.
_PLAN = np.array([[0.42, 0.33, 0.18, 0.07]])
_ANNUAL_BY_PLAN = np.array([0.15, 0.30, 0.50, 0.75])
_REGION = np.array([[0.42, 0.31, 0.17, 0.10]])
_INDUSTRY = np.array([[0.28, 0.18, 0.14, 0.14, 0.14, 0.12]])
_MEDIAN_SEATS = np.array([4.0, 12.0, 40.0, 150.0])
_SEAT_PRICE = np.array([12.0, 20.0, 32.0, 50.0])  # dollars a month
_ANNUAL_REBATE = 0.15


class Saas(World):
    """Accounts whose use of the product wanders from month to month; annual ones mostly leave when a renewal is due."""

    name = "saas"
    entity_key = "account_id"
    key_pattern = "AC-#########"
    event_time = "snapshot_date"
    columns: ClassVar[ColumnKinds] = {
        "plan": ("Starter", "Team", "Business", "Enterprise"),
        "billing_period": ("Monthly", "Annual"),
        "region": ("North America", "Europe", "Asia Pacific", "Latin America"),
        "industry": ("Software", "Retail", "Finance", "Health care", "Education", "Manufacturing"),
        "account_age_months": int,
        "months_to_renewal": int,
        "seats": int,
        "discount_share": float,
        "mrr": float,
        "active_users": int,
        "logins_30d": int,
        "days_since_last_login": int,
        "feature_adoption": float,
        "integrations": int,
        "storage_gb": float,
        "support_tickets_90d": int,
        "nps": int,
        "late_payments_12m": int,
    }
    price = "mrr"
    label = "cancelled"
    positive = "1"
    negative = "0"
    window_months = 1
    window_days = 30
    delay_days = 3
    history_months = 72
    products: ClassVar[Mapping[str, str | None]] = {"plan": None}

    def join(self, rng: np.random.Generator, n: int) -> State:
        """Return accounts in the month in which they sign up."""
        plan = draw(rng, np.broadcast_to(_PLAN, (n, 4)))
        annual = (rng.random(n) < _ANNUAL_BY_PLAN[plan]).astype(np.int8)
        seats = np.maximum(1, np.round(_MEDIAN_SEATS[plan] * rng.lognormal(0, 0.6, n))).astype(np.int64)
        habit = rng.normal(0.3, 0.9, n)
        discounted = rng.random(n) < 0.35
        state: dict[str, npt.NDArray[Any]] = {
            "plan": plan,
            "billing_period": annual,
            "region": draw(rng, np.broadcast_to(_REGION, (n, 4))),
            "industry": draw(rng, np.broadcast_to(_INDUSTRY, (n, 6))),
            "account_age_months": np.zeros(n, dtype=np.int64),
            "months_to_renewal": annual * rng.integers(0, 12, n),
            "seats": seats,
            "feature_adoption": np.round(rng.beta(2, 9, n), 4),
            "integrations": rng.poisson(0.6, n),
            "storage_gb": np.round(seats * rng.lognormal(-0.5, 1.4, n), 3),
            "days_since_last_login": np.zeros(n, dtype=np.int64),
            "nps": np.full(n, np.nan),
            "late_payments_12m": np.zeros(n, dtype=np.int64),
            "discount_share": np.where(discounted, np.round(rng.beta(2, 6, n), 2).clip(0.01, 0.6), 0.0),
            "_habit": habit,
            "_use": habit + rng.normal(0, 0.5, n),
            "_trouble": rng.normal(0, 1, n),
            "_pays_late": rng.beta(0.5, 8, n),
        }
        return self._observe(rng, state)

    def list_price(self, state: State) -> FloatArray:
        """Return seats times the plan's price, less the rebate for annual billing and the account's discount."""
        rebate = _ANNUAL_REBATE * (state["billing_period"] == _ANNUAL)
        return np.asarray(state["seats"] * _SEAT_PRICE[state["plan"]] * (1 - rebate) * (1 - state["discount_share"]))

    def log_odds(self, state: State) -> FloatArray:
        """Return the log odds of leaving in this month, shape `(n_accounts, 1)`.

        Unused seats, silence, trouble while little of the product is in use and a high price per seat drive accounts
        away; integrations and stored data hold them, and an annual contract does until its renewal is due.
        """
        use = state["active_users"] / state["seats"]
        small = state["plan"] <= _TEAM
        age = state["account_age_months"]
        tickets = state["support_tickets_90d"] / np.sqrt(state["seats"])
        seat_price = state["mrr"] / (state["seats"] * _SEAT_PRICE[state["plan"]])
        annual = state["billing_period"] == _ANNUAL
        log_odds = (
            -2.05
            - 2.2 * (use - 0.55)
            + 1.5 * (1 - np.exp(-state["days_since_last_login"] / 15))
            + 1.1 * np.tanh(tickets) * (1 - state["feature_adoption"])
            - 0.8 * state["feature_adoption"]
            - np.where(small, 0.25, 0.5) * np.log1p(state["integrations"])
            - 0.15 * np.log1p(state["storage_gb"] / state["seats"])
            + 0.8 * (state["nps"] <= 6)
            - 0.4 * (state["nps"] >= 9)
            + 0.45 * np.minimum(state["late_payments_12m"], 3) * small
            + 1.8 * np.log(seat_price)
            + 0.9 * np.exp(-age / 3)
            + 0.5 * np.exp(-(((age - 14) / 5) ** 2))
            + 0.25 * (state["region"] == _LATIN_AMERICA)
            + np.where(annual, np.where(state["months_to_renewal"] > 0, -1.8, 0.9), 0.0)
        )
        return np.asarray(log_odds)[:, None]

    def grow_older(self, state: State) -> State:
        """Return the accounts a month older; an annual one is renewed when its year is over."""
        left = np.where(state["billing_period"] == _ANNUAL, (state["months_to_renewal"] - 1) % 12, 0)
        return {**state, "account_age_months": state["account_age_months"] + 1, "months_to_renewal": left}

    def wander(self, rng: np.random.Generator, state: State) -> State:
        """Return the accounts after a month of use: everything drifts back to the account's own habit."""
        n = len(state["seats"])
        habit = 0.3 + 0.95 * (state["_habit"] - 0.3) + rng.normal(0, 0.30, n)
        use = habit + 0.85 * (state["_use"] - habit) + rng.normal(0, 0.45, n)
        adoption = state["feature_adoption"]
        adoption = adoption + 0.08 * (1 / (1 + np.exp(-use)) - adoption) + rng.normal(0, 0.02, n)
        resized = np.where(rng.random(n) < 0.06, 1 + 0.2 * np.tanh(use) + rng.normal(0, 0.1, n), 1.0)
        stored = state["storage_gb"] ** 0.98 * state["seats"] ** 0.02 * rng.lognormal(0.02, 0.2, n)
        paid_late = rng.random(n) < state["_pays_late"]
        after = {
            **state,
            "_habit": habit,
            "_use": use,
            "_trouble": 0.7 * state["_trouble"] + rng.normal(0, 0.7, n),
            "feature_adoption": np.round(adoption, 4).clip(0, 1),
            "seats": np.maximum(1, np.round(state["seats"] * resized)).astype(np.int64),
            "integrations": rng.binomial(state["integrations"], 0.99) + (rng.random(n) < 0.05),
            "storage_gb": np.round(stored, 3),
            "late_payments_12m": rng.binomial(state["late_payments_12m"], 11 / 12) + paid_late,
        }
        return self.reprice(state, self._observe(rng, after))

    def _observe(self, rng: np.random.Generator, state: Mapping[str, npt.NDArray[Any]]) -> State:
        """Return the accounts with what the month's use looks like in the product's logs."""
        n = len(state["seats"])
        active = rng.binomial(state["seats"], 1 / (1 + np.exp(-state["_use"])))
        logins = rng.poisson(active * np.exp(1.6 + 0.3 * state["_use"].clip(-2, 2)))
        recent = np.minimum(rng.exponential(30 / (logins + 1)), 29).astype(np.int64)
        silent = np.minimum(state["days_since_last_login"] + 30, 365)
        asked = rng.random(n) < 0.15
        answer = np.round(7.4 + 0.9 * state["_use"] - 0.9 * state["_trouble"] + rng.normal(0, 1.5, n)).clip(0, 10)
        return {
            **state,
            "active_users": active,
            "logins_30d": logins,
            "days_since_last_login": np.where(logins > 0, recent, silent),
            "support_tickets_90d": rng.poisson(0.5 * np.sqrt(state["seats"]) * np.exp(0.6 * state["_trouble"])),
            "nps": np.where(asked, answer, state["nps"]),
        }
