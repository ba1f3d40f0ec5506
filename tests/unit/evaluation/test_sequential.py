"""The always-valid test: against the library confseq, and what it promises where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from churn.core.errors import NotEnoughData
from churn.evaluation.sequential import difference_of_arms, mean_of_pairs, mixture_bound

REFERENCE = {
    (2, 0.05): 86.96876424081634,
    (500, 0.05): 105.51542955311444,
    (10_000, 0.05): 303.52089903762527,
    (250_000, 0.05): 1684.0193567985864,
    (2, 0.025): 88.20482146525175,
    (500, 0.001): 126.25607124181258,
    (250_000, 0.025): 1796.286090552975,
}
"""confseq 0.0.11, as `benchmarks/confseq_oracle.py` prints it."""


@pytest.mark.parametrize(("customers", "alpha"), REFERENCE)
def test_the_bound_is_that_of_confseq(customers: int, alpha: float) -> None:
    bound = mixture_bound(customers, alpha=alpha, planned=10_000)
    assert bound == pytest.approx(REFERENCE[customers, alpha], rel=1e-12)


def test_the_interval_is_narrowest_about_where_it_was_planned() -> None:
    widths = {
        planned: mixture_bound(10_000, alpha=0.05, planned=planned) for planned in (1_000, 5_000, 10_000, 100_000)
    }
    assert min(widths, key=lambda planned: widths[planned]) in {5_000, 10_000}
    assert widths[1_000] < 1.2 * widths[10_000]


def test_a_customer_who_stands_for_two_counts_twice() -> None:
    random = np.random.default_rng(5)
    values, arm = random.normal(0, 1, 100), np.arange(100) % 2 == 0
    weight = np.where(np.arange(100) < 30, 2.0, 1.0)
    twice = np.repeat(np.arange(100), weight.astype(int))
    assert mean_of_pairs(values, weight, alpha=0.05, planned=100).point == pytest.approx(values[twice].mean())
    found = difference_of_arms(values, arm, 0.5, weight, alpha=0.05, planned=100)
    counted = difference_of_arms(values[twice], arm[twice], 0.5, alpha=0.05, planned=100)
    assert found.point == pytest.approx(counted.point)
    assert found.upper - found.lower > counted.upper - counted.lower, "fewer customers say less than as many rows"


def test_pairs_have_the_interval_of_their_mean() -> None:
    gains = np.random.default_rng(2).normal(0.3, 2, 400)
    found = mean_of_pairs(gains, alpha=0.05, planned=400)
    half = np.std(gains) * mixture_bound(400, alpha=0.05, planned=400) / 400
    assert found.point == pytest.approx(np.mean(gains))
    assert (found.lower, found.upper) == pytest.approx((found.point - half, found.point + half))
    assert found.se == pytest.approx(np.std(gains) / 20)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_arms_of_one_share_have_the_difference_of_their_means(share: float) -> None:
    random = np.random.default_rng(3)
    value, arm = random.normal(size=2_000), random.random(2_000) < share
    found = difference_of_arms(value, arm, share, alpha=0.05, planned=2_000)
    assert found.point == pytest.approx(np.mean(value[arm]) - np.mean(value[~arm]))
    welch = np.sqrt(np.var(value[arm]) / np.sum(arm) + np.var(value[~arm]) / np.sum(~arm))
    assert found.se == pytest.approx(welch)


def test_a_share_that_grows_does_not_pass_for_a_gain() -> None:
    """Customers of a worse month, in which more of them came to the challenger, are not held against it."""
    random = np.random.default_rng(4)
    month = np.repeat([0, 1], 20_000)
    share = np.where(month, 0.5, 0.1)
    value, arm = random.normal(-2.0 * month, 1.0), random.random(40_000) < share
    naive = np.mean(value[arm]) - np.mean(value[~arm])
    found = difference_of_arms(value, arm, share, alpha=0.05, planned=40_000)
    assert naive < -0.5
    assert found.lower < 0 < found.upper
    assert abs(found.point) < 0.1


def test_a_real_difference_is_found_and_its_sign_is_right() -> None:
    random = np.random.default_rng(5)
    arm = random.random(4_000) < 0.5
    for shift in (-0.3, 0.3):
        found = difference_of_arms(random.normal(shift * arm, 1.0), arm, 0.5, alpha=0.05, planned=4_000)
        assert found.lower < shift < found.upper
        assert found.lower > 0 if shift > 0 else found.upper < 0


@pytest.mark.slow
def test_looking_every_day_misses_the_truth_no_more_often_than_was_said() -> None:
    """Of 100 rollouts with equal arms and 27 looks 5 % may alarm at some look; a z-test alarms in 30 to 40 %."""
    random, alarms, naive = np.random.default_rng(6), 0, 0
    for _ in range(100):
        value, arm = -(((random.random(6_000) < 0.2) - 0.2) ** 2), random.random(6_000) < 0.3
        looks = [
            difference_of_arms(value[:end], arm[:end], 0.3, alpha=0.05, planned=6_000) for end in range(600, 6_001, 200)
        ]
        alarms += any(look.lower > 0 or look.upper < 0 for look in looks)
        naive += any(abs(look.point) > 1.96 * look.se for look in looks)
    assert alarms <= 5
    assert naive > 12


def test_equal_versions_are_no_evidence() -> None:
    found = mean_of_pairs(np.zeros(100), alpha=0.05, planned=100)
    assert (found.point, found.lower, found.upper) == (0, 0, 0)


@pytest.mark.parametrize("customers", [0, 1])
def test_too_few_customers_are_refused(customers: int) -> None:
    with pytest.raises(NotEnoughData, match=f"{customers} customers say nothing about chance"):
        mean_of_pairs(np.zeros(customers), alpha=0.05, planned=100)
    arm = np.arange(10) < customers
    with pytest.raises(NotEnoughData, match=f"{customers} customers in an arm say nothing about chance"):
        difference_of_arms(np.zeros(10), arm, 0.5, alpha=0.05, planned=100)
