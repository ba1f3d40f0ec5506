from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from churn.data.contract import DatasetContract
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import SplitSettings, labels_of

CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "member_id",
        "event_time": {"column": "month"},
        "label": {
            "column": "left",
            "positive": "Yes",
            "negative": "No",
            "window_days": 30,
            "delay_days": 5,
            "known_at": "told",
        },
        "columns": {"visits": {"type": "integer", "description": "visits a month"}},
        "truth": "p",
    }
)
ROW = {"member_id": "m1", "month": "2025-01-01", "visits": 3, "left": "Yes", "told": None, "p": 0.4}


def labels(*changes: dict[str, object]) -> pd.DataFrame:
    rows = pd.DataFrame([{**ROW, "member_id": f"m{position}", **change} for position, change in enumerate(changes)])
    batch = conform(Source("gym", pa.Table.from_pandas(rows, preserve_index=False)), CONTRACT)
    return labels_of(to_bronze(batch.frame, CONTRACT), CONTRACT, SplitSettings()).to_pandas()


def test_an_outcome_that_is_not_known_is_no_label() -> None:
    table = labels({"left": "Yes"}, {"left": "No"}, {"left": None})
    assert table["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("told", "usable"),
    [
        (None, "2025-02-05"),
        ("2025-03-10", "2025-03-10"),
        ("2025-01-06", "2025-01-31"),
    ],
    ids=["window and delay", "told late", "told early, used when the window closes"],
)
def test_a_label_may_be_used_when_it_is_known_and_its_window_has_closed(told: str | None, usable: str) -> None:
    assert labels({"told": told})["label_ts"].tolist() == [pd.Timestamp(usable, tz="UTC")]


def test_the_truth_of_a_simulation_travels_with_the_label() -> None:
    assert labels({"p": 0.25})["true_probability"].tolist() == [0.25]


def test_all_rows_of_a_customer_are_on_one_side() -> None:
    table = labels(*({"member_id": f"m{n % 40}", "month": f"2025-0{1 + n // 40}-01"} for n in range(120)))
    assert set(table["split"]) == {"train", "holdout"}
    assert (table.groupby("member_id")["split"].nunique() == 1).all()


def test_outcomes_that_were_stored_in_another_spelling_are_read() -> None:
    label = CONTRACT.label.model_copy(update={"positive": "true", "negative": "false"})
    batch = conform(Source("gym", pa.Table.from_pylist([ROW, {**ROW, "member_id": "m2"}])), CONTRACT)
    stored = to_bronze(batch.frame.assign(raw_label=["True", "False"]), CONTRACT)
    read = labels_of(stored, CONTRACT.model_copy(update={"label": label}), SplitSettings())
    assert read["label"].to_pylist() == [1, 0]
