"""A telephone and internet provider with the columns of IBM's Telco sample and, roughly, its marginals."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..model.frame import FloatArray
from .world import ColumnKinds, State, World, draw

__all__ = ["Telco"]

_YES_NO = ("No", "Yes")
_YES, _NOT_OFFERED = 1, 2
_DSL, _FIBER, _NO_INTERNET = range(3)
_ONE_YEAR, _TWO_YEAR = 1, 2
_ELECTRONIC_CHECK = 0

# Shares among customers who join. Among those who stay they differ, because leaving depends on all of it.
_SENIOR = 0.24
_PARTNER = 0.45
_DEPENDENTS = np.array([[0.11, 0.01], [0.56, 0.14]])  # by partner, then senior citizen
_INTERNET = np.array([[0.240, 0.705, 0.055], [0.105, 0.865, 0.030]])  # by senior citizen
_PHONE_WITH_DSL = 0.72
# By internet connection: DSL, fibre, none.
_SEVERAL_LINES = np.array([0.38, 0.63, 0.22])
_PAPERLESS = np.array([0.56, 0.79, 0.30])
_PAYMENT = np.array([[0.30, 0.26, 0.22, 0.22], [0.62, 0.06, 0.16, 0.16], [0.09, 0.49, 0.21, 0.21]])
_CONTRACT = np.array([[0.94, 0.04, 0.02], [0.97, 0.02, 0.01], [0.90, 0.06, 0.04]])
# Returning customers keep the months of their former account.
_RETURNING = 0.25
_LONGEST_FORMER_TENURE = 64

# By service: its price in dollars a month, its shares with DSL and with fibre among customers who join, and how
# strongly it goes with caring for one's devices and with watching films.
_SERVICES = {
    "online_security": (5.0, 0.42, 0.18, 0.60, 0.00),
    "online_backup": (5.0, 0.45, 0.41, 0.45, 0.20),
    "device_protection": (5.0, 0.44, 0.42, 0.45, 0.50),
    "tech_support": (5.0, 0.42, 0.19, 0.65, 0.15),
    "streaming_tv": (10.0, 0.39, 0.60, 0.10, 0.80),
    "streaming_movies": (10.0, 0.40, 0.60, 0.10, 0.80),
}
_INTERNET_PRICE = np.array([25.0, 50.0, 0.0])
_PHONE_PRICE, _LINES_PRICE = 20.0, 5.0

# From one month to the next, by internet connection: to a longer contract, or back to a monthly one when it ends.
_SWITCHES = np.array(
    [
        [[0.961, 0.027, 0.012], [0.075, 0.921, 0.004], [0.045, 0.001, 0.954]],
        [[0.976, 0.021, 0.003], [0.075, 0.921, 0.004], [0.045, 0.001, 0.954]],
        [[0.930, 0.027, 0.043], [0.075, 0.921, 0.004], [0.045, 0.001, 0.954]],
    ]
)


class Telco(World):
    """Customers with services at list prices, on monthly, one-year or two-year contracts."""

    name = "telco"
    entity_key = "customer_id"
    key_pattern = "####-@@@@@"
    event_time = "transaction_ts"
    columns: ClassVar[ColumnKinds] = {
        "gender": ("Female", "Male"),
        "senior_citizen": int,
        "partner": _YES_NO,
        "dependents": _YES_NO,
        "tenure": int,
        "phone_service": _YES_NO,
        "multiple_lines": (*_YES_NO, "No phone service"),
        "internet_service": ("DSL", "Fiber optic", "No"),
        **dict.fromkeys(_SERVICES, (*_YES_NO, "No internet service")),
        "contract": ("Month-to-month", "One year", "Two year"),
        "paperless_billing": _YES_NO,
        "payment_method": (
            "Electronic check",
            "Mailed check",
            "Bank transfer (automatic)",
            "Credit card (automatic)",
        ),
        "monthly_charges": float,
        "total_charges": float,
    }
    price = "monthly_charges"
    label = "churn"
    positive = "Yes"
    negative = "No"
    window_months = 3
    window_days = 90
    delay_days = 5
    history_months = 72
    products: ClassVar[Mapping[str, str | None]] = {
        "internet_service": "No",
        "multiple_lines": "No phone service",
        "payment_method": None,
        **dict.fromkeys(_SERVICES, "No internet service"),
    }
    switching = "contract"

    def join(self, rng: np.random.Generator, n: int) -> State:
        """Return new customers; the columns depend on each other as in IBM's sample."""
        senior = _codes(rng.random(n) < _SENIOR)
        partner = _codes(rng.random(n) < _PARTNER)
        internet = draw(rng, _INTERNET[senior])
        phone = (internet != _DSL) | (rng.random(n) < _PHONE_WITH_DSL)
        several = rng.random(n) < _SEVERAL_LINES[internet]
        state: dict[str, npt.NDArray[Any]] = {
            "gender": _codes(rng.random(n) < 0.505),
            "senior_citizen": senior,
            "partner": partner,
            "dependents": _codes(rng.random(n) < _DEPENDENTS[partner, senior]),
            "phone_service": _codes(phone),
            "multiple_lines": _codes(np.where(phone, several, _NOT_OFFERED)),
            "internet_service": internet,
            **_services(rng, internet),
            "paperless_billing": _codes(rng.random(n) < _PAPERLESS[internet]),
            "payment_method": draw(rng, _PAYMENT[internet]),
            "_surcharge": np.clip(np.round(rng.normal(0, 1, n) / 0.05) * 0.05, -1.75, 3.0),
        }
        return {**state, **self._past(rng, state)}

    def _past(self, rng: np.random.Generator, state: State) -> State:
        """Return tenure, contract and charges so far of customers who join."""
        n = len(state["internet_service"])
        returning = rng.random(n) < _RETURNING
        tenure = np.where(returning, rng.integers(1, _LONGEST_FORMER_TENURE + 1, n), 0)
        bound = returning & (rng.random(n) < tenure / 80)
        years = np.where(rng.random(n) < 0.3, _TWO_YEAR, _ONE_YEAR)
        former_price = self.list_price(state) * rng.normal(0.98, 0.04, n)
        return {
            "tenure": tenure.astype(np.int32),
            "contract": _codes(np.where(bound, years, draw(rng, _CONTRACT[state["internet_service"]]))),
            "total_charges": np.where(returning, np.round(tenure * former_price, 2), np.nan),
        }

    def list_price(self, state: State) -> FloatArray:
        """Return the sum of the prices of a customer's services, and the little that differs from one to the next."""
        price = _INTERNET_PRICE[state["internet_service"]] + state["_surcharge"]
        price += _PHONE_PRICE * (state["phone_service"] == _YES) + _LINES_PRICE * (state["multiple_lines"] == _YES)
        for service, (amount, *_) in _SERVICES.items():
            price += amount * (state[service] == _YES)
        return np.asarray(price)

    def log_odds(self, state: State) -> FloatArray:
        """Return the log odds of leaving in this month under each contract, shape `(n_customers, 3)`.

        A longer contract dampens every other reason to leave. Along the tenure they fall steeply at first, rise again
        when a device is paid off after two years, and rise once more with an account's age beyond five.
        """
        tenure = state["tenure"].astype(np.float64)
        reasons = _reasons(state)
        paid_off = 0.3 * np.exp(-(((tenure - 27) / 7) ** 2))
        dear = 0.006 * (state["monthly_charges"] - 65)
        monthly = -2.28 + reasons + 2.3 * np.exp(-tenure / 2.5) - 0.12 * np.log1p(tenure / 12) + paid_off + dear
        one_year = -3.90 + 0.7 * reasons + paid_off + dear
        two_year = -6.05 + 0.5 * reasons + 0.012 * np.maximum(state["monthly_charges"] - 90, 0)
        return np.stack([monthly, one_year, two_year], axis=1) + (0.5 / 12 * np.maximum(tenure - 60, 0))[:, None]

    def switches(self, state: State) -> FloatArray:
        """Return the chances of changing the contract."""
        return np.asarray(_SWITCHES[state["internet_service"]])

    def grow_older(self, state: State) -> State:
        """Return the customers after another month was billed."""
        billed = np.nan_to_num(state["total_charges"]) + state["monthly_charges"]
        return {**state, "tenure": state["tenure"] + 1, "total_charges": np.round(billed, 2)}


