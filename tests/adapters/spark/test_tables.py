"""Tables and their newest rows on Spark: the same rows, to the last digit, as on a laptop."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from adapters.local.delta_table import DeltaVersion
from adapters.local.feature_store import LocalFeatureStore
from adapters.local.spark_frames import delta_frame
from adapters.spark.frames import newest, spark_schema
from churn.ports.tables import TableSpec
from tests.contract.feature_stores import FEATURES, day, table
from tests.contract.test_point_in_time_join import ARRIVALS, arriving
from tests.fakes.ports.tables import MemoryFeatureStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_column_that_came_later_is_missing_in_older_rows(spark: SparkSession, tmp_path: Path) -> None:
    store = LocalFeatureStore(tmp_path, "telco")
    store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    ref = store.upsert(FEATURES, table([("a", 2)], y=["new"]))
    found = delta_frame(spark, ref).select("transaction_ts", "x", "y").toArrow()
    assert sorted(found.to_pylist(), key=lambda row: row["transaction_ts"]) == [
        {"transaction_ts": day(1), "x": 1.0, "y": None},
        {"transaction_ts": day(2), "x": None, "y": "new"},
    ]


def test_a_table_of_another_program_is_read_in_the_types_that_tables_hold(spark: SparkSession, tmp_path: Path) -> None:
    naive = pa.array([dt.datetime(2024, 1, 1, 12)], pa.timestamp("us"))
    write_deltalake(
        tmp_path / "telco" / "t", pa.table({"at": naive, "price": pa.array(["1.50"]).cast(pa.decimal128(6, 2))})
    )
    ref = LocalFeatureStore(tmp_path, "telco").latest("t")
    found = delta_frame(spark, ref)
    assert found.schema == spark_schema(DeltaVersion(Path(ref.uri), ref.version).schema)
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
