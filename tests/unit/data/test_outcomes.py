from __future__ import annotations

import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import NotEnoughData
from churn.data.contract import DatasetContract
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import SplitSettings
from churn.data.outcomes import Needed, Outcomes, outcomes_of

CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "member_id",
        "event_time": {"column": "month"},
        "label": {"column": "left", "positive": "1", "negative": "0", "window_days": 30},
        "columns": {"visits": {"type": "integer", "description": "visits a month"}},
    }
)
NEEDED = Needed(train=5, holdout=10, gate=30)


def outcomes(*left: str | None, month: str = "2025-01-01") -> Outcomes:
    rows = pd.DataFrame({"member_id": [f"m{n}" for n in range(len(left))], "left": left}).assign(month=month, visits=1)
    frame = conform(Source("gym", pa.Table.from_pandas(rows, preserve_index=False)), CONTRACT).frame
    bronze = to_bronze(frame, CONTRACT)
    return outcomes_of(
        lambda columns: bronze.select(columns).to_batches(100),
        CONTRACT,
        SplitSettings(holdout_share=0.5),
        cutoff=dt.datetime(2025, 6, 1, tzinfo=dt.UTC),
        enough=max(NEEDED),
    )


@pytest.mark.parametrize(("value", "what"), [("0", "stayed"), ("1", "churned")])
def test_one_class_is_told_with_the_column_and_its_value(value: str, what: str) -> None:
    found = outcomes(*[value] * 600, None)
    with pytest.raises(NotEnoughData, match=rf"learned from {what}: 'left' is '{value}' in 600 rows\. A model"):
        found.require(NEEDED)
    assert found.remark(NEEDED).startswith(f"left is '{value}' in 600 rows, not known in 1. Not enough to train")


def test_too_few_churners_of_a_side_are_told_with_what_they_are_needed_for() -> None:
    with pytest.raises(NotEnoughData, match=r"\d customers of the holdout rows churned, and 10 are needed to evaluate"):
        outcomes(*["0"] * 500, *["1"] * 12).require(NEEDED)
    with pytest.raises(NotEnoughData, match=r"\d customers of the training rows churned, and 5 are needed so that"):
        outcomes(*["0"] * 500, *["1"] * 3).require(NEEDED)


def test_what_the_gate_will_miss_is_told_and_stops_nothing() -> None:
    found = outcomes(*["0"] * 500, *["1"] * 40)
    found.require(NEEDED)
    assert "customers of the holdout rows churned, and 30 are needed for a verdict of the gate" in found.remark(NEEDED)
    assert outcomes(*["0", "1"] * 100).remark(NEEDED) == "left is '0' in 100 rows, '1' in 100 rows"


def test_outcomes_that_may_not_be_learned_from_yet_are_no_class() -> None:
    found = outcomes(*["0", "1"] * 100, month="2025-05-15")
    found.require(NEEDED)
    assert not any(found.customers.values())
