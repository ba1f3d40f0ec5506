"""From bronze rows to a training set: what is stored, what is computed on demand, what may be learned from."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import NotEnoughData
from churn.data.contract import DatasetContract
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import SplitSettings, labels_of
from churn.data.leakage import LeakageSettings, check_training_set
from churn.data.training_set import TrainingSet, bronze_to_features, read_side, read_training_set
from churn.ports.tables import TableRef
from tests.fakes.ports.tables import MemoryFeatureStore

CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "member_id",
        "event_time": {"column": "month", "arrived_at": "arrived"},
        "label": {"column": "left", "positive": "Yes", "negative": "No", "window_days": 30},
        "columns": {
            "visits": {"type": "integer", "nullable": True, "description": "visits a month"},
            "fee": {"type": "number", "description": "monthly fee"},
            "plan": {"type": "categorical", "description": "plan"},
        },
        "features": [
            {"name": "price", "compute": "ratio", "inputs": ["fee", "visits"], "description": "price of a visit"},
            {
                "name": "premium",
                "compute": "difference",
                "inputs": ["fee", "price"],
                "description": "fee above it",
                "on_demand": True,
            },
        ],
        "truth": "p",
    }
)
ROW: dict[str, Any] = {"member_id": "m", "month": "2025-01-01", "visits": 4, "fee": 10.0, "plan": "gold", "left": "No"}
NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)


def bronze(*changes: dict[str, Any]) -> pa.Table:
    rows = pd.DataFrame([ROW | {"p": 0.2} | change for change in changes])
    batch = conform(Source("gym", pa.Table.from_pandas(rows, preserve_index=False)), CONTRACT)
    return to_bronze(batch.frame, CONTRACT)


def stored(rows: pa.Table, cutoff: dt.datetime = NOW) -> tuple[MemoryFeatureStore, TableRef]:
    """What the pipeline's steps make of the rows."""
    store = MemoryFeatureStore("gym")
    features = store.replace(CONTRACT.table("features"), bronze_to_features(rows, CONTRACT))
    labels = store.replace(CONTRACT.table("labels"), labels_of(rows, CONTRACT, SplitSettings()))
    return store, store.point_in_time_join(labels, features, CONTRACT.table("training"), known_by=cutoff)


def joined(rows: pa.Table, cutoff: dt.datetime = NOW) -> pa.Table:
    store, ref = stored(rows, cutoff)
    return store.read(ref)


def visitors(rows: int) -> pa.Table:
    outcomes = ["Yes", "No", "No"]
    return bronze(*({"member_id": f"m{row}", "visits": row, "left": outcomes[row % 3]} for row in range(rows)))


def members(rows: int) -> TrainingSet:
    return read_training_set(joined(visitors(rows)), CONTRACT)


def test_the_feature_table_holds_inputs_and_stored_features_and_nothing_of_the_outcome() -> None:
    rows = bronze({"visits": 4}, {"member_id": "n", "visits": 0})
    table = bronze_to_features(rows.append_column("ingested_at", pa.array([NOW] * 2)), CONTRACT)
    times = {"transaction_ts", "arrived_at", "ingested_at"}
    assert set(table.column_names) == {"member_id", *times, "visits", "fee", "plan", "price"}
    assert table["price"].to_pylist() == [2.5, None]
    assert table.schema.field("price").type == pa.float64()


def test_a_feature_of_text_is_stored_as_text(tmp_path: Any) -> None:
    module = tmp_path / "own.py"
    module.write_text(
        "def shout(plan):\n    import numpy as np\n    return np.array([p and p.upper() for p in plan])\n"
    )
    spec = {"name": "loud", "compute": "shout", "inputs": ["plan"], "kind": "categorical", "description": "loud"}
    own = CONTRACT.model_dump(mode="json") | {"features": [spec], "feature_module": str(module)}
    table = bronze_to_features(bronze({}, {"plan": None}), DatasetContract.model_validate(own))
    assert table["loud"].to_pylist() == ["GOLD", None]


def test_features_on_demand_are_computed_from_what_is_stored() -> None:
    training = read_training_set(joined(bronze({})), CONTRACT)
    assert {name: values.tolist() for name, values in training.columns.items()} == {
        "visits": [4.0],
        "fee": [10.0],
        "plan": ["gold"],
        "price": [2.5],
        "premium": [7.5],
    }


def test_a_row_of_the_training_set_knows_whose_it_is_and_when() -> None:
    training = read_training_set(joined(bronze({"left": "Yes"})), CONTRACT)
    (row,) = training.rows.to_dict("records")
    day = pd.Timestamp("2025-01-01", tz="UTC")
    assert row["member_id"] == "m"
    assert (row["transaction_ts"], row["feature_ts"], row["label_ts"]) == (day, day, day + pd.Timedelta(days=30))
    assert (row["label"], row["split"] in ("train", "holdout"), row["true_probability"]) == (1, True, 0.2)


