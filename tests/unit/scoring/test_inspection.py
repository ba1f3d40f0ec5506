"""What the model reads, and what each value added to a prediction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from churn.data.contract import ColumnSpec
from churn.model.money import MoneySettings, optimal_threshold
from churn.scoring.inspection import contributions_of, describe
from churn.scoring.online import score_rows
from tests.fakes.data.endpoint import CONTRACT, FULL, EndpointCase

MODEL = EndpointCase().scorer(1)


def test_contributions_add_up_to_each_prediction() -> None:
    rows = [FULL, {**FULL, "contract": "Two year", "total_charges": None}, {"tenure": None}]
    scores = score_rows(MODEL, rows, explain=False)[0]
    for score, said in zip(scores, contributions_of(MODEL, rows, [200.0] * 3), strict=True):
        log_odds = said.base + sum(part.added for part in said.parts)
        assert 1 / (1 + math.exp(-log_odds)) == pytest.approx(score.probability, abs=1e-9)


def test_each_contribution_has_the_value_behind_it() -> None:
    (said,) = contributions_of(MODEL, [{**FULL, "total_charges": None}], [200.0])
    values = {part.name: part.value for part in said.parts}
    assert values == {**FULL, "total_charges": None, "price_rise": None}
    assert [part.name for part in said.parts] == [
        "contract",
        "tenure",
        "monthly_charges",
        "total_charges",
        "price_rise",
    ]


def test_the_threshold_is_that_of_the_customers_value() -> None:
    said = contributions_of(MODEL, [FULL, FULL], [200.0, 1000.0])
    assert [row.threshold for row in said] == optimal_threshold(np.array([200.0, 1000.0]), MoneySettings()).tolist()


def test_inputs_have_the_values_that_contract_or_training_know() -> None:
    said = describe(MODEL, CONTRACT)
    assert (said.key, said.currency, said.window_days) == ("customer_id", MoneySettings().currency, 30)
    assert [(column.name, column.type, column.nullable, column.actionable) for column in said.inputs] == [
        ("contract", "categorical", False, True),
        ("tenure", "integer", False, False),
        ("monthly_charges", "number", False, True),
        ("total_charges", "number", True, False),
    ]
    assert said.inputs[0].values == ("Month-to-month", "Two year")
    assert [column.name for column in said.features] == ["price_rise"]


def test_what_the_contract_allows_goes_before_what_training_knew() -> None:
    columns = {
        "contract": ColumnSpec(type="categorical", description="length", allowed=("Two year", "One year")),
        "tenure": ColumnSpec(type="integer", description="months", min=0, max=72),
    }
    contract, tenure = describe(MODEL, CONTRACT.model_copy(update={"columns": columns})).inputs[:2]
    assert (contract.values, tenure.min, tenure.max) == (("Two year", "One year"), 0, 72)
