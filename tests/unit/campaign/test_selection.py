"""Choosing within limits: feasible, as good as every subset tried, the same for equals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from churn.campaign.selection import Cutoff, select
from churn.campaign.settings import Limits


def best_of_all(value: np.ndarray, cost: np.ndarray, limits: Limits) -> float:
    """The greatest value of any subset within the limits, by trying every one."""
    best = 0.0
    for chosen in itertools.product([False, True], repeat=len(value)):
        who = np.array(chosen, dtype=bool)
        if limits.capacity is not None and who.sum() > limits.capacity:
            continue
        if limits.budget is None or cost[who].sum() <= limits.budget:
            best = max(best, float(value[who].sum()))
    return best


@pytest.mark.parametrize("seed", range(60))
def test_no_subset_is_much_better_and_none_above_the_bound(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, digits = random.integers(1, 9), random.integers(0, 4)
    value, cost = random.normal(3, 5, count).round(digits), random.uniform(0, 10, count).round(digits)
    limits = Limits(capacity=int(random.integers(0, count + 2)), budget=round(random.uniform(0, 25), int(digits)))
    found, best = select(value, cost, limits), best_of_all(value, cost, limits)
    reached = float(value[found.chosen].sum())
    assert found.chosen.sum() <= (limits.capacity or 0)
    assert cost[found.chosen].sum() <= limits.budget + 1e-9
    assert reached <= best + 1e-9 <= found.bound + 2e-9
    assert found.bound - reached <= found.cutoff.price * cost.max() + 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_a_capacity_alone_is_used_in_the_best_way(seed: int) -> None:
    random = np.random.default_rng(seed)
    value, cost = random.normal(1, 3, 8).round(1), random.uniform(0, 5, 8)
    for capacity in range(10):
        found = select(value, cost, Limits(capacity=capacity))
        assert value[found.chosen].sum() == pytest.approx(best_of_all(value, cost, Limits(capacity=capacity)))
        assert found.bound == pytest.approx(float(value[found.chosen].sum()))


@pytest.mark.parametrize("seed", range(20))
def test_equal_costs_under_a_budget_are_used_in_the_best_way(seed: int) -> None:
    value = np.random.default_rng(seed).normal(1, 3, 8)
    limits = Limits(budget=3.5)
    assert value[select(value, np.ones(8), limits).chosen].sum() == pytest.approx(
        best_of_all(value, np.ones(8), limits)
    )


@pytest.mark.parametrize("seed", range(30))
def test_more_budget_never_makes_the_choice_worse(seed: int) -> None:
    random = np.random.default_rng(seed)
    value, cost = random.exponential(5, 12), random.uniform(0.1, 10, 12)
    sums = [
        value[select(value, cost, Limits(capacity=6, budget=float(budget))).chosen].sum()
        for budget in np.linspace(0, 50, 60)
    ]
    assert np.all(np.diff(sums) >= -1e-9)
    assert sums[-1] > sums[0] == 0


def test_a_budget_prefers_the_cheap_to_the_valuable() -> None:
    value, cost = np.array([10.0, 6.0, 6.0]), np.array([10.0, 5.0, 5.0])
    assert select(value, cost, Limits(budget=10)).chosen.tolist() == [False, True, True]
    assert select(value, cost, Limits(capacity=1)).chosen.tolist() == [True, False, False]


def test_two_kinds_are_mixed_where_neither_alone_uses_both_limits() -> None:
    value, cost = np.repeat([10.0, 6.0], 100), np.repeat([10.0, 5.0], 100)
    found = select(value, cost, Limits(capacity=100, budget=750))
    assert (found.chosen[:100].sum(), found.chosen[100:].sum()) == (50, 50)
    assert (found.bound, cost[found.chosen].sum()) == (pytest.approx(800), 750)


def test_a_budget_is_used_to_the_last_cent_and_not_beyond() -> None:
    value, cost = np.array([3.0, 2.0, 1.0]), np.array([1.0, 1.0, 1.0])
    assert select(value, cost, Limits(budget=2.0)).chosen.tolist() == [True, True, False]
    assert select(value, cost, Limits(budget=1.999)).chosen.tolist() == [True, False, False]


def test_of_equals_those_that_stand_first_are_chosen() -> None:
    value, cost = np.full(6, 2.0), np.full(6, 1.0)
    for limits in (Limits(capacity=2), Limits(budget=2), Limits(capacity=3, budget=2)):
        assert select(value, cost, limits).chosen.tolist() == [True, True, False, False, False, False]


def test_nobody_is_chosen_without_value_room_or_money() -> None:
    value, cost = np.array([1.0, 0.0, -1.0]), np.ones(3)
    assert select(value, cost, Limits()).chosen.tolist() == [True, False, False]
    assert not select(value, cost, Limits(capacity=0)).chosen.any()
    assert not select(value, cost, Limits(budget=0)).chosen.any()
    assert not select(np.empty(0), np.empty(0), Limits(capacity=3, budget=3)).chosen.any()


def test_contacts_that_cost_nothing_need_no_budget() -> None:
    assert select(np.array([1.0, 2.0]), np.zeros(2), Limits(budget=0)).chosen.all()
    assert select(np.array([1.0, 2.0]), np.array([0.0, 1.0]), Limits(budget=0)).chosen.tolist() == [True, False]


def test_the_bar_says_what_it_took() -> None:
    value, cost = np.array([5.0, 4.0, 3.0]), np.ones(3)
    assert select(value, cost, Limits()).cutoff == Cutoff(0.0, 0.0)
    assert select(value, cost, Limits(capacity=2)).cutoff == Cutoff(0.0, 4.0)
    bar = select(value, cost, Limits(budget=2)).cutoff
    assert bar.price == pytest.approx(3.0)
    assert bar.reached(np.array([3.5, 2.5, -1.0]), np.array([1.0, 1.0, 0.0])).tolist() == [True, False, False]
    assert not select(value, cost, Limits(capacity=0)).cutoff.reached(value, cost).any()
