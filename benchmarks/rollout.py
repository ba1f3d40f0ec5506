"""What looking at a rollout every day costs: false alarms, and the customers it takes to find a difference.

    python benchmarks/rollout.py [--rounds 400] [--days 90] [--a-day 200]

Customers whose risk is known, two models that see it with a blur, outcomes drawn anew in every round. Beside the
always-valid test (`churn.evaluation.sequential`) stand the z-test that is looked at as often, and the z-test that is
looked at once, after a number of customers that was fixed before. All at 95 % confidence, two-sided.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import number, print_row
from churn.evaluation.sequential import difference_of_arms, mean_of_pairs, mixture_bound
from churn.model.frame import FloatArray
from churn.model.model import sigmoid
from churn.model.money import MoneySettings, expected_value, treatment_pays

_ALPHA, _POWER, _BLUR = 0.05, 0.8, 0.6
_MONEY = MoneySettings()
_Z = NormalDist().inv_cdf(1 - _ALPHA / 2)


class Looks(NamedTuple):
    """A difference and its standard error at the end of each day, shape `(n_days,)` each."""

    customers: FloatArray
    point: FloatArray
    se: FloatArray

    def beyond(self, planned: int) -> np.ndarray:
        """Return whether the always-valid interval leaves zero out, at each look."""
        bound = np.array([mixture_bound(int(n), alpha=_ALPHA, planned=planned) for n in self.customers])
        found: np.ndarray = np.abs(self.point) > self.se * bound / np.sqrt(self.customers)
        return found

    @property
    def naive(self) -> np.ndarray:
        """Whether the z-test says that there is a difference, at each look."""
        found: np.ndarray = np.abs(self.point) > _Z * self.se
        return found


class Customers(NamedTuple):
    """Customers in the order in which they came: risk, outcome, and the value of each score by both models."""

    outcome: tuple[FloatArray, FloatArray]
    profit: tuple[FloatArray, FloatArray]

    @classmethod
    def draw(cls, random: np.random.Generator, count: int, blurs: tuple[float, float]) -> Customers:
        """Draw customers; a model sees their log-odds with normal noise of its blur."""
        risk = random.beta(1, 4, count)
        logit = np.log(risk / (1 - risk))
        churned = (random.random(count) < risk).astype(np.float64)
        seen = [sigmoid(logit + random.normal(0, blur, count)) for blur in blurs]
        worth = _MONEY.customer_value.amount
        earned = expected_value(churned, worth, _MONEY)
        old, new = (-((p - churned) ** 2) for p in seen)
        old_profit, new_profit = (np.where(treatment_pays(p, worth, _MONEY), earned, 0.0) for p in seen)
        return cls((old, new), (old_profit, new_profit))


def of_arms(values: tuple[FloatArray, FloatArray], arm: np.ndarray, ends: np.ndarray, share: float) -> Looks:
    """Return the difference of two arms at each look; `difference_of_arms` at the last one says the same."""
    value = np.where(arm, values[1], values[0])
    parts = []
    for chosen in (arm, ~arm):
        count, total, squares = (np.cumsum(np.where(chosen, x, 0.0))[ends - 1] for x in (1.0, value, value**2))
        mean = total / count
        parts.append((mean, np.maximum(squares - count * mean**2, 0) / count**2))
    (new, new_variance), (old, old_variance) = parts
    looks = Looks(ends.astype(float), new - old, np.sqrt(new_variance + old_variance))
    whole = difference_of_arms(value[: ends[-1]], arm[: ends[-1]], share, alpha=_ALPHA, planned=10)
    assert np.allclose([looks.point[-1], looks.se[-1]], [whole.point, whole.se], rtol=1e-6, atol=1e-12)
    return looks


def of_pairs(values: tuple[FloatArray, FloatArray], ends: np.ndarray) -> Looks:
    """Return the mean gain of customers whom both models scored at each look; `mean_of_pairs` says the same."""
    gain = values[1] - values[0]
    mean = np.cumsum(gain)[ends - 1] / ends
    deviation = np.sqrt(np.maximum(np.cumsum(gain**2)[ends - 1] / ends - mean**2, 0))
    looks = Looks(ends.astype(float), mean, deviation / np.sqrt(ends))
    whole = mean_of_pairs(gain[: ends[-1]], alpha=_ALPHA, planned=10)
    assert np.allclose([looks.point[-1], looks.se[-1]], [whole.point, whole.se], rtol=1e-6, atol=1e-12)
    return looks


def false_alarms(rounds: int, days: int, a_day: int) -> None:
    """Print how often equal models are told apart at some look."""
    ends = np.arange(5, days + 1) * a_day
    found: dict[str, list[tuple[bool, bool, bool]]] = {}
    for seed in range(rounds):
        random = np.random.default_rng([1, seed])
        drawn = Customers.draw(random, int(ends[-1]), (_BLUR, _BLUR))
        cases = {
            f"{metric}, {share:.0%} to the challenger": of_arms(values, random.random(ends[-1]) < share, ends, share)
            for share in (0.1, 0.5)
            for metric, values in (("outcome", drawn.outcome), ("profit", drawn.profit))
        }
        cases |= {f"{m}, shadow": of_pairs(v, ends) for m, v in (("outcome", drawn.outcome), ("profit", drawn.profit))}
        for name, looks in cases.items():
            valid = bool(np.any(looks.beyond(int(ends[-1]) // 2)))
            found.setdefault(name, []).append((valid, bool(np.any(looks.naive)), bool(looks.naive[-1])))
    print(f"False alarms of equal models, {rounds} rounds, {days} days with {a_day:,} customers, looked at from day 5")
    print_row("", ["always-valid", "z, daily", "z, once"], 14, 36)
    for name, alarms in found.items():
        print_row(name, [f"{share:.1%}" for share in np.mean(alarms, axis=0)], 14, 36)


def needed(name: str, rounds: int, looks: Callable[[np.random.Generator, np.ndarray], Looks], effect: float) -> None:
    """Print how many customers a difference takes: fixed before, and by daily looks; `effect` is mean / deviation."""
    fixed = int(np.ceil(((_Z + NormalDist().inv_cdf(_POWER)) / effect) ** 2))
    ends = np.unique(np.linspace(fixed / 100, 4 * fixed, 400).astype(int)[5:])
    stops = []
    for seed in range(rounds):
        beyond = looks(np.random.default_rng([2, seed]), ends).beyond(fixed)
        stops.append(float(ends[np.argmax(beyond)]) if np.any(beyond) else np.inf)
    often = np.quantile(stops, _POWER, method="higher")
    said = f"{often:,.0f}" if np.isfinite(often) else f"> {ends[-1]:,}"
    ratios = f"{often / fixed:.2f} x", f"{np.median(stops) / fixed:.2f} x"
    print_row(name, [f"{fixed:,}", said, ratios[0], f"{np.median(stops):,.0f}", ratios[1]], 13, 36)


def samples(rounds: int) -> None:
    """Print the customers that differences of several sizes take."""
    print(f"\nCustomers until a difference is found, {rounds} rounds, 400 looks each")
    print_row("", ["fixed, 80 %", "daily, 80 %", "of fixed", "daily, half", "of fixed"], 13, 36)
    for share in (0.5, 0.1):
        for shift in (0.05, 0.1, 0.2):

            def shifted(
                random: np.random.Generator, ends: np.ndarray, share: float = share, shift: float = shift
            ) -> Looks:
                value = random.normal(size=int(ends[-1]))
                return of_arms((value, value + shift), random.random(int(ends[-1])) < share, ends, share)

            effect = shift * np.sqrt(share * (1 - share))
            needed(f"{shift:g} deviations, {share:.0%} of customers", rounds, shifted, effect)
    for blur in (0.45, 0.3):
        large = Customers.draw(np.random.default_rng(3), 2_000_000, (_BLUR, blur))
        for metric in ("outcome", "profit"):
            old, new = getattr(large, metric)
            gain = float(np.mean(new - old))
            arms = gain / np.sqrt(2 * (np.var(new) + np.var(old)))
            pairs = gain / np.std(new - old)

            def split(random: np.random.Generator, ends: np.ndarray, blur: float = blur, metric: str = metric) -> Looks:
                drawn = Customers.draw(random, int(ends[-1]), (_BLUR, blur))
                return of_arms(getattr(drawn, metric), random.random(int(ends[-1])) < 0.5, ends, 0.5)

            def shadow(
                random: np.random.Generator, ends: np.ndarray, blur: float = blur, metric: str = metric
            ) -> Looks:
                return of_pairs(getattr(Customers.draw(random, int(ends[-1]), (_BLUR, blur)), metric), ends)

            few = min(rounds, 40)  # of the largest samples
            needed(f"{metric} +{gain:.4f}, 50% of customers", few, split, arms)
            needed(f"{metric} +{gain:.4f}, shadow", rounds, shadow, pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=number, default=400)
    parser.add_argument("--days", type=number, default=90)
    parser.add_argument("--a-day", type=number, default=200)
    arguments = parser.parse_args()
    false_alarms(arguments.rounds, arguments.days, arguments.a_day)
    samples(arguments.rounds)
