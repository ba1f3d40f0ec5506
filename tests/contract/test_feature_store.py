"""What every feature store keeps of its port's promises."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.local.feature_store import LocalFeatureStore
from churn.errors import NotFound, StoreError
from churn.ports import FeatureStore
from churn.tables import TableRef, TableSpec
from tests.fakes.feature_store import MemoryFeatureStore, as_known_at

FEATURES = TableSpec(name="features", key=("customer_id", "transaction_ts"))
LABELS = TableSpec(name="labels", key=("customer_id", "transaction_ts"))
TRAINING = TableSpec(name="training", key=("customer_id", "transaction_ts"))
ARRIVALS = ("customer_id", "transaction_ts", "arrived_at")
TIME = pa.timestamp("us", tz="UTC")
Clock = Callable[[], dt.datetime]


def in_memory(folder: Path, clock: Clock) -> FeatureStore:
    return MemoryFeatureStore("telco", clock=clock)


def on_disk(folder: Path, clock: Clock) -> FeatureStore:
    return LocalFeatureStore(folder, "telco", clock=clock)


class Ticking:
    """A clock that is a second later at every look."""

    def __init__(self) -> None:
        self.now = day(100)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now


@pytest.fixture(params=[in_memory, on_disk])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


def day(number: float) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


def table(keys: list[tuple[str, float]], **columns: Any) -> pa.Table:
    """Return rows with a customer, a day and further columns."""
    return pa.table(
        {
            "customer_id": pa.array([customer for customer, _ in keys], pa.string()),
            "transaction_ts": pa.array([day(number) for _, number in keys], TIME),
            **columns,
        }
    )


def rows(store: FeatureStore, ref: TableRef, *columns: str) -> list[tuple[Any, ...]]:
    """Return the named columns of a table as tuples, in the store's order."""
    return [tuple(row[name] for name in columns) for row in store.read(ref, columns).to_pylist()]


# --- writing ---------------------------------------------------------------------------------------------------------


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
    assert second.digest != first.digest


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
    assert (second.version, second.digest) == (1, first.digest)
    assert rows(store, second, "note") == [(None,)]


def test_a_column_that_rows_lack_is_null_in_them(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1), ("b", 1)], x=[1.0, 2.0], y=["p", "q"]))
    ref = store.upsert(FEATURES, table([("a", 1), ("c", 1)], x=[1.0, 3.0]))
    assert rows(store, ref, "customer_id", "x", "y") == [("a", 1.0, None), ("b", 2.0, "q"), ("c", 3.0, None)]


def test_a_column_of_type_null_is_left_out(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1)], x=[1.0], nothing=pa.nulls(1)))
    assert "nothing" not in store.read(ref).column_names
    assert store.upsert(FEATURES, table([("a", 1)], x=pa.nulls(1))).rows == 1
    assert rows(store, store.latest("features"), "x") == [(None,)]


def test_an_empty_table_can_be_stored_read_and_filled(store: FeatureStore) -> None:
    empty = store.upsert(FEATURES, table([], x=pa.array([], pa.float64())))
    assert (empty.rows, store.read(empty).num_rows) == (0, 0)
    assert store.read(empty).schema.field("x").type == pa.float64()
    assert list(store.scan(empty)) == []
    assert store.upsert(FEATURES, table([], x=pa.array([], pa.float64()))) == empty
    assert store.upsert(FEATURES, table([("a", 1)], x=[1.0])).rows == 1


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


def test_a_key_column_that_is_missing_is_refused(store: FeatureStore) -> None:
    with pytest.raises(StoreError, match="lack transaction_ts"):
        store.upsert(FEATURES, pa.table({"customer_id": ["a"]}))
    with pytest.raises(StoreError, match="lack one"):
        store.upsert(TableSpec(name="features", key=()), pa.table({"customer_id": ["a"]}))


def test_another_key_than_the_tables_is_refused(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 1)]))
    with pytest.raises(StoreError, match="use that key"):
        store.upsert(TableSpec(name="features", key=("customer_id",)), table([("a", 2)]))


