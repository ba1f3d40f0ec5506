"""What every feature store keeps of its port's promise about the point-in-time join."""

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

from churn.core.errors import StoreError
from churn.ports.tables import FeatureStore, TableRef, TableSpec
from tests.contract.feature_stores import FEATURES, LABELS, STORES, TIME, TRAINING, Clock, Ticking, day, rows, table
from tests.fakes.ports.tables import as_known_at

ARRIVALS = ("customer_id", "transaction_ts", "arrived_at")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


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


def test_of_one_event_that_was_foreseen_the_row_that_arrived_last_counts(store: FeatureStore) -> None:
    keys = [(f"c{number}", 5) for number in range(20)]
    arrivals = pa.array([day(number) for number in (2, 3, 1)] * 20, TIME)
    features = store.upsert(
        TableSpec(name="features", key=ARRIVALS),
        table([key for key in keys for _ in range(3)], arrived_at=arrivals, x=[2.0, 3.0, 1.0] * 20),
    )
    ref = store.point_in_time_join(store.upsert(LABELS, table(keys)), features, TRAINING)
    assert rows(store, ref, "x") == [(3.0,)] * 20


@pytest.mark.parametrize(
    ("known_by", "labels"), [(5.9, []), (6, [0]), (7, [0, 1]), (None, [0, 1, 2])], ids=["before", "at", "after", "open"]
)
def test_only_outcomes_that_were_known_by_a_given_time_count(
    store: FeatureStore, known_by: float | None, labels: list[int]
) -> None:
    known = pa.array([day(6), day(7), None], TIME)
    spine = table([("a", 1), ("a", 2), ("a", 3)], label=[0, 1, 2], label_ts=known)
    ref = joined(store, spine, table([("a", 1)], x=[1.0]), known_by=None if known_by is None else day(known_by))
    assert rows(store, ref, "label") == [(label,) for label in labels]


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
    assert first.content_id == store.replace(TableSpec(name="copy", key=TRAINING.key), store.read(first)).content_id


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
        with pytest.raises(StoreError, match="cannot be identified by"):
            store.point_in_time_join(spine, features, TableSpec(name="training", key=key))


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


@pytest.fixture(scope="module", params=STORES[1:])
def disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path_factory.mktemp("stores"), Ticking())


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
