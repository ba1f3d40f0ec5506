"""Joins and features on Spark: the same rows, to the last digit, as on a laptop."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from adapters.local.delta_table import DeltaVersion
from adapters.local.feature_store import LocalFeatureStore
from adapters.spark.feature_store import SparkFeatureStore
from adapters.spark.features import features_of
from adapters.spark.point_in_time import newest
from adapters.spark.tables import frame_of, spark_schema
from churn.data.contract import DatasetContract
from churn.data.training_set import bronze_to_features
from churn.ports.tables import FeatureStore, TableSpec
from tests.contract.feature_stores import FEATURES, LABELS, TIME, TRAINING, day, rows, table
from tests.contract.test_point_in_time_join import (  # noqa: F401  # the port's own cases, on the store below
    ARRIVALS,
    arriving,
    test_a_join_on_several_columns_matches_all_of_them,
    test_a_label_without_earlier_features_is_kept,
    test_the_join_equals_looking_at_every_row_of_a_larger_table,
    test_the_result_has_the_columns_of_both_and_the_spines_win,
    test_the_same_join_again_makes_no_new_version,
)
from tests.fakes.ports.tables import MemoryFeatureStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OWN_FEATURES = """
import numpy as np

def cents(charge):
    return np.round(charge * 100)
"""
CONTRACT = """
name: gym
description: members
entity_key: customer_id
label: {column: churned, positive: yes, negative: no, window_days: 30}
columns:
  plan: {type: categorical, nullable: true, description: plan}
  charge: {type: number, nullable: true, description: charge}
  months: {type: integer, nullable: true, description: months}
features:
  - {name: cents, compute: cents, inputs: [charge], description: cents}
  - {name: a_month, compute: ratio, inputs: [cents, months], description: cents a month}
  - {name: is_yearly, compute: count_equal, inputs: [plan], arguments: {value: one year}, description: yearly}
feature_module: own.py
"""


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> FeatureStore:
    return SparkFeatureStore(tmp_path / "a folder *", "telco")


@pytest.fixture(scope="module")
def disk(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return SparkFeatureStore(tmp_path_factory.mktemp("stores"), "telco")


def test_outcomes_and_features_that_were_not_known_by_then_are_left_out(store: FeatureStore) -> None:
    known = pa.array([day(6), day(7), None], TIME)
    spine = store.replace(LABELS, table([("a", 3), ("a", 4), ("a", 5)], label=[0, 1, 2], label_ts=known))
    arrived = pa.array([None, day(6.5)], TIME)
    features = store.replace(FEATURES, table([("a", 1), ("a", 2)], arrived_at=arrived, x=[1.0, 2.0]))
    assert rows(store, store.point_in_time_join(spine, features, TRAINING, known_by=day(6)), "label", "x") == [(0, 1.0)]


def test_what_spark_joins_has_the_digest_of_what_a_laptop_joins(store: FeatureStore, tmp_path: Path) -> None:
    laptop = LocalFeatureStore(tmp_path / "laptop", "telco")
    spine = table(
        [("a", 1), ("b", 2), ("z", 3)], label=pa.array([1, 0, None], pa.int8()), day=[dt.date(2024, 1, 2)] * 3
    )
    features = table([("a", 0), ("b", 0)], text=["ü", None], number=[1.5, float("nan")], flag=[True, None])
    refs = [
        each.point_in_time_join(each.replace(LABELS, spine), each.replace(FEATURES, features), TRAINING)
        for each in (store, laptop)
    ]
    assert refs[0].content_id == refs[1].content_id
    assert store.read(refs[0]).schema == laptop.read(refs[1]).schema


def test_a_column_that_came_later_is_missing_in_older_rows(spark: SparkSession, tmp_path: Path) -> None:
    store = LocalFeatureStore(tmp_path, "telco")
    store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    ref = store.upsert(FEATURES, table([("a", 2)], y=["new"]))
    found = frame_of(spark, DeltaVersion(Path(ref.uri), ref.version)).select("transaction_ts", "x", "y").toArrow()
    assert sorted(found.to_pylist(), key=lambda row: row["transaction_ts"]) == [
        {"transaction_ts": day(1), "x": 1.0, "y": None},
        {"transaction_ts": day(2), "x": None, "y": "new"},
    ]


def test_a_table_of_another_program_is_read_in_the_types_that_tables_hold(spark: SparkSession, tmp_path: Path) -> None:
    naive = pa.array([dt.datetime(2024, 1, 1, 12)], pa.timestamp("us"))
    write_deltalake(tmp_path / "t", pa.table({"at": naive, "price": pa.array(["1.50"]).cast(pa.decimal128(6, 2))}))
    version = DeltaVersion(tmp_path / "t")
    found = frame_of(spark, version)
    assert found.schema == spark_schema(version.schema)
    assert found.toArrow().to_pylist() == [{"at": dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC), "price": 1.5}]


@pytest.mark.parametrize(("as_of", "max_age"), [(0.5, None), (20, None), (20, 3), (200, 2)])
def test_the_newest_row_of_each_customer_is_the_one_that_was_known(
    spark: SparkSession, as_of: float, max_age: int | None
) -> None:
    age = None if max_age is None else dt.timedelta(days=max_age)
    drawn = {(f"c{number % 7}", number % 31, number % 31 + number % 5 - 1) for number in range(0, 400, 3)}
    store = MemoryFeatureStore()
    ref = store.replace(TableSpec(name="features", key=ARRIVALS), arriving(drawn))
    expected = store.latest_rows(ref, day(as_of), ["customer_id", "x"], max_age=age).read_all()
    found = newest(spark.createDataFrame(store.read(ref)), ["customer_id"], day(as_of), age).toArrow()
    assert found.select(["customer_id", "x"]).sort_by("customer_id").equals(expected.sort_by("customer_id"))


def test_features_on_spark_are_those_of_the_laptop_and_ones_own_functions_travel(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN_FEATURES)
    (tmp_path / "contract.yaml").write_text(CONTRACT)
    contract = DatasetContract.load(tmp_path / "contract.yaml")
    random = np.random.default_rng(3)
    plans = [*["one year", " two years ", "", "Ünlimited"] * 500, *[None] * 500]
    charges = pa.array(random.uniform(0, 99, 2500), mask=random.random(2500) < 0.1)
    months = pa.array(random.integers(0, 9, 2500), mask=random.random(2500) < 0.1)
    keys = [(f"c{number}", float(number % 40)) for number in range(2500)]
    bronze = table(keys, plan=plans, charge=charges, months=months, churned=["no"] * 2500)
    expected = bronze_to_features(bronze, contract)
    frame = spark.createDataFrame(bronze).repartition(3)
    found = features_of(frame, contract).toArrow().cast(expected.schema).sort_by("customer_id")
    (tmp_path / "own.py").unlink()  # a worker elsewhere does not have it
    assert found.equals(expected.sort_by("customer_id"))
    assert found["cents"].null_count == charges.null_count
    assert features_of(frame, contract).toArrow().num_rows == 2500