def test_columns_that_differ_in_case_alone_are_refused(store: FeatureStore) -> None:
    with pytest.raises(StoreError, match="'x' and 'X' differ at most in case"):
        store.upsert(FEATURES, table([("a", 1)], x=[1], X=[1]))


@pytest.mark.parametrize("name", ["select", "x y", "ü", "it's", 'say "x"', "Tenure"])
def test_any_column_name_may_be_used(store: FeatureStore, name: str) -> None:
    spec = TableSpec(name="odd", key=(name,))
    store.upsert(spec, pa.table({name: ["a", "b"], "v": [1, 2]}))
    ref = store.upsert(spec, pa.table({name: ["b", "c"], "v": [5, 3]}))
    assert rows(store, ref, name, "v") == [("a", 1), ("b", 5), ("c", 3)]


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


# --- references ------------------------------------------------------------------------------------------------------


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
    assert at_once.digest == grown.digest
    back = store.upsert(FEATURES, table([("b", 1)], x=[7.0], y=[None]))
    assert back.digest != grown.digest


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
        ).digest
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


# --- the point-in-time join ------------------------------------------------------------------------------------------


def joined(store: FeatureStore, spine: pa.Table, features: pa.Table, **options: Any) -> TableRef:
    return store.point_in_time_join(
        store.replace(LABELS, spine), store.replace(FEATURES, features), TRAINING, **options
    )


def test_each_label_gets_the_features_of_its_own_time_or_the_newest_before(store: FeatureStore) -> None:
    features = table([("a", 1), ("a", 3), ("a", 5), ("b", 2)], x=[1.0, 3.0, 5.0, 2.0])
    ref = joined(store, table([("a", 3), ("a", 4.5), ("b", 9)], label=[0, 1, 0]), features)
    assert rows(store, ref, "customer_id", "label", "x", "feature_ts") == [
        ("a", 0, 3.0, day(3)),
        ("a", 1, 3.0, day(3)),
        ("b", 0, 2.0, day(2)),
    ]


def test_a_label_without_earlier_features_is_kept(store: FeatureStore) -> None:
    features = table([("a", 3)], x=[3.0])
    ref = joined(store, table([("a", 2.9), ("z", 5)], label=[1, 0]), features)
    assert rows(store, ref, "customer_id", "label", "x", "feature_ts") == [("a", 1, None, None), ("z", 0, None, None)]


def test_a_feature_that_arrived_late_is_not_known_before(store: FeatureStore) -> None:
    features = table([("a", 1), ("a", 2)], arrived_at=pa.array([None, day(6)], TIME), x=[1.0, 2.0])
    ref = joined(store, table([("a", 5), ("a", 6)], label=[0, 1]), features)
    assert rows(store, ref, "label", "x", "feature_ts") == [(0, 1.0, day(1)), (1, 2.0, day(2))]


def test_a_late_row_does_not_displace_a_newer_one(store: FeatureStore) -> None:
    features = table([("a", 1), ("a", 2)], arrived_at=pa.array([day(4), day(2)], TIME), x=[1.0, 2.0])
    ref = joined(store, table([("a", 3), ("a", 5)], label=[0, 1]), features)
    assert rows(store, ref, "x") == [(2.0,), (2.0,)]


def test_of_one_event_the_row_that_arrived_last_counts(store: FeatureStore) -> None:
    spec = TableSpec(name="features", key=ARRIVALS)
    arrivals = pa.array([day(0.2), day(0.5), day(3)], TIME)
    features = store.upsert(spec, table([("a", 1), ("a", 1), ("a", 1)], arrived_at=arrivals, x=[1.0, 2.0, 3.0]))
    spine = store.upsert(LABELS, table([("a", 1), ("a", 3)], label=[0, 1]))
    ref = store.point_in_time_join(spine, features, TRAINING)
    assert rows(store, ref, "x") == [(2.0,), (3.0,)]


@pytest.mark.parametrize(("known_by", "x"), [(1.9, None), (2, 2.0), (4, 3.0)])
def test_only_features_that_arrived_by_a_given_time_count(
    store: FeatureStore, known_by: float, x: float | None
) -> None:
    features = table([("a", 1), ("a", 3)], arrived_at=pa.array([day(2), day(4)], TIME), x=[2.0, 3.0])
    ref = joined(store, table([("a", 9)], label=[1]), features, known_by=day(known_by))
    assert rows(store, ref, "x") == [(x,)]


