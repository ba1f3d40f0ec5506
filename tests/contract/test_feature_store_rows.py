"""What rows every feature store takes, and which it refuses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from churn.core.errors import NotFound, StoreError
from churn.ports.tables import FeatureStore, TableSpec
from tests.contract.feature_stores import FEATURES, STORES, TIME, Clock, Ticking, rows, table


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


def test_a_column_of_type_null_is_left_out(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1)], x=[1.0], nothing=pa.nulls(1)))
    assert "nothing" not in store.read(ref).column_names
    assert store.upsert(FEATURES, table([("a", 1)], x=pa.nulls(1))).rows == 1
    assert rows(store, store.latest("features"), "x") == [(None,)]


def test_times_are_stored_in_utc_microseconds(store: FeatureStore) -> None:
    tokyo = pa.array([dt.datetime(2024, 1, 1, 9, 0, 0, 5)], pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    given_rows = pa.table(
        {
            "customer_id": ["a"],
            "transaction_ts": tokyo.cast(pa.timestamp("us", "Asia/Tokyo")),
            "naive": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        }
    )
    stored = store.read(store.upsert(FEATURES, given_rows))
    assert {stored.schema.field(name).type for name in ("transaction_ts", "naive")} == {TIME}
    assert stored["transaction_ts"].to_pylist() == [dt.datetime(2024, 1, 1, 9, 0, 0, 5, dt.UTC)]
    assert stored["naive"].cast(pa.int64()).to_pylist() == [1_700_000_000_123_456]


def test_numbers_take_the_type_that_the_column_has_where_they_fit(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1)], x=[1.5], n=pa.array([1], pa.int8())))
    ref = store.upsert(FEATURES, table([("b", 1)], x=pa.array([2]), n=pa.array([127.0])))
    assert rows(store, ref, "x", "n") == [(1.5, 1), (2.0, 127)]
    assert store.read(ref).schema.field("n").type == pa.int8()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("n", pa.array([128])),
        ("n", pa.array([0.5])),
        ("n", pa.array([True])),
        ("x", pa.array(["1.0"])),
        ("x", pa.array([2**53 + 1])),
        ("small", pa.array([0.1])),
        ("text", pa.array([1])),
    ],
)
def test_a_column_does_not_change_its_type(store: FeatureStore, column: str, value: pa.Array) -> None:
    columns = {"x": [1.5], "n": pa.array([1], pa.int8()), "small": pa.array([0.5], pa.float32()), "text": ["t"]}
    before = store.upsert(FEATURES, table([("a", 1)], **columns))
    with pytest.raises(StoreError, match=rf"column '{column}' .* cast it"):
        store.upsert(FEATURES, table([("b", 1)], **{**columns, column: value}))
    assert store.latest("features") == before


@pytest.mark.parametrize(
    "value", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"raw"]), pa.array([2**63], pa.uint64())]
)
def test_a_type_that_tables_do_not_hold_is_refused(store: FeatureStore, value: pa.Array) -> None:
    with pytest.raises(StoreError, match=r"column 'odd' .*cast it"):
        store.upsert(FEATURES, table([("a", 1)], odd=value))


def test_a_dictionary_is_stored_as_what_it_encodes(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=pa.array(["p", None]).dictionary_encode()))
    assert rows(store, ref, "x") == [("p",), (None,)]


def test_a_key_that_stands_twice_is_refused_with_examples(store: FeatureStore) -> None:
    with pytest.raises(StoreError, match=r"1 key\(s\) of 'features' .*customer_id=a, transaction_ts=2024-01-02"):
        store.upsert(FEATURES, table([("a", 1), ("a", 1), ("b", 1)], x=[1.0, 2.0, 3.0]))
    with pytest.raises(NotFound, match="no table 'features'"):
        store.latest("features")


def test_a_null_in_the_key_is_refused(store: FeatureStore) -> None:
    broken = table([("a", 1), ("b", 1)]).set_column(0, "customer_id", pa.array(["a", None]))
    with pytest.raises(StoreError, match=r"1 row\(s\) of 'features' have no 'customer_id'"):
        store.upsert(FEATURES, broken)
    with pytest.raises(StoreError, match=r"1 row\(s\) of 'features' have no 'customer_id'"):
        store.replace(FEATURES, broken)
    with pytest.raises(StoreError, match=r"1 row\(s\) of 'numbers' have no 'n'"):
        store.upsert(TableSpec(name="numbers", key=("n",)), pa.table({"n": [1.0, np.nan]}))


def test_a_key_column_that_is_missing_is_refused(store: FeatureStore) -> None:
    with pytest.raises(StoreError, match="lack transaction_ts"):
        store.upsert(FEATURES, pa.table({"customer_id": ["a"]}))
    with pytest.raises(StoreError, match="lack one"):
        store.upsert(TableSpec(name="features", key=()), pa.table({"customer_id": ["a"]}))


def test_another_key_than_the_tables_is_refused(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1)]))
    with pytest.raises(StoreError, match="use that key"):
        store.upsert(TableSpec(name="features", key=("customer_id",)), table([("a", 2)]))


def test_a_key_may_grow_by_a_new_column(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1)]))
    grown = TableSpec(name="features", key=(*FEATURES.key, "part"))
    for _ in range(2):
        ref = store.upsert(grown, table([("a", 1), ("a", 1)], part=pa.array([0, 1], pa.int64())))
    assert sorted(rows(store, ref, "customer_id", "part"), key=str) == [("a", 0), ("a", 1), ("a", None)]
    assert (ref.rows, ref.key, ref.version) == (3, grown.key, store.latest("features").version)
    batch = table([("b", 1), ("b", 1)], part=pa.array([0, 1], pa.int64())).to_reader()
    assert store.replace_batch(grown, "customer_id", "b", batch).rows == 5
    with pytest.raises(StoreError, match="use that key"):
        store.upsert(FEATURES, table([("a", 1)]))


def test_columns_that_differ_in_case_alone_are_refused(store: FeatureStore) -> None:
    with pytest.raises(StoreError, match="'x' and 'X' differ at most in case"):
        store.upsert(FEATURES, table([("a", 1)], x=[1], X=[1]))


@pytest.mark.parametrize("name", ["select", "x y", "ü", "it's", 'say "x"', "Tenure"])
def test_any_column_name_may_be_used(store: FeatureStore, name: str) -> None:
    spec = TableSpec(name="odd", key=(name,))
    store.upsert(spec, pa.table({name: ["a", "b"], "v": [1, 2]}))
    ref = store.upsert(spec, pa.table({name: ["b", "c"], "v": [5, 3]}))
    assert rows(store, ref, name, "v") == [("a", 1), ("b", 5), ("c", 3)]
