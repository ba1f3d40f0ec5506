"""How far a batch lies from what its model was judged on: the index by hand, chance in small samples, words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from churn.evaluation.shift import BatchShift, shift_of, shift_of_counts

WORDS = {"plan": "length of the contract", "months": "months as a customer"}
SAME = shift_of_counts("probability", "predicted churn probability", ["low", "high"], [500, 500], [500, 500])


def columns(rows: int, seed: int, *, monthly: float = 0.5, later: float = 0.0) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    plan = np.where(random.random(rows) < monthly, "Monthly", "Yearly").astype(object)
    return {"plan": plan, "months": random.gamma(2, 10, rows) + later}


def compared(
    after: dict[str, Any],
    *,
    score: Any = SAME,
    before: dict[str, Any] | None = None,
    means: tuple[float, float] = (0.25, 0.26),
) -> BatchShift:
    return shift_of(columns(4000, 1) if before is None else before, after, score, means, WORDS)


def test_the_index_is_the_one_by_hand() -> None:
    found = shift_of_counts("plan", "plan", ["a", "b", "c"], [8_000_000, 2_000_000, 0], [6_000_000, 4_000_000, 0])
    by_hand = (0.6 - 0.8) * math.log(0.6 / 0.8) + (0.4 - 0.2) * math.log(0.4 / 0.2)
    assert found.psi == pytest.approx(by_hand, abs=1e-6)
    assert (found.bins, found.before, found.after) == (("a", "b"), (0.8, 0.2), (0.6, 0.4))
    assert found.words == "plan b: 40.0%, was 20.0% (+20.0 points)"


def test_the_test_agrees_with_scipy() -> None:
    from scipy.stats import chi2_contingency

    before, after = [50, 30, 20], [40, 45, 25]
    expected = chi2_contingency([before, after], correction=False).pvalue
    assert shift_of_counts("x", "x", ["a", "b", "c"], before, after).p_value == pytest.approx(expected)


@pytest.mark.parametrize("counts", [([], []), ([5], [7]), ([0, 0], [3, 4]), ([3, 4], [0, 0])])
def test_nothing_to_compare_is_no_shift(counts: tuple[list[int], list[int]]) -> None:
    found = shift_of_counts("x", "x", ["a", "b"][: len(counts[0])], *counts)
    assert (found.psi, found.p_value) == (0.0, 1.0)


@pytest.mark.slow
def test_customers_from_the_same_source_are_alike_whatever_the_draw() -> None:
    for seed in range(2, 42):
        found = compared(columns(150, seed))
        assert found.verdict == "alike", found.sentence
    assert "no column has shifted (the largest PSI is 0." in found.sentence


@pytest.mark.parametrize(
    ("after", "verdict", "named"),
    [
        (columns(1000, 9, monthly=0.69), "shifted", "length of the contract Monthly: 6"),
        (columns(1000, 9, monthly=0.95), "strong", "length of the contract Monthly: 9"),
        (columns(1000, 9, later=30), "strong", "months as a customer above 37.98: 80.3%, was 10.0% (+70.3 points)"),
        (
            {"plan": np.array(["Daily"] * 1000, dtype=object)},
            "strong",
            "length of the contract Daily: 100.0%, was 0.0%",
        ),
        ({"months": np.full(1000, np.nan)}, "strong", "months as a customer not known: 100.0%, was 0.0%"),
        ({"plan": np.array([None] * 1000, dtype=object)}, "strong", "length of the contract not known: 100.0%"),
    ],
)
def test_what_has_shifted_is_named_with_how_much(after: dict[str, Any], verdict: str, named: str) -> None:
    found = compared(after)
    assert found.verdict == verdict
    assert found.sentence.startswith("The customers differ" + (" strongly" if verdict == "strong" else ""))
    assert named in found.sentence
    assert found.sentence.endswith("the mean prediction is 26.0%, was 25.0%.")


@pytest.mark.parametrize(
    ("counts", "means", "verdict"),
    [
        (([500, 500], [300, 700]), (0.25, 0.26), "shifted"),
        (([500, 500], [400, 600]), (0.25, 0.299), "alike"),
        (([500, 500], [400, 600]), (0.25, 0.30), "shifted"),
        (([500, 500], [495, 505]), (0.25, 0.35), "alike"),
    ],
)
def test_scores_that_moved_alone_are_a_shift_by_their_histogram_or_their_mean(
    counts: tuple[list[int], list[int]], means: tuple[float, float], verdict: str
) -> None:
    moved = shift_of_counts("probability", "predicted churn probability", ["low", "high"], *counts)
    found = compared(columns(1000, 3), score=moved, means=means)
    assert found.verdict == verdict
    assert f"the mean prediction is {100 * means[1]:.1f}%, was 25.0%" in found.sentence
    if verdict == "shifted":
        assert found.sentence.startswith("The scores have shifted against those the model was judged by: the mean")


@pytest.mark.parametrize(("customers", "verdict"), [(99, "few"), (100, "strong")])
def test_too_few_customers_get_no_verdict(customers: int, verdict: str) -> None:
    found = compared(columns(customers, 4, monthly=1.0, later=50))
    assert found.verdict == verdict
    assert ("99 customers are too few" in found.sentence) == (verdict == "few")


def test_the_most_shifted_come_first_and_at_most_five() -> None:
    random = np.random.default_rng(5)
    before = {f"x{number}": random.normal(size=2000) for number in range(9)}
    after = {name: values + number / 9 for number, (name, values) in enumerate(before.items())}
    found = compared(after, before=before)
    assert [column.name for column in found.features] == ["x8", "x7", "x6", "x5", "x4"]
    assert (found.compared, found.customers, found.rows) == (9, 2000, 2000)
    assert f"{found.shifted - 2} more columns" in found.sentence


def test_many_texts_are_few_bins() -> None:
    towns = np.array([f"town {number % 300}" for number in range(3000)], dtype=object)
    found = compared({"town": towns}, before={"town": towns})
    assert len(found.features[0].bins) == 13
    assert found.verdict == "alike"
