"""Spark does what a laptop does: scoring and the newest rows, to the last digit, whatever becomes of the workers.

One file, so that one worker starts Java for all of it: that takes longer than any of these tests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from adapters.local.batch_engine import LocalBatchEngine
from adapters.local.delta_table import DeltaVersion
from adapters.local.feature_store import LocalFeatureStore
from adapters.local.spark_frames import delta_frame
from adapters.mlflow.load import PackagedScorer, load_package
from adapters.mlflow.package import build_package
from adapters.spark.engine import SparkBatchEngine
from adapters.spark.frames import newest, spark_schema
from adapters.spark.scoring import scored
from adapters.spark.session import spark_session
from adapters.spark.shipping import ShippedPackage
from churn.core.errors import ModelError, StoreError
from churn.data.contract import DatasetContract
from churn.data.tables import INGESTED_AT
from churn.ports.batch import Batch, BatchEngine, BatchResult
from churn.ports.tables import TableRef, TableSpec
from tests.contract.feature_stores import FEATURES, TIME, day, table
from tests.contract.test_point_in_time_join import ARRIVALS, arriving
from tests.fakes.data.scorers import customers, small_scorer
from tests.fakes.ports.tables import MemoryFeatureStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[3]
CONTRACT = DatasetContract.load(ROOT / "configs" / "datasets" / "telco.yaml")
PLANS = ["Month-to-month", "Two year", " Two year ", "Never seen", "", None]


def feature_rows(rows: int = 6000) -> pa.Table:
    """Return several rows a customer: unseen and unusual values, gaps, late arrivals, and some with nothing in them."""
    random = np.random.default_rng(5)
    keys = sorted({(int(who), int(when)) for who, when in random.integers(0, [2000, 50], (rows, 2))})
    size = len(keys)
    empty = random.random(size) < 0.01
    late = random.integers(-8, 10, size).tolist()

    def numbers(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=empty | (random.random(size) < 0.05))

    return pa.table(
        {
            "customer_id": [f"c{who}" for who, _ in keys],
            "transaction_ts": pa.array([day(when) for _, when in keys], TIME),
            "arrived_at": pa.array(
                [None if lag < -4 else day(when + lag) for (_, when), lag in zip(keys, late, strict=True)], TIME
            ),
            "not_for_the_model": ["x"] * size,
            "total_charges": numbers(random.choice([0.0, np.inf, np.nan, 18.8, 4000.0], size)),
            "contract": pa.array(
                [None if gone else plan for gone, plan in zip(empty, random.choice(PLANS, size), strict=True)],
                pa.string(),
            ),
            "tenure": numbers(random.integers(0, 72, size)),
            "monthly_charges": numbers(random.uniform(20, 120, size)),
        }
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> PackagedScorer:
    folder = tmp_path_factory.mktemp("model") / "package"
    return load_package(build_package(small_scorer(boosted=True), folder, example=customers(), metadata={}))


def spark_engine(store: LocalFeatureStore, folder: Path, package: PackagedScorer) -> SparkBatchEngine:
    return SparkBatchEngine(store, folder, ShippedPackage.of(package.folder, package.digest), delta_frame)


def batch_of(features: TableRef, as_of: dt.datetime) -> Batch:
    return Batch(
        batch_id="b1",
        entity="customer_id",
        model_name="m",
        model_version=3,
        model_alias="Champion",
        threshold_policy="policy",
        inputs=("contract", "tenure", "monthly_charges", "total_charges"),
        features=features,
        as_of=as_of,
        scored_at=day(60),
        explain="all",
        top_reasons=3,
        predictions=CONTRACT.table("predictions"),
        quarantine=CONTRACT.table("quarantine"),
        max_age=dt.timedelta(days=30),
    )


@pytest.fixture
def features(tmp_path: Path) -> tuple[LocalFeatureStore, TableRef]:
    store = LocalFeatureStore(tmp_path / "a folder", "telco")
    return store, store.replace(CONTRACT.table("features"), feature_rows())


Told = list[tuple[int, int, str]]


def run(engine: BatchEngine, features: TableRef, as_of: float = 45) -> tuple[BatchResult, Told]:
    told: Told = []
    return engine.score(batch_of(features, day(as_of)), lambda *event: told.append(event)), told


def content(store: LocalFeatureStore, name: str) -> pa.Table:
    return store.read(store.latest(name)).drop_columns([INGESTED_AT])


@pytest.fixture(scope="module")
def alone(java: None, package: PackagedScorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which both engines scored the same customers, Spark with a session of its own."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("local", "spark"):
        store = LocalFeatureStore(folder / name, "telco")
        ref = store.replace(CONTRACT.table("features"), feature_rows())
        work = folder / f"{name} work"
        engine = spark_engine(store, work, package) if name == "spark" else LocalBatchEngine(store, work, package)
        run(engine, ref)
    return folder


@pytest.fixture(scope="module")
def spark(alone: Path, spark: SparkSession) -> SparkSession:
    """The session of a cluster, opened after the engine had to do without."""
    return spark


def test_spark_writes_what_a_laptop_writes_row_for_row(alone: Path) -> None:
    local, spark = (LocalFeatureStore(alone / name, "telco") for name in ("local", "spark"))
    predictions = content(local, "churn_predictions")
    assert content(spark, "churn_predictions").equals(predictions)
    assert predictions.num_rows > 1500
    assert set(predictions["decision"].to_pylist()) == {"treat", "leave"}
    aside = [content(store, "quarantine").to_pylist() for store in (local, spark)]
    assert aside[0]
    assert aside[0] == aside[1]


def test_a_spark_of_our_own_leaves_only_its_log(alone: Path) -> None:
    from pyspark import SparkContext

    scratch = alone / "spark work" / "b1" / "spark-scratch"
    assert [path.name for path in scratch.iterdir()] == ["spark.log"]
    assert SparkContext._active_spark_context is None


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # PySpark's, to a Java that never was
def test_a_java_that_cannot_start_is_no_riddle(alone: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"Spark gave up \(.+\)\. See .*spark\.log"),
        spark_session(tmp_path, memory="9999999TB"),
    ):
        pytest.fail("Spark was started")
    assert "object heap" in (tmp_path / "spark.log").read_text()


def test_what_goes_wrong_in_spark_says_where_to_look(spark: SparkSession, tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"Spark gave up \(.*`no_such`.*\)\. See .*spark\.log, or .* --engine local"),
        spark_session(tmp_path) as session,
    ):
        session.sql("SELECT no_such FROM range(1)").collect()


def test_a_batch_on_a_cluster_is_one_on_a_laptop(
    spark: SparkSession, package: PackagedScorer, features: tuple[LocalFeatureStore, TableRef], tmp_path: Path
) -> None:
    store, ref = features
    local, _ = run(LocalBatchEngine(store, tmp_path / "local", package), ref, as_of=20)
    work, told = run(spark_engine(store, tmp_path / "spark", package), ref, as_of=20)
    assert work.table == local.table, "the same content is no new version"
    assert [(done, total) for done, total, _ in told] == [(work.scored + work.quarantined,) * 2]
    assert work.unseen == local.unseen
    assert work.missing == local.missing
    assert work.rejected == local.rejected
    assert work.scores == local.scores
    assert work.treated == local.treated
    assert work.value_at_stake == pytest.approx(local.value_at_stake)
    assert work.resumed == 0
    assert spark.range(3).count() == 3, "the cluster's session is still there"


def test_work_that_spark_had_done_is_not_done_again_and_half_of_it_is(
    spark: SparkSession, package: PackagedScorer, features: tuple[LocalFeatureStore, TableRef], tmp_path: Path
) -> None:
    store, ref = features
    engine = spark_engine(store, tmp_path / "work", package)
    first, _ = run(engine, ref)
    again, told = run(engine, ref)
    assert (again.table, again.resumed, told) == (first.table, first.scored + first.quarantined, [])
    (tmp_path / "work" / "b1" / "spark" / "_SUCCESS").unlink()
    part = next((tmp_path / "work" / "b1" / "spark").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    repeated, told = run(engine, ref)
    assert (repeated.table, repeated.resumed, len(told)) == (first.table, 0, 1)
    engine.forget("b1")
    assert not (tmp_path / "work" / "b1").exists()


def test_a_model_that_is_not_what_was_sent_is_not_run_by_a_worker(
    spark: SparkSession, package: PackagedScorer, features: tuple[LocalFeatureStore, TableRef], tmp_path: Path
) -> None:
    store, ref = features
    engine = spark_engine(store, tmp_path / "work", package)
    with pytest.raises(ModelError, match=r"its digest is .* and the registered one is 0000"):
        run(replace(engine, package=replace(engine.package, digest="0" * 64)), ref)
    assert not (tmp_path / "a folder" / "telco" / "churn_predictions").exists()


def test_spark_scores_a_table_without_rows(spark: SparkSession, package: PackagedScorer) -> None:
    customers = spark.createDataFrame(feature_rows(10).slice(0, 0))
    shipped = ShippedPackage.of(package.folder, package.digest)
    assert scored(customers, shipped, entity="customer_id", top_reasons=3).toArrow().num_rows == 0


def test_the_registered_model_is_a_function_of_spark(spark: SparkSession, package: PackagedScorer) -> None:
    import mlflow
    from pyspark.sql.functions import struct

    rows = customers(300)
    schema = "probability double, decision string, expected_value double, reasons array<string>"
    predict = mlflow.pyfunc.spark_udf(spark, str(package.folder), result_type=schema, env_manager="local")
    scores = (
        spark.createDataFrame(rows).repartition(2).select("customer_id", predict(struct(*package.inputs)).alias("p"))
    )
    found = scores.select("customer_id", "p.*").toArrow().to_pylist()
    expected = rows[["customer_id"]].join(package.score(rows)).to_dict("records")
    assert sorted(found, key=repr) == sorted(expected, key=repr)


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
