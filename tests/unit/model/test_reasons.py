"""Reason codes and importance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.core.errors import ModelError
from churn.model.frame import Columns
from churn.model.reasons import SMALLEST, global_importance, ranked_reasons


@dataclass(frozen=True)
class Feature:
    name: str
    description: str
    actionable: bool = False


CONTRACT = Feature("contract", "length of the contract", actionable=True)
TENURE = Feature("tenure", "months as a customer")
CHARGES = Feature("charges", "monthly charges", actionable=True)
FEATURES = (CONTRACT, TENURE, CHARGES)


def columns(contract: str | None = "Month-to-month", tenure: float = 2.0, charges: float = 70.35) -> Columns:
    return {
        "contract": np.array([contract], dtype=object),
        "tenure": np.array([tenure]),
        "charges": np.array([charges]),
    }


def by_row(contributions: np.ndarray, values: Columns, **options: object) -> list[list[str]]:
    """Return the reasons of each row, strongest first."""
    ranked = ranked_reasons(contributions, values, FEATURES, **options)  # type: ignore[arg-type]
    return [[reason for reason in row if reason is not None] for row in zip(*ranked, strict=True)]


def reasons(*amounts: float, values: Columns | None = None, **options: object) -> list[str]:
    [found] = by_row(np.array([amounts]), values or columns(), **options)
    return found


def test_the_strongest_reason_comes_first_in_the_words_of_the_contract() -> None:
    assert reasons(0.3, 0.916, 0.61) == [
        "months as a customer: 2 (+0.92)",
        "monthly charges: 70.35 (+0.61)",
        "length of the contract: Month-to-month (+0.30)",
    ]


def test_the_bias_is_no_reason() -> None:
    assert reasons(0.3, 0.0, 0.0, 9.9) == ["length of the contract: Month-to-month (+0.30)"]


def test_what_lowers_the_risk_is_no_reason_for_it() -> None:
    assert reasons(0.3, -0.9, -0.2) == ["length of the contract: Month-to-month (+0.30)"]


def test_only_what_the_business_can_change_on_request() -> None:
    found = reasons(0.3, 0.9, 0.2, actionable_only=True)
    assert found == ["length of the contract: Month-to-month (+0.30)", "monthly charges: 70.35 (+0.20)"]


@pytest.mark.parametrize("top", [1, 2, 3, 9])
def test_no_more_reasons_than_asked_for(top: int) -> None:
    assert len(reasons(0.3, 0.9, 0.2, top=top)) == min(top, 3)


def test_no_reasons_are_ranked_where_none_are_asked_for() -> None:
    assert ranked_reasons(np.ones((2, 3)), columns(), FEATURES, top=0) == []


def test_of_two_as_strong_the_first_feature_comes_first() -> None:
    found = reasons(0.4, 0.4, 0.4, top=2)
    assert [reason.partition(":")[0] for reason in found] == ["length of the contract", "months as a customer"]


def test_a_contribution_that_would_print_as_nothing_is_no_reason() -> None:
    assert reasons(SMALLEST, np.nextafter(SMALLEST, 1), 0.0) == ["months as a customer: 2 (+0.01)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (-3.0, "-3"),
        (70.35, "70.35"),
        (0.5, "0.5"),
        (100.0, "100"),
        (1889.5, "1,889.5"),
        (1234567.0, "1,234,567"),
        (0.0034, "0.0034"),
        (0.0, "0"),
        (-0.0, "0"),
        (float("nan"), "not known"),
    ],
)
def test_a_number_reads_as_people_write_it(value: float, text: str) -> None:
    assert reasons(0, 0, 0.5, values=columns(charges=value)) == [f"monthly charges: {text} (+0.50)"]


def test_a_missing_category_is_not_known() -> None:
    assert reasons(0.5, 0, 0, values=columns(contract=None)) == ["length of the contract: not known (+0.50)"]


def test_each_row_has_reasons_of_its_own() -> None:
    table = {
        "contract": np.array(["One year", None, "One year"], dtype=object),
        "tenure": np.array([1.0, 2.0, np.nan]),
        "charges": np.array([10.0, 20.0, 30.0]),
    }
    amounts = np.array([[0.5, 0.1, -1.0, 0], [-0.5, -0.1, -1.0, 0], [0.1, 0.5, 0.0, 0]])
    assert by_row(amounts, table) == [
        ["length of the contract: One year (+0.50)", "months as a customer: 1 (+0.10)"],
        [],
        ["months as a customer: not known (+0.50)", "length of the contract: One year (+0.10)"],
    ]


def test_no_rows_have_no_reasons() -> None:
    empty = {feature.name: np.array([], dtype=object) for feature in FEATURES}
    assert by_row(np.empty((0, 4)), empty) == []


@given(st.lists(st.lists(st.floats(-3, 3), min_size=3, max_size=3), min_size=1, max_size=5))
def test_reasons_are_those_a_plain_sort_finds(amounts: list[list[float]]) -> None:
    table = {feature.name: np.array(["x"] * len(amounts), dtype=object) for feature in FEATURES}
    for row, found in zip(amounts, by_row(np.array(amounts), table), strict=True):
        order = sorted(range(3), key=lambda index: (-row[index], index))
        expected = [FEATURES[index].description for index in order if row[index] > SMALLEST]
        assert [reason.partition(":")[0] for reason in found] == expected


@pytest.mark.parametrize("shape", [(1, 2), (1, 5), (3,)])
def test_contributions_need_one_column_a_feature(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="for 3 features"):
        ranked_reasons(np.zeros(shape), columns(), FEATURES)


def test_importance_is_the_mean_absolute_contribution_greatest_first() -> None:
    amounts = np.array([[0.1, -2.0, 0.5, 7.0], [-0.3, 1.0, 0.5, 7.0]])
    importance = global_importance(amounts, ["contract", "tenure", "charges"])
    assert list(importance) == ["tenure", "charges", "contract"]
    assert importance == pytest.approx({"tenure": 1.5, "charges": 0.5, "contract": 0.2})


def test_equal_importance_is_ordered_by_name() -> None:
    assert list(global_importance(np.ones((2, 3)), ["b", "c", "a"])) == ["a", "b", "c"]


def test_importance_needs_customers() -> None:
    with pytest.raises(ModelError, match="at least one row"):
        global_importance(np.empty((0, 3)), ["a", "b", "c"])