def test_features_that_arrived_after_the_row_are_missing_and_the_row_stays() -> None:
    training = read_training_set(joined(bronze({"arrived": "2025-01-05"})), CONTRACT)
    assert training.rows["feature_ts"].isna().tolist() == [True]
    assert np.isnan(training.columns["fee"].astype(float)).all()
    assert training.columns["plan"].tolist() == [None]


def test_the_sides_of_the_split_share_no_member_and_lose_no_row() -> None:
    whole = members(40)
    train, holdout = whole.side("train"), whole.side("holdout")
    assert len(train.rows) + len(holdout.rows) == 40
    assert 0 < len(holdout.rows) < len(train.rows)
    assert not set(train.rows["member_id"]) & set(holdout.rows["member_id"])
    for side in (train, holdout):
        assert side.columns["visits"].tolist() == [int(member[1:]) for member in side.rows["member_id"]]


def test_a_side_that_is_read_is_that_side_and_says_how_many_rows_it_has() -> None:
    store, ref = stored(visitors(40))
    for side in ("train", "holdout"):
        found, available = read_side(store, ref, CONTRACT, side, limit=40, seed=0)  # type: ignore[arg-type]
        expected = members(40).side(side)  # type: ignore[arg-type]
        assert available == len(expected.rows)
        pd.testing.assert_frame_equal(found.rows, expected.rows)
        for name, values in expected.columns.items():
            np.testing.assert_array_equal(found.columns[name], values)


def test_of_a_large_side_whole_customers_are_drawn_the_same_for_the_same_seed() -> None:
    months = ("2025-01-01", "2025-02-01", "2025-03-01")
    rows = bronze(*({"member_id": f"m{row}", "month": at, "visits": row} for row in range(60) for at in months))
    store, ref = stored(rows)
    (first, available), (again, _), (other, _) = (
        read_side(store, ref, CONTRACT, "train", limit=60, seed=seed) for seed in (1, 1, 2)
    )
    assert available > 100
    assert set(first.rows.groupby("member_id").size()) == {3}
    assert 50 <= len(first.rows) <= 60
    assert first.rows.equals(again.rows)
    assert set(first.rows["member_id"]) != set(other.rows["member_id"])


def test_a_trainer_gets_columns_labels_and_members_of_the_same_rows() -> None:
    data = members(9).data
    assert data.label.dtype == np.int8
    assert dict(zip(data.entity, data.label, strict=True)) == {f"m{row}": int(row % 3 == 0) for row in range(9)}
    assert sorted(data.columns) == ["fee", "plan", "premium", "price", "visits"]


@pytest.mark.parametrize(
    ("probabilities", "truth"), [((0.2, 0.7), [0.2, 0.7]), ((0.2, None), None), ((None, None), None)]
)
def test_the_truth_counts_only_where_every_row_has_it(
    probabilities: tuple[float | None, ...], truth: list[float] | None
) -> None:
    changes = [{"member_id": f"m{row}", "p": p} for row, p in enumerate(probabilities)]
    found = read_training_set(joined(bronze(*changes)), CONTRACT).truth
    assert (None if found is None else found.tolist()) == truth


def test_a_contract_without_a_simulation_has_no_truth() -> None:
    table = joined(bronze({})).drop_columns(["true_probability"])
    assert read_training_set(table, CONTRACT).truth is None


def test_without_a_mature_outcome_the_window_and_the_cutoff_are_named() -> None:
    table = joined(bronze({})).slice(0, 0)
    with pytest.raises(NotEnoughData, match=r"No outcome of 'gym' .* its window of 30 days .* training_set\.cutoff"):
        read_training_set(table, CONTRACT)


def test_nothing_after_the_cutoff_may_be_known() -> None:
    store, ref = stored(visitors(60))
    known = members(60).rows["label_ts"].max().to_pydatetime()

    def failed(cutoff: dt.datetime, limit: int) -> list[str]:
        report = check_training_set(store, ref, CONTRACT, cutoff, LeakageSettings(max_rows=limit))
        return [check.name for check in report.checks if not check.passed]

    for limit in (1000, 30):  # times and sides are checked in every row, whatever is drawn for the features
        assert failed(known, limit) == []
        assert failed(known - dt.timedelta(microseconds=1), limit) == ["Nothing from the future"]


def test_a_feature_that_is_the_outcome_is_found() -> None:
    changes = [
        {
            "member_id": f"m{row}",
            "visits": row,
            "plan": "gone" if row % 3 else "here",
            "left": "Yes" if row % 3 else "No",
        }
        for row in range(60)
    ]
    report = check_training_set(*stored(bronze(*changes)), CONTRACT, NOW, LeakageSettings())
    assert "plan always tells the outcome" in next(c.finding for c in report.checks if c.name == "No copy of the label")
