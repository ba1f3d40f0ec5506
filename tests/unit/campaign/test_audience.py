"""Who is on a list, and what customers of lower risk have: for any table, from a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn.campaign.plan import Plan
from churn.data.contract import ColumnSpec
from tests.fakes.data.campaigns import ENTITY, batch, listed, planned

INTERNET = ["DSL", "Fiber", "No"]
COLUMNS = {
    "internet": ColumnSpec(type="categorical", description="internet connection"),
    "security": ColumnSpec(type="categorical", description="online security", actionable=True),
    "price": ColumnSpec(type="number", description="monthly charges", actionable=True),
    "noise": ColumnSpec(type="number", description="nothing"),
}


def telephone(rows: int = 300, **columns: Any) -> tuple[pa.Table, pa.Table]:
    """Return predictions and facts: who has no internet churns least, then who has security; the dearer, the more."""
    numbers = np.arange(rows)
    internet = np.array(INTERNET)[numbers % 3]
    security = np.where(internet == "No", "No internet", np.where(numbers % 2, "Yes", "No"))
    price = 20 + numbers % 7
    risk = np.where(internet == "No", 0.2, np.where(security == "Yes", 0.4, 0.7)) + 0.01 * (price - 20)
    reasons = [f"online security: {value} (+0.80)" for value in security]
    given = {
        ENTITY: [f"c{number:04d}" for number in numbers],
        "internet": internet,
        "security": security,
        "price": price,
        "noise": pa.nulls(rows, pa.float64()),
    }
    predictions = batch(risk).drop_columns(["reason_1", "reason_2"])
    predictions = predictions.append_column("reason_1", [["internet connection: x (+0.90)"] * rows])
    predictions = predictions.append_column("reason_2", [reasons])
    return predictions, pa.table({**given, **columns})


def plan_of(predictions: pa.Table, facts: pa.Table) -> Plan:
    return planned(predictions, facts=facts, columns=COLUMNS)


def test_the_actionable_reason_is_apart_with_what_others_like_them_have() -> None:
    rows = listed(plan_of(*telephone())).to_pylist()
    without = next(row for row in rows if row["reason_2"].startswith("online security: No ("))
    assert without["actionable_reason"] == "online security: No (strong)"
    assert without["what_would_change_it"] == "online security: Yes (43% churn expected there, 73% here)"
    safest = [row["what_would_change_it"] for row in rows if row["reason_2"].startswith("online security: Yes")]
    assert set(safest) == {None}


@pytest.mark.parametrize(("reason", "change"), [("monthly charges: 26 (+0.10)", "monthly charges: lower"), ("x", None)])
def test_of_a_number_the_direction_is_said_and_of_what_nobody_can_change_nothing(
    reason: str, change: str | None
) -> None:
    predictions, facts = telephone()
    only = predictions.drop_columns("reason_2").append_column("reason_2", [[reason] * predictions.num_rows])
    # The charges alone tell the risks apart here.
    only = only.set_column(
        only.column_names.index("probability"), "probability", [0.3 + 0.02 * facts["price"].to_numpy()]
    )
    assert {row["what_would_change_it"] for row in listed(plan_of(only, facts)).to_pylist()} == {change}


def test_without_facts_there_is_no_picture_and_an_actionable_reason_all_the_same() -> None:
    predictions, _ = telephone()
    made = planned(predictions, columns=COLUMNS)
    assert made.campaign.audience is None
    assert {row["actionable_reason"] for row in listed(made).to_pylist() if row["reason_2"][17:19] == "No"} >= {
        "online security: No (strong)"
    }
    assert {row["what_would_change_it"] for row in listed(made).to_pylist()} == {None}


def test_the_two_columns_are_those_that_tell_the_risks_apart_together() -> None:
    audience = plan_of(*telephone()).campaign.audience
    assert audience is not None
    assert {audience.down, audience.across} == {"online security", "monthly charges"}
    assert sum(map(sum, audience.customers)) == audience.sampled == 300
    assert sum(map(sum, audience.contacted)) == plan_of(*telephone()).campaign.plan.contacts


@pytest.mark.parametrize(
    "columns",
    [
        {"internet": ["DSL"] * 300, "security": ["Yes"] * 300, "price": [1] * 300},
        {"internet": pa.nulls(300, pa.string()), "security": pa.nulls(300, pa.string()), "price": pa.nulls(300)},
    ],
)
def test_where_nothing_tells_them_apart_there_is_no_picture(columns: dict[str, Any]) -> None:
    predictions, facts = telephone(**columns)
    assert plan_of(predictions, facts).campaign.audience is None


def test_many_texts_are_grouped_and_missing_values_named() -> None:
    predictions, facts = telephone(internet=[f"town {number % 40}" if number % 5 else None for number in range(300)])
    audience = plan_of(predictions, facts.drop_columns("price")).campaign.audience
    assert audience is not None
    towns = audience.rows if audience.down == "internet connection" else audience.columns
    assert towns[-2:] == ("other", "not known")
    assert len(towns) == 8


@pytest.mark.slow
def test_of_a_large_batch_a_sample_is_enough() -> None:
    predictions, facts = telephone(60_000)
    audience = plan_of(predictions, facts).campaign.audience
    assert audience is not None
    assert audience.sampled == 20_000