def _reasons(state: State) -> FloatArray:
    """Return what services, billing, household and price rises add to the log odds of leaving, most of it together."""
    fiber = state["internet_service"] == _FIBER
    offline = state["internet_service"] == _NO_INTERNET
    check = state["payment_method"] == _ELECTRONIC_CHECK
    helped = (state["online_security"] == _YES) * 1.0 + (state["tech_support"] == _YES)
    streams = (state["streaming_tv"] == _YES) & (state["streaming_movies"] == _YES)
    average = state["total_charges"] / np.maximum(state["tenure"], 1)
    increase = np.where(state["tenure"] > 0, state["monthly_charges"] - average, 0.0)
    return np.asarray(
        0.55 * fiber
        - 0.80 * offline
        + 0.30 * check
        + 0.48 * (fiber & check)
        - (0.24 + 0.36 * fiber) * helped
        + 0.35 * (streams & (helped == 0))
        + 0.45 * (state["senior_citizen"] * (state["paperless_billing"] == _YES))
        + 0.30 * ((state["partner"] != _YES) & (state["dependents"] != _YES))
        + 0.90 * np.tanh(increase / 6)
    )


def _services(rng: np.random.Generator, internet: npt.NDArray[np.int8]) -> dict[str, npt.NDArray[np.int8]]:
    """Draw the six services together: who has one is more likely to have another."""
    care, media = rng.normal(size=(2, len(internet)))
    drawn = {}
    for service, (_, dsl, fiber, by_care, by_media) in _SERVICES.items():
        independent = np.sqrt(1 - by_care**2 - by_media**2)
        wish = by_care * care + by_media * media + independent * rng.normal(size=len(internet))
        limit = np.array([NormalDist().inv_cdf(dsl), NormalDist().inv_cdf(fiber), 0.0])[internet]
        drawn[service] = _codes(np.where(internet == _NO_INTERNET, _NOT_OFFERED, wish < limit))
    return drawn


def _codes(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int8]:
    return values.astype(np.int8)
