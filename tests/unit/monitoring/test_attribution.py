"""What a shift costs, by column: known shifts of made-up customers, whose cost can be computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from churn.core.estimate import Estimate
from churn.monitoring.attribution import Axis, axis_of, shift_cost
from churn.monitoring.drift import Counted
from churn.monitoring.report import ShiftCost
from churn.ports.windows import Bins


def axis(name: str, codes: Any, window: Any, bins: int) -> Axis:
    return Axis(name, np.asarray(codes, dtype=np.int64), np.bincount(window, minlength=bins).astype(float), 0.0)


def priced(axes: list[Axis], gains: Any, **options: Any) -> ShiftCost | None:
    told: dict[str, Any] = {"window": "2025-06-01", "source": "batch", "rows": 1000, "confidence": 0.95, **options}
    return shift_cost(axes, np.asarray(gains, dtype=float), np.arange(len(gains)), **told)


def of(axes: list[Axis], gains: Any) -> ShiftCost:
    cost = priced(axes, gains)
    assert cost is not None
    return cost


def drawn(seed: int, rows: int, first: float, second: float) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return (random.random(rows) < first).astype(int), (random.random(rows) < second).astype(int)


def test_the_cost_of_one_column_is_what_its_shift_takes_from_the_mean_gain() -> None:
    (a, b), (shifted, same) = drawn(1, 5000, 0.5, 0.5), drawn(2, 4000, 0.2, 0.5)
    gains = 10.0 * a + 3.0 * b
    cost = of([axis("a", a, shifted, 2), axis("b", b, same, 2)], gains)
    truth = 1000 * (gains.mean() - (10 * shifted.mean() + 3 * same.mean()))
    assert cost.total.point == pytest.approx(truth, abs=30)
    assert cost.total.lower < truth < cost.total.upper
    assert cost.columns["a"].point == pytest.approx(3000, abs=250)
    assert abs(cost.columns["b"].point) < 150


def test_columns_add_up_to_the_total_where_they_are_correlated_and_interact() -> None:
    random = np.random.default_rng(5)
    a = random.integers(0, 4, 4000)
    b = np.clip(a + random.integers(-1, 2, 4000), 0, 3)
    gains = a * b * 1.0
    window = random.choice(4, 3000, p=[0.5, 0.3, 0.1, 0.1])
    follows = np.clip(window + random.integers(-1, 2, 3000), 0, 3)
    cost = of([axis("a", a, window, 4), axis("b", b, follows, 4)], gains)
    assert sum(part.point for part in cost.columns.values()) == pytest.approx(cost.total.point)
    assert cost.total.point == pytest.approx(1000 * (gains.mean() - (window * follows).mean()), rel=0.05)
    assert [*cost.columns] == sorted(cost.columns, key=lambda name: -cost.columns[name].point)


def test_a_window_like_the_baseline_costs_nothing() -> None:
    (a, b), (c, d) = drawn(1, 4000, 0.5, 0.3), drawn(2, 4000, 0.5, 0.3)
    cost = of([axis("a", a, c, 2), axis("b", b, d, 2)], 10.0 * a + 3.0 * b)
    assert cost.total.lower < 0 < cost.total.upper
    assert "cannot be told from nothing" in cost.sentence("USD", {})


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        (a, b), (c, d) = drawn(seed, 1500, 0.5, 0.3), drawn(1000 + seed, 1000, 0.35, 0.3)
        cost = of([axis("a", a, c, 2), axis("b", b, d, 2)], 10.0 * a + 5.0 * b)
        covered += cost.total.lower <= 1000 * 10 * 0.15 <= cost.total.upper
    assert 51 <= covered <= 60


def test_customers_with_many_rows_widen_the_interval() -> None:
    a, _ = drawn(1, 400, 0.5, 0.5)
    window, _ = drawn(2, 4000, 0.2, 0.5)
    once = of([axis("a", a, window, 2)], 10.0 * a)
    often = shift_cost(
        [axis("a", np.repeat(a, 10), window, 2)],
        np.repeat(10.0 * a, 10),
        np.repeat(np.arange(400), 10),
        window="w", source="batch", rows=1000, confidence=0.95,
    )  # fmt: skip
    assert often is not None
    assert often.total.se > 0.5 * once.total.se


def test_a_window_that_lies_too_far_away_is_not_priced() -> None:
    random = np.random.default_rng(0)
    columns = [random.random(400) < 0.02 for _ in range(5)]
    axes = [axis(str(number), column.astype(int), np.ones(500, dtype=int), 2) for number, column in enumerate(columns)]
    assert priced(axes, np.ones(400)) is None
    assert priced([], np.ones(400)) is None


def test_missing_values_have_a_bin_of_their_own_and_new_ones_are_not_priced() -> None:
    bins = Bins(name="plan", kind="text", texts=("basic", "plus"))
    places = np.array([0, 0, 1, 1, -1])
    made = axis_of(bins, places, Counted(np.array([2.0, 2.0, 0.0])), Counted(np.array([4.0, 2.0, 2.0])), 2.0)
    assert made.codes.tolist() == [0, 0, 1, 1, 3]
    assert made.counts.tolist() == [4, 2, 0, 2]
    assert made.unpriced == 0.2


def test_numbers_are_weighed_in_about_ten_bins() -> None:
    bins = Bins(name="charges", kind="number", edges=tuple(float(edge) for edge in range(101)))
    counts = np.array([0.0, *[5.0] * 100, 0.0])
    made = axis_of(bins, np.arange(1, 101), Counted(counts), Counted(counts), 0.0)
    assert len(made.counts) == 11
    assert made.unpriced == 0.0


def test_the_sentence_names_the_dearest_columns_and_says_that_it_may_earn() -> None:
    (a, b), (c, d) = drawn(1, 5000, 0.5, 0.5), drawn(2, 4000, 0.8, 0.5)
    axes = [axis("a", a, c, 2), axis("b", b, d, 2)]
    assert of(axes, -10.0 * a).sentence("USD", {}).startswith("The shift costs about ")
    assert of(axes, 10.0 * a).sentence("USD", {}).startswith("The shift earns about ")
    assert of(axes, -10.0 * a).sentence("USD", {"a": "plan"}).endswith("most of it by plan.")


def test_what_columns_one_by_one_do_not_explain_is_said_and_names_no_column() -> None:
    (a, b), (c, d) = drawn(1, 5000, 0.5, 0.5), drawn(2, 4000, 0.8, 0.5)
    axes = [axis("a", a, c, 2), axis("b", b, d, 2)]
    alone = of(axes, -10.0 * a)
    observed = Estimate(point=9.0, lower=8.0, upper=10.0, se=0.5)
    cost = priced(axes, -10.0 * a, observed=observed)
    assert cost is not None
    assert cost.rest is not None
    assert cost.total.point == pytest.approx(9000)
    assert cost.rest.point == pytest.approx(9000 - alone.total.point)
    assert cost.dearest == ()
    assert cost.sentence("USD", {}) == (
        "The shift costs about 9,000 USD on 1,000 predictions a month, by the probabilities (between 8,020 USD and "
        "9,980 USD)."
    )
