"""How the laptop's feature store lays out its tables, and reads those of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from adapters.local.feature_store import LocalFeatureStore
from churn.core.errors import NotFound, StoreError
from churn.ports.tables import TableRef, TableSpec
from tests.adapters.local.delta_tables import FEATURES, KEY, START, TIME, assert_whole, files, some


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    return LocalFeatureStore(tmp_path, "telco")


def test_a_store_that_is_made_touches_no_disk(tmp_path: Path) -> None:
    store = LocalFeatureStore(tmp_path / "state", "telco")
    with pytest.raises(NotFound, match="no table 'features'"):
        store.latest("features")
    assert not (tmp_path / "state").exists()


def many(random: np.random.Generator, rows: int, **columns: Any) -> pa.Table:
    """Return rows with one time each, in microseconds, whose customer is the time's remainder by 50."""
    times = random.choice(10_000_000, rows, replace=False)
    customers = pa.array([f"c{number}" for number in range(50)]).take(pa.array(times % 50))
    return pa.table({"customer_id": customers, "transaction_ts": pa.array(times, TIME), "x": times * 0.5, **columns})


def test_a_join_of_many_files_and_row_groups_within_little_memory_is_exact(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    features, spine = many(random, 450_000), many(random, 200_000).drop_columns("x")
    roomy, narrow = (LocalFeatureStore(tmp_path, "telco", memory_limit=limit) for limit in ("1GB", "32MB"))
    for start in range(0, 450_000, 150_000):
        stored = roomy.upsert(FEATURES, features.slice(start, 150_000))
    labels = roomy.upsert(TableSpec(name="labels", key=KEY), spine)
    refs = [
        store.point_in_time_join(labels, stored, TableSpec(name=f"from_{i}", key=KEY))
        for i, store in enumerate((roomy, narrow))
    ]
    assert refs[0].content_id == refs[1].content_id
    result = roomy.read(refs[1], ["customer_id", "transaction_ts", "x"]).to_pandas()
    assert len(result) == 200_000
    known = features["transaction_ts"].cast(pa.int64()).to_numpy()
    for customer, rows in result.groupby("customer_id"):
        times = np.sort(known[known % 50 == int(customer[1:])])
        at = np.searchsorted(times, rows["transaction_ts"].astype("int64"), side="right")
        expected = np.where(at > 0, times[np.maximum(at, 1) - 1] * 0.5, np.nan)
        np.testing.assert_array_equal(rows["x"], expected)
    assert not list((tmp_path / "telco").glob(".spill-*"))


def test_a_join_that_needs_more_memory_than_it_may_use_says_so(tmp_path: Path) -> None:
    store = LocalFeatureStore(tmp_path, "telco", memory_limit="1MB")
    with pytest.raises(StoreError, match=r"features cannot be used: .*raise `resources\.memory_limit`"):
        store.upsert(FEATURES, many(np.random.default_rng(3), 200_000))


def test_rows_that_are_already_there_leave_no_files(store: LocalFeatureStore, tmp_path: Path) -> None:
    ref = store.upsert(FEATURES, some(0, 5))
    before = files(tmp_path)
    store.upsert(FEATURES, some(0, 5))
    store.replace(FEATURES, some(0, 5))
    assert files(tmp_path) == before
    spec = TableSpec(name="training", key=KEY)
    labels = store.upsert(TableSpec(name="labels", key=KEY), some(0, 5).drop_columns("x"))
    store.point_in_time_join(labels, ref, spec)
    before = files(tmp_path)
    store.point_in_time_join(labels, ref, spec)
    assert files(tmp_path) == before


def test_an_upsert_leaves_the_files_without_changed_rows_alone(store: LocalFeatureStore) -> None:
    store.upsert(FEATURES, some(0, 5))
    second = store.upsert(FEATURES, some(5, 5))
    before = set(DeltaTable(second.uri).file_uris())
    third = store.upsert(FEATURES, some(3, 1).set_column(2, "x", pa.array([-1.0])))
    assert len(before & set(DeltaTable(third.uri).file_uris())) == 1
    assert_whole(store, third)


@pytest.mark.parametrize("name", ["with space", "größe", "it's", "a?b*c", 'q"q'])
def test_a_store_may_lie_in_an_oddly_named_folder(tmp_path: Path, name: str) -> None:
    store = LocalFeatureStore(tmp_path / name, "telco")
    store.upsert(FEATURES, some(0, 3))
    ref = store.upsert(FEATURES, some(2, 3).set_column(2, "x", pa.array([0.0, 0.0, 0.0])))
    assert_whole(store, ref)
    assert (tmp_path / name / "telco" / "features" / "_delta_log").is_dir()


@pytest.mark.parametrize("name", ["a[b", "50%", "{x}"])
def test_a_folder_that_the_delta_library_cannot_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="use another folder"):
        LocalFeatureStore(tmp_path / name, "telco")