def test_a_time_without_a_zone_is_utc(store: FeatureStore) -> None:
    ref = joined(store, table([("a", 9)]), table([("a", 3)], x=[3.0]), known_by=day(3).replace(tzinfo=None))
    assert rows(store, ref, "x") == [(3.0,)]


def test_the_result_has_the_columns_of_both_and_the_spines_win(store: FeatureStore) -> None:
    features = table([("a", 1)], x=["feature"], both=["feature"], arrived_at=pa.array([day(1)], TIME))
    ref = joined(store, table([("a", 2)], label=[1], both=["spine"]), features)
    assert store.read(ref).column_names == [
        *["customer_id", "transaction_ts", "label", "both", "ingested_at", "x", "arrived_at", "feature_ts"]
    ]
    assert rows(store, ref, "both", "x") == [("spine", "feature")]
    assert ref.key == TRAINING.key


def test_the_same_join_again_makes_no_new_version(store: FeatureStore) -> None:
    spine, features = table([("a", 2), ("b", 2)], label=[1, 0]), table([("a", 1)], x=[1.0])
    first = joined(store, spine, features)
    assert joined(store, spine, features) == first
    assert joined(store, spine, table([("a", 1)], x=[1.5])).version == 1
    assert first.digest == store.replace(TableSpec(name="copy", key=TRAINING.key), store.read(first)).digest


def test_the_versions_that_are_named_are_joined(store: FeatureStore) -> None:
    spine = store.upsert(LABELS, table([("a", 2)], label=[1]))
    old = store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    store.upsert(FEATURES, table([("a", 1)], x=[2.0]))
    assert rows(store, store.point_in_time_join(spine, old, TRAINING), "x") == [(1.0,)]


@pytest.mark.parametrize("empty", ["spine", "features"])
def test_an_empty_table_can_be_joined(store: FeatureStore, empty: str) -> None:
    spine, features = table([("a", 2)], label=[1]), table([("a", 1)], x=[1.0])
    ref = joined(
        store,
        spine.slice(0, 0) if empty == "spine" else spine,
        features.slice(0, 0) if empty == "features" else features,
    )
    assert rows(store, ref, "label", "x") == ([] if empty == "spine" else [(1, None)])


def test_a_join_on_several_columns_matches_all_of_them(store: FeatureStore) -> None:
    key = ("customer_id", "line", "transaction_ts")
    features = store.upsert(
        TableSpec(name="features", key=key), table([("a", 1), ("a", 1)], line=["p", "q"], x=[1.0, 2.0])
    )
    spine = store.upsert(TableSpec(name="labels", key=key), table([("a", 2), ("a", 2)], line=["q", "r"]))
    ref = store.point_in_time_join(spine, features, TableSpec(name="training", key=key))
    assert rows(store, ref, "line", "x") == [("q", 2.0), ("r", None)]


def test_tables_that_cannot_be_joined_are_refused(store: FeatureStore) -> None:
    spine, features = store.upsert(LABELS, table([("a", 2)])), store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    timeless = store.upsert(TableSpec(name="timeless", key=("customer_id",)), pa.table({"customer_id": ["a"]}))
    numbered = store.upsert(
        TableSpec(name="numbered", key=FEATURES.key), table([("a", 1)]).set_column(0, "customer_id", pa.array([1]))
    )
    twice = store.upsert(TableSpec(name="twice", key=FEATURES.key), table([("a", 1)], feature_ts=[1]))
    for left, right, match in [
        (timeless, features, "no time 'transaction_ts'"),
        (spine, timeless, "no time 'transaction_ts'"),
        (numbered, features, "no column 'customer_id'"),
        (twice, features, "has a column 'feature_ts'"),
        (spine, twice, "has a column 'feature_ts'"),
    ]:
        with pytest.raises(StoreError, match=match):
            store.point_in_time_join(left, right, TRAINING)
    for key in [("customer_id",), ("customer_id", "transaction_ts", "x")]:
        with pytest.raises(StoreError, match="cannot be told by"):
            store.point_in_time_join(spine, features, TableSpec(name="training", key=key))


