"""The bootstrap over customers: what is drawn, and what its intervals are worth."""

from __future__ import annotations

import numpy as np
import pytest

from churn.core.errors import NotEnoughData
from churn.core.estimate import Estimate
from churn.evaluation.bootstrap import band, bootstrap, customer_weights, estimate, estimates


def mean_of(values: np.ndarray):  # type: ignore[no-untyped-def]
    return lambda weights: {"mean": float(weights @ values / weights.sum())}


def test_a_resample_draws_as_many_customers_as_there_are() -> None:
    drawn = list(customer_weights([f"c{i}" for i in range(50)], resamples=20, seed=1))
    assert len(drawn) == 20
    for weights in drawn:
        assert weights.sum() == 50


def test_the_rows_of_a_customer_are_drawn_together() -> None:
    entity = np.array(["a", "b", "a", "c", "b"])
    drawn = list(customer_weights(entity, resamples=20, seed=1))
    assert len(drawn) == 20
    for weights in drawn:
        assert weights[0] == weights[2]
        assert weights[1] == weights[4]


def test_the_order_of_the_rows_changes_no_draw() -> None:
    entity, shuffled = np.array(["a", "b", "c", "d"]), np.array([2, 0, 3, 1])
    draws = [customer_weights(rows, resamples=20, seed=1) for rows in (entity, entity[shuffled])]
    pairs = list(zip(*draws, strict=True))
    assert len(pairs) == 20
    for weights, of_shuffled in pairs:
        np.testing.assert_array_equal(weights[shuffled], of_shuffled)


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    entity, values = np.arange(40), np.random.default_rng(0).normal(size=40)
    first, again, other = (bootstrap(mean_of(values), entity, resamples=30, seed=s)["mean"] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_customer_says_nothing_about_others() -> None:
    with pytest.raises(NotEnoughData, match="at least 2 are needed"):
        bootstrap(mean_of(np.ones(3)), ["a", "a", "a"], resamples=10, seed=1)


def test_the_standard_error_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(size=400)
    draws = bootstrap(mean_of(values), np.arange(400), resamples=2000, seed=1)["mean"]
    found = estimate(float(values.mean()), draws, 0.95)
    assert found is not None
    assert found.se == pytest.approx(values.std() / 20, rel=0.06)
    assert found.upper - found.lower == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


def test_rows_that_repeat_a_customer_add_no_certainty() -> None:
    values, customers = np.random.default_rng(0).normal(size=200), np.arange(200)
    once = bootstrap(mean_of(values), customers, resamples=500, seed=1)["mean"].std()
    often = bootstrap(mean_of(np.tile(values, 5)), np.tile(customers, 5), resamples=500, seed=1)["mean"].std()
    assert often == pytest.approx(once)


def test_a_paired_difference_is_surer_than_two_numbers_apart() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=300)
    other = one + random.normal(scale=0.1, size=300)

    def both(weights: np.ndarray) -> dict[str, float]:
        means = {"one": float(weights @ one / 300), "other": float(weights @ other / 300)}
        return {**means, "difference": means["other"] - means["one"]}

    draws = bootstrap(both, np.arange(300), resamples=500, seed=1)
    assert draws["difference"].std() < 0.2 * np.hypot(draws["one"].std(), draws["other"].std())


@pytest.mark.slow
def test_an_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(7), 0
    for seed in range(200):
        values = random.exponential(size=150)
        found = estimate(
            float(values.mean()), bootstrap(mean_of(values), np.arange(150), resamples=200, seed=seed)["mean"], 0.9
        )
        held += found is not None and found.lower <= 1.0 <= found.upper
    assert 0.83 <= held / 200 <= 0.96


def test_an_interval_of_a_biased_metric_is_moved_against_its_bias() -> None:
    draws = np.random.default_rng(0).normal(1.0, 1.0, 4000)  # the draws lie one standard error above the point
    found = estimate(0.0, draws, 0.95)
    assert found is not None
    # Bias correction: the percentiles at Phi(2·Phi^-1(0.16) ± 1.96), which is -2.96 and 0.96 around the point 0.
    assert (found.lower, found.upper) == pytest.approx((-2.96, 0.96), abs=0.25)


def test_an_interval_holds_its_point_even_where_no_draw_comes_near() -> None:
    found = estimate(0.0, np.linspace(5, 6, 100), 0.95)
    assert found is not None
    assert found.lower == 0.0 < found.upper


def test_a_constant_has_an_interval_without_width() -> None:
    assert estimate(2.0, np.full(100, 2.0), 0.95) == Estimate(point=2, lower=2, upper=2, se=0)


@pytest.mark.parametrize(("missing", "known"), [(10, True), (11, False)])
def test_a_number_with_more_than_a_tenth_of_its_draws_missing_has_no_interval(missing: int, known: bool) -> None:
    draws = np.append(np.linspace(0, 1, 100 - missing), np.full(missing, np.nan))
    assert (estimate(0.5, draws, 0.95) is not None) == known


def test_numbers_that_do_not_exist_are_left_out() -> None:
    draws = {"a": np.linspace(0, 1, 100), "b": np.linspace(0, 1, 100)}
    assert set(estimates({"a": 0.5, "b": float("nan")}, draws, 0.95)) == {"a"}


def test_a_multiple_has_a_multiple_of_everything() -> None:
    assert Estimate(point=1, lower=0.5, upper=2, se=0.3).scaled(10) == Estimate(point=10, lower=5, upper=20, se=3)


def test_a_band_holds_its_share_of_the_draws_at_each_point() -> None:
    draws = np.stack([np.linspace(0, 1, 101), np.linspace(10, 20, 101)], axis=1)
    lower, upper = band(draws, 0.9)
    np.testing.assert_allclose(lower, [0.05, 10.5])
    np.testing.assert_allclose(upper, [0.95, 19.5])


def test_a_band_leaves_out_draws_without_a_value() -> None:
    draws = np.append(np.linspace(0, 1, 101), np.nan)[:, None]
    assert band(draws, 0.9)[0] == pytest.approx([0.05])
