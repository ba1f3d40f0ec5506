"""What the tables in Unity Catalog do beyond their port's suite, on a real engine."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from adapters.databricks.catalog import KEPT, TableText
from adapters.databricks.incoming import STAGING
from adapters.databricks.tables import UnityTables
from adapters.local.feature_store import LocalFeatureStore
from churn.ports.tables import FeatureStore, TableSpec
from tests.contract.feature_stores import FEATURES, LABELS, TIME, TRAINING, Ticking, day, rows, table
from tests.databricks.sail import SailCatalog, sail_catalog

SCORES = TableSpec(name="scores", key=("batch_id", "customer_id", "transaction_ts"))


@pytest.fixture
def catalog() -> SailCatalog:
    return sail_catalog()


@pytest.fixture
def store(catalog: SailCatalog) -> UnityTables:
    return UnityTables(catalog, "telco", clock=Ticking())


def customers(seed: int, months: int = 6) -> pa.Table:
    """Return customer-months of every type that tables hold, with gaps, odd numbers and rows that arrive late."""
    draw = np.random.default_rng(seed)
    keys = [
        (f"c'{number}" if number % 7 else f'ü "{number}"', 30.0 * month)
        for number in range(40)
        for month in range(months)
    ]
    size = len(keys)
    charges = draw.choice([0.0, -0.0, np.nan, np.inf, 1 / 3, 5e-324, 1e300], size)
    return table(
        keys,
        charges=pa.array([None if draw.random() < 0.2 else value for value in charges], pa.float64()),
        small=pa.array(draw.normal(size=size).astype(np.float32)),
        products=pa.array(draw.integers(-128, 128, size), pa.int8()),
        months=pa.array(draw.integers(-(2**62), 2**62, size)),
        active=pa.array(draw.choice([True, False], size)),
        plan=pa.array([["", "Fiber optic", "it's", "\\n", None][draw.integers(5)] for _ in keys], pa.string()),
        joined=pa.array([dt.date(1969, 12, 1) + dt.timedelta(days=int(draw.integers(40))) for _ in keys]),
        arrived_at=pa.array([day(at + draw.choice([0, 0, 45.5])) for _, at in keys], TIME),
    )


def outcomes(seed: int) -> pa.Table:
    draw = np.random.default_rng(seed)
    keys = sorted({(f"c'{draw.integers(1, 45)}", float(draw.integers(0, 200))) for _ in range(150)})
    known = [None if draw.random() < 0.1 else day(at + 30) for _, at in keys]
    return table(keys, label=pa.array(draw.integers(0, 2, len(keys)), pa.int8()), label_ts=pa.array(known, TIME))


def everything(store: FeatureStore) -> dict[str, Any]:
    """Write the same rows through a store, and return all that it has to say of them."""
    first, second = customers(1), customers(2, months=7).append_column("note", pa.array(["new"] * 280))
    written = [store.upsert(FEATURES, first), store.upsert(FEATURES, second), store.upsert(FEATURES, second)]
    labels = store.replace(LABELS, outcomes(3))
    scored = [
        store.replace_batch(
            SCORES, "batch_id", name, part.append_column("batch_id", pa.array([name] * len(part))).to_reader()
        )
        for name, part in (("one", first.slice(0, 50)), ("two", first.slice(20, 50)), ("one", second.slice(0, 10)))
    ]
    joined = [store.point_in_time_join(labels, written[-1], TRAINING, known_by=by) for by in (None, day(120))]

    def plain(found: pa.Table) -> list[str]:
        names = [name for name in found.column_names if name != "ingested_at"]
        return [str(found.schema.field(name).type) for name in names] + sorted(
            map(str, found.select(names).to_pylist())
        )

    newest = {
        str((at, age)): plain(
            store.latest_rows(written[-1], day(at), max_age=age and dt.timedelta(days=age)).read_all()
        )
        for at in (10, 61, 100.5, 400)
        for age in (None, 31)
    }
    return {
        "versions": [plain(store.read(ref)) for ref in (*written, labels, *scored, *joined)],
        "rows": [ref.rows for ref in (*written, labels, *scored, *joined)],
        "newest": newest,
        "one": plain(store.scan(scored[-1], where={"batch_id": "one"}).read_all()),
        "known": [store.known_until(written[-1], day(at)) for at in (-1, 75.5, 1000)],
    }


def test_the_tables_are_row_for_row_those_of_the_laptop(store: UnityTables, tmp_path: Path) -> None:
    found, expected = everything(store), everything(LocalFeatureStore(tmp_path, "telco", clock=Ticking()))
    for part, value in expected.items():
        assert found[part] == value, part


def test_rows_of_many_parts_go_through_a_table_that_is_dropped(catalog: SailCatalog) -> None:
    store = UnityTables(catalog, "telco", written_at_once=100)
    whole = customers(1)
    ref = store.upsert(FEATURES, whole.to_reader(max_chunksize=30))
    assert (ref.rows, store.replace(TableSpec(name="other", key=FEATURES.key), whole).content_id) == (
        240,
        ref.content_id,
    )
    assert catalog.tables() == ["features", "other"]


def test_a_large_table_is_read_in_parts_that_hold_each_row_once(catalog: SailCatalog) -> None:
    store = UnityTables(catalog, "telco", read_at_once=50)
    ref = store.upsert(FEATURES, customers(1))
    assert sorted(store.scan(ref, ["months"]).read_all()["months"].to_pylist()) == sorted(
        customers(1)["months"].to_pylist()
    )


def test_a_killed_writers_table_goes_after_a_day(store: UnityTables, catalog: SailCatalog) -> None:
    for began in (dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours) for hours in (23, 25)):
        catalog.create(f"{STAGING}{began:%Y%m%dt%H%M%S}_0a1b2c3d", catalog.session.sql("SELECT 1 AS a"), ())
    store.vacuum(day(0))
    [left] = catalog.tables()
    assert left.startswith(STAGING)


def test_delta_knows_the_isolation_and_how_long_versions_stay(store: UnityTables, catalog: SailCatalog) -> None:
    store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    path = catalog.path("features")
    configuration = DeltaTable(path).metadata().configuration  # another reader than the engine that wrote
    assert configuration["delta.isolationLevel"] == "Serializable"
    assert configuration["delta.deletedFileRetentionDuration"] == KEPT == configuration["delta.logRetentionDuration"]


def test_unity_catalog_is_told_what_a_table_and_its_columns_mean(catalog: SailCatalog) -> None:
    said = TableText(
        "it's a month", {"x": "a charge", "y": "later", "nowhere": "is no column"}, {"churn_dataset": "telco"}
    )
    store = UnityTables(catalog, "telco", texts={"features": said}, clock=Ticking())
    name, governed = catalog.name("features"), catalog.session.governed
    store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    assert "a charge" in DeltaTable(catalog.path("features")).schema().to_json()  # it came with the rows
    store.upsert(FEATURES, table([("a", 1)], x=[1.0], y=["p"]))
    assert f"ALTER TABLE {name} ALTER COLUMN `y` COMMENT 'later'" in governed
    assert governed[-2:] == [
        f"COMMENT ON TABLE {name} IS 'it\\'s a month'",
        f"ALTER TABLE {name} SET TAGS ('churn_dataset' = 'telco')",
    ]
    assert not any("nowhere" in statement for statement in governed)


def test_unity_catalog_is_told_the_key_once_and_again_where_columns_come(catalog: SailCatalog) -> None:
    store = UnityTables(catalog, "telco", clock=Ticking())
    for _ in range(2):
        store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    name = catalog.name("features")
    asked = [
        f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS `features_key`",
        f"ALTER TABLE {name} ALTER COLUMN `customer_id` SET NOT NULL",
        f"ALTER TABLE {name} ALTER COLUMN `transaction_ts` SET NOT NULL",
        f"ALTER TABLE {name} ADD CONSTRAINT `features_key` PRIMARY KEY (`customer_id`, `transaction_ts` TIMESERIES)",
    ]
    assert catalog.session.governed == asked
    store.upsert(FEATURES, table([("a", 2)], x=[1.0], y=[2]))
    assert catalog.session.governed == asked * 2


def test_a_key_that_is_null_in_older_rows_is_no_primary_key(catalog: SailCatalog) -> None:
    store = UnityTables(catalog, "telco", clock=Ticking())
    store.upsert(FEATURES, table([("a", 1)]))
    catalog.session.governed.clear()
    store.upsert(TableSpec(name="features", key=(*FEATURES.key, "part")), table([("a", 1)], part=[1]))
    assert not any("PRIMARY KEY" in statement or "`part`" in statement for statement in catalog.session.governed)


def test_a_version_that_was_removed_says_so_when_it_is_read(store: UnityTables) -> None:
    first = store.replace(FEATURES, table([("a", 1)], x=[1]))
    store.replace(FEATURES, table([("a", 1)], x=[2]))
    store.vacuum(day(100_000))
    with pytest.raises(Exception, match="has no version 0 that is the one referred to"):
        store.read(first)
    assert rows(store, store.latest("features"), "x") == [(2,)]