# --- against looking at every row ------------------------------------------------------------------------------------

_HOUR = st.integers(0, 6)
_FEATURE = st.tuples(st.sampled_from("abc"), _HOUR, st.integers(-1, 8))
_LABEL = st.tuples(st.sampled_from("abcd"), _HOUR)


def assert_as_known(
    store: FeatureStore, key: tuple[str, ...], features: pa.Table, labels: pa.Table, known_by: dt.datetime | None = None
) -> None:
    """Join, and compare each row with what looking at every feature row of its customer finds."""
    spine, stored = store.replace(LABELS, labels), store.replace(TableSpec(name="features", key=key), features)
    found = store.point_in_time_join(spine, stored, TRAINING, known_by=known_by)
    of_customer: dict[str, list[dict[str, Any]]] = {}
    for row in features.to_pylist():
        of_customer.setdefault(row["customer_id"], []).append(row)
    expected = []
    for customer, time in rows(store, spine, "customer_id", "transaction_ts"):
        row = as_known_at(time, of_customer.get(customer, []), known_by) or {}
        expected.append((customer, time, row.get("transaction_ts"), row.get("arrived_at"), row.get("x")))
    assert rows(store, found, "customer_id", "transaction_ts", "feature_ts", "arrived_at", "x") == expected


def arriving(drawn: set[tuple[str, int, int]]) -> pa.Table:
    """Return a row for each customer, event and arrival, numbered."""
    arrivals = pa.array([day(arrival) for _, _, arrival in sorted(drawn)], TIME)
    events = [(customer, event) for customer, event, _ in sorted(drawn)]
    return table(events, arrived_at=arrivals, x=pa.array(range(len(drawn)), pa.int64()))


def one_arrival_each(drawn: set[tuple[str, int, int]]) -> pa.Table:
    """Return a row for each customer and event; what arrived at its event is not said to."""
    last = {(customer, event): arrival for customer, event, arrival in sorted(drawn)}
    arrivals = pa.array([None if arrival == event else day(arrival) for (_, event), arrival in last.items()], TIME)
    return table(list(last), arrived_at=arrivals, x=pa.array(range(len(last)), pa.int64()))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return LocalFeatureStore(tmp_path_factory.mktemp("stores"), "telco")


@settings(max_examples=30, deadline=None)
@given(
    features=st.sets(_FEATURE, max_size=20),
    labels=st.sets(_LABEL, max_size=20),
    known_by=st.none() | _HOUR,
    several=st.booleans(),
)
def test_the_join_equals_looking_at_every_row(
    disk: FeatureStore,
    features: set[tuple[str, int, int]],
    labels: set[tuple[str, int]],
    known_by: int | None,
    several: bool,
) -> None:
    by = None if known_by is None else day(known_by)
    if several:
        assert_as_known(disk, ARRIVALS, arriving(features), table(sorted(labels)), by)
    else:
        assert_as_known(disk, FEATURES.key, one_arrival_each(features), table(sorted(labels)), by)


@pytest.mark.parametrize("known_by", [None, day(40)])
def test_the_join_equals_looking_at_every_row_of_a_larger_table(
    disk: FeatureStore, known_by: dt.datetime | None
) -> None:
    """Ties, gaps, several arrivals of one event, rows before any feature, and rows that arrive out of order."""
    random = np.random.default_rng(2)
    draws = random.integers([0, 0, -20], [90, 60, 30], (6000, 3)).tolist()
    drawn = {(f"c{customer}", event, event + max(0, late)) for customer, event, late in draws}
    labels = table(
        sorted({(f"c{customer}", time) for customer, time in random.integers(0, [100, 80], (3000, 2)).tolist()})
    )
    assert_as_known(disk, ARRIVALS, arriving(drawn), labels, known_by)
    assert_as_known(disk, FEATURES.key, one_arrival_each(drawn), labels, known_by)