def test_references_survive_a_move_of_the_folder(store: LocalFeatureStore, tmp_path: Path) -> None:
    ref = store.upsert(FEATURES, some(0, 3))
    (tmp_path / "telco").rename(tmp_path / "elsewhere")
    (tmp_path / "new").mkdir()
    (tmp_path / "elsewhere").rename(tmp_path / "new" / "telco")
    assert LocalFeatureStore(tmp_path / "new", "other").read(ref).num_rows == 3


def test_a_version_whose_files_are_gone_is_named(store: LocalFeatureStore) -> None:
    ref = store.upsert(FEATURES, some(0, 3))
    next(Path(ref.uri).glob("*/*.parquet")).unlink()
    with pytest.raises(NotFound, match=r"Version 0 .* is no longer the one"):
        store.read(ref)


def test_a_table_that_was_built_anew_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    ref = LocalFeatureStore(tmp_path / "old", "telco").upsert(FEATURES, some(0, 3))
    anew = LocalFeatureStore(tmp_path / "new", "telco")
    anew.upsert(FEATURES, some(0, 4))
    with pytest.raises(NotFound, match=r"Version 0 .* is no longer the one"):
        anew.scan(ref)


def test_rows_that_another_program_appended_are_counted_and_digested(store: LocalFeatureStore) -> None:
    ours = store.upsert(FEATURES, some(0, 3))
    write_deltalake(
        ours.uri, store.read(ours).slice(0, 1).set_column(0, "customer_id", pa.array(["new"])), mode="append"
    )
    ref = store.latest("features")
    assert (ref.version, ref.rows, ref.key) == (1, 4, KEY)
    assert_whole(store, ref)
    grown = store.upsert(FEATURES, some(2, 2, note=["p", "q"]))
    assert grown.rows == 5
    assert_whole(store, grown)


def test_a_table_of_another_program_can_be_read_and_upserted(store: LocalFeatureStore, tmp_path: Path) -> None:
    foreign = pa.table(
        {
            "customer_id": ["c1", "c0"],
            "transaction_ts": pa.array([START, START], TIME),
            "local": pa.array([START.replace(tzinfo=None)] * 2, pa.timestamp("us")),
            "price": pa.array(["1.25", None]).cast(pa.decimal128(10, 2)),
            "n": pa.array([1, 2], pa.int16()),
        }
    )
    write_deltalake(tmp_path / "telco" / "features", foreign)
    ref = store.latest("features")
    assert (ref.rows, ref.key) == (2, ())
    stored = store.read(ref)
    assert stored.schema.field("price").type == pa.float64()
    assert stored["price"].to_pylist() == [1.25, None]
    assert stored["local"].to_pylist() == [START, START]
    ref = store.upsert(FEATURES, stored.slice(1))
    assert (ref.version, ref.rows, ref.key) == (1, 2, KEY)  # it gained `ingested_at`
    ref = store.upsert(FEATURES, stored.slice(1).set_column(4, "n", pa.array([7], pa.int16())))
    assert (ref.version, ref.rows, ref.key) == (2, 2, KEY)
    assert_whole(store, ref)


@pytest.mark.parametrize(
    ("how", "match"),
    [({"partition_by": "customer_id"}, "written with partitions"), ({"nested": True}, "column 'tags' .* is of type")],
)
def test_what_is_not_read_is_said(store: LocalFeatureStore, tmp_path: Path, how: dict[str, Any], match: str) -> None:
    rows = some(0, 2, tags=[["a"], ["b"]]) if how.pop("nested", False) else some(0, 2)
    write_deltalake(tmp_path / "telco" / "features", rows, **how)
    with pytest.raises(StoreError, match=match):
        store.latest("features")


def test_many_small_batches_are_joined_into_few_files_of_the_same_rows(tmp_path: Path) -> None:
    store = LocalFeatureStore(tmp_path, "telco", many=4)
    spec = TableSpec(name="batches", key=("batch", "n"))

    def write(name: str, rows: int) -> None:
        numbers = pa.table({"batch": [name] * rows, "n": pa.array(range(rows), pa.int64())})
        refs.append(store.replace_batch(spec, "batch", name, numbers.to_reader()))

    refs: list[TableRef] = []
    for number in range(8):
        write(f"b{number}", number + 1)
    assert len(DeltaTable(tmp_path / "telco" / "batches").file_uris()) <= 5
    assert [store.read(ref).num_rows for ref in refs] == [1, 3, 6, 10, 15, 21, 28, 36]
    latest = store.latest("batches")
    assert (latest.rows, latest.key) == (36, spec.key)
    write("b3", 1)
    write("b3", 4)
    assert store.latest("batches").content_id == latest.content_id
    assert store.scan(store.latest("batches"), where={"batch": "b7"}).read_all().num_rows == 8
