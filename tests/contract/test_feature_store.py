"""What every feature store keeps of its port's promises about writing, reading and versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from churn.core.errors import NotFound, StoreError
from churn.ports.tables import FeatureStore, TableSpec
from tests.contract.feature_stores import FEATURES, STORES, TIME, Clock, Ticking, day, rows, table


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


def test_rows_come_back_as_they_went_in_sorted_by_key(store: FeatureStore) -> None:
    given_rows = table(
        [("b", 1), ("a", 2), ("a", 1)], x=pa.array([1.5, None, 3.0]), n=pa.array([1, 2, None], pa.int8())
    )
    ref = store.upsert(FEATURES, given_rows)
    assert (ref.dataset, ref.name, ref.version, ref.rows, ref.key) == ("telco", "features", 0, 3, FEATURES.key)
    stored = store.read(ref, given_rows.column_names)
    assert stored.schema.equals(given_rows.schema)
    assert stored.to_pylist() == [given_rows.to_pylist()[position] for position in (2, 1, 0)]


def test_a_new_key_is_inserted_a_changed_row_replaced_and_the_rest_kept(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 2.0]))
    ref = store.upsert(FEATURES, table([("b", 1), ("c", 1)], x=[9.0, 3.0]))
    assert (ref.version, ref.rows) == (1, 3)
    assert rows(store, ref, "customer_id", "x") == [("a", 1.0), ("b", 9.0), ("c", 3.0)]


def test_the_same_rows_again_make_no_new_version(store: FeatureStore) -> None:
    first = store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, None]))
    assert store.upsert(FEATURES, table([("b", 1), ("a", 1)], x=[None, 1.0])) == first
    assert store.upsert(FEATURES, table([("a", 1)], x=[1.0])) == first


@pytest.mark.parametrize(
    "same", [(0.0, -0.0), (np.nan, -np.nan), (np.nan, np.float64(np.uint64(0x7FF8000000000001).view(np.float64)))]
)
def test_one_zero_and_one_nan_make_no_new_version(store: FeatureStore, same: tuple[float, float]) -> None:
    first = store.upsert(FEATURES, table([("a", 1)], x=[same[0]]))
    assert store.upsert(FEATURES, table([("a", 1)], x=[same[1]])) == first


@pytest.mark.parametrize("other", [0.0, -1.0, np.nan, None, np.nextafter(1.0, 2.0)])
def test_any_other_value_makes_a_new_version(store: FeatureStore, other: float | None) -> None:
    first = store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    second = store.upsert(FEATURES, table([("a", 1)], x=pa.array([other], pa.float64())))
    assert second.version == 1
    assert second.content_id != first.content_id


def test_the_time_of_the_write_is_stored_and_is_no_change(store: FeatureStore) -> None:
    first = store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    assert store.upsert(FEATURES, table([("a", 1)], x=[1.0])) == first
    last = store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 2.0]))
    written = [time for (time,) in rows(store, last, "ingested_at")]
    assert [time.tzinfo is not None for time in written] == [True, True]
    assert day(100) < written[0] < written[1]


def test_a_time_of_the_write_that_rows_bring_is_kept_and_is_no_change(store: FeatureStore) -> None:
    first = store.upsert(FEATURES, table([("a", 1)], ingested_at=pa.array([day(5)], TIME)))
    assert store.upsert(FEATURES, table([("a", 1)], ingested_at=pa.array([day(6)], TIME))) == first
    assert rows(store, first, "ingested_at") == [(day(5),)]


def test_a_table_gains_the_columns_it_lacks(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 2.0]))
    ref = store.upsert(FEATURES, table([("b", 1), ("c", 1)], x=[2.0, 3.0], note=["new", "newer"]))
    assert rows(store, ref, "customer_id", "x", "note") == [("a", 1.0, None), ("b", 2.0, "new"), ("c", 3.0, "newer")]


def test_a_new_column_without_values_is_there_and_the_digest_stays(store: FeatureStore) -> None:
    first = store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    second = store.upsert(FEATURES, table([("a", 1)], x=[1.0], note=pa.array([None], pa.string())))
    assert (second.version, second.content_id) == (1, first.content_id)
    assert rows(store, second, "note") == [(None,)]


def test_a_column_that_rows_lack_is_null_in_them(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 2.0], y=["p", "q"]))
    ref = store.upsert(FEATURES, table([("a", 1), ("c", 1)], x=[1.0, 3.0]))
    assert rows(store, ref, "customer_id", "x", "y") == [("a", 1.0, None), ("b", 2.0, "q"), ("c", 3.0, None)]


def test_an_empty_table_can_be_stored_read_and_filled(store: FeatureStore) -> None:
    empty = store.upsert(FEATURES, table([], x=pa.array([], pa.float64())))
    assert (empty.rows, store.read(empty).num_rows) == (0, 0)
    assert store.read(empty).schema.field("x").type == pa.float64()
    assert list(store.scan(empty)) == []
    assert store.upsert(FEATURES, table([], x=pa.array([], pa.float64()))) == empty
    assert store.upsert(FEATURES, table([("a", 1)], x=[1.0])).rows == 1


def test_replacing_makes_the_rows_the_whole_content(store: FeatureStore) -> None:
    before = store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 2.0]))
    after = store.replace(FEATURES, table([("c", 1)], x=["now text"]))
    assert (after.version, after.rows) == (1, 1)
    assert rows(store, after, "customer_id", "x") == [("c", "now text")]
    assert rows(store, before, "customer_id", "x") == [("a", 1.0), ("b", 2.0)]


def test_replacing_by_equal_content_makes_no_new_version(store: FeatureStore) -> None:
    first = store.replace(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 2.0]))
    assert store.replace(FEATURES, table([("b", 1), ("a", 1)], x=[2.0, 1.0])) == first
    assert store.replace(FEATURES, store.read(first)) == first
    assert store.replace(FEATURES, table([("a", 1)], x=[1.0])).version == 1


def test_every_version_stays_readable(store: FeatureStore) -> None:
    refs = [store.upsert(FEATURES, table([("a", 1), ("b", n)], x=[float(n), 0.0])) for n in range(4)]
    assert [ref.version for ref in refs] == [0, 1, 2, 3]
    assert [rows(store, ref, "x")[0] for ref in refs] == [(0.0,), (1.0,), (2.0,), (3.0,)]
    assert [ref.rows for ref in refs] == [2, 3, 4, 5]
    assert store.latest("features") == refs[-1]


def test_the_digest_tells_content_from_history(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 7.0], y=["p", None]))
    store.upsert(FEATURES, table([("c", 1)], x=[3.0], y=[None]))
    grown = store.upsert(FEATURES, table([("b", 1)], x=[2.0], y=["q"]))
    whole = table([("c", 1), ("b", 1), ("a", 1)], y=[None, "q", "p"], x=[3.0, 2.0, 1.0])
    at_once = store.replace(TableSpec(name="other", key=FEATURES.key), whole)
    assert at_once.content_id == grown.content_id
    back = store.upsert(FEATURES, table([("b", 1)], x=[7.0], y=[None]))
    assert back.content_id != grown.content_id


def test_a_value_in_another_row_or_column_gives_another_digest(store: FeatureStore) -> None:
    contents = [
        {"x": [1.0, 2.0], "y": [None, None]},
        {"x": [2.0, 1.0], "y": [None, None]},
        {"x": [None, None], "y": [1.0, 2.0]},
        {"x": [1.0, None], "y": [None, 2.0]},
        {"x": [1.0, 2.0], "y": [0.0, None]},
        {"x": [1, 2], "y": [None, None]},
        {"x": ["1.0", "2.0"], "y": [None, None]},
        {"x": [True, False], "y": [None, None]},
    ]
    digests = [
        store.replace(
            FEATURES, table([("a", 1), ("b", 1)], x=content["x"], y=pa.array(content["y"], pa.float64()))
        ).content_id
        for content in contents
    ]
    assert len(set(digests)) == len(contents)


def test_columns_may_be_chosen(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("b", 1), ("a", 1)], x=[1.0, 2.0], y=["p", "q"]))
    assert store.read(ref, ["y", "x"]).to_pydict() == {"y": ["q", "p"], "x": [2.0, 1.0]}
    assert store.scan(ref, ["x"]).read_all().column_names == ["x"]


def test_a_scan_streams_every_row_in_batches(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", n / 1000) for n in range(10_000)], x=np.arange(10_000.0)))
    batches = list(store.scan(ref, ["x"], batch_rows=4096))
    assert len(batches) > 1
    assert sorted(value for batch in batches for value in batch["x"].to_pylist()) == list(range(10_000))
    assert store.scan(ref).schema.equals(store.read(ref).schema)


def test_a_table_version_or_column_that_is_not_there_is_named(store: FeatureStore) -> None:
    with pytest.raises(NotFound, match="no table 'features'"):
        store.latest("features")
    ref = store.upsert(FEATURES, table([("a", 1)], monthly_charges=[1.0]))
    for call in (store.read, store.scan):
        with pytest.raises(NotFound, match="no column 'monthly_charge' in version 0"):
            call(ref, ["monthly_charge"])
        with pytest.raises(NotFound, match="no version 7"):
            call(ref.model_copy(update={"version": 7}))
        with pytest.raises(NotFound, match=r"no (table|version)"):
            call(ref.model_copy(update={"name": "nowhere"}))
        with pytest.raises(StoreError, match="No column of 'features' was asked for"):
            call(ref, [])
