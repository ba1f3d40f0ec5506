"""What every feature store keeps of its port's promises about newest rows, and about batches that are replaced."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from churn.core.errors import NotFound, StoreError
from churn.ports.tables import FeatureStore, TableRef, TableSpec
from tests.contract.feature_stores import FEATURES, STORES, TIME, Clock, Ticking, day, rows, table
from tests.fakes.ports.tables import as_known_at

SCORES = TableSpec(name="scores", key=("batch_id", "customer_id", "transaction_ts"))
BY_ARRIVAL = TableSpec(name="features", key=("customer_id", "transaction_ts", "arrived_at"))


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


def batch(name: str, keys: list[tuple[str, float]], **columns: Any) -> pa.RecordBatchReader:
    given = table(keys, **columns)
    return given.append_column("batch_id", pa.array([name] * len(given), pa.string())).to_reader()


def latest(store: FeatureStore, ref: TableRef, as_of: float, *columns: str) -> list[tuple[Any, ...]]:
    found = store.latest_rows(ref, day(as_of), list(columns)).read_all().to_pylist()
    return sorted(tuple(row[name] for name in columns) for row in found)


def arrivals(*days: float | None) -> pa.Array:
    return pa.array([None if number is None else day(number) for number in days], TIME)


def test_the_newest_row_of_each_customer_is_returned(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1), ("a", 3), ("b", 2)], x=[1.0, 3.0, 2.0]))
    assert latest(store, ref, 9, "customer_id", "x") == [("a", 3.0), ("b", 2.0)]


def test_a_row_counts_from_its_very_moment_and_not_before(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1), ("a", 3)], x=[1.0, 3.0]))
    assert latest(store, ref, 3, "x") == [(3.0,)]
    assert latest(store, ref, 2.9, "x") == [(1.0,)]
    assert latest(store, ref, 0.9, "x") == []


def test_a_row_that_had_not_arrived_is_not_seen(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1), ("a", 3)], x=[1.0, 3.0], arrived_at=arrivals(None, 5)))
    assert latest(store, ref, 4.9, "x") == [(1.0,)]
    assert latest(store, ref, 5, "x") == [(3.0,)]


def test_of_two_rows_of_one_event_the_one_that_arrived_last_counts(store: FeatureStore) -> None:
    ref = store.upsert(
        BY_ARRIVAL, table([("a", 1), ("a", 1), ("a", 1)], x=[1.0, 3.0, 2.0], arrived_at=arrivals(1, 4, 2))
    )
    assert [latest(store, ref, number, "x") for number in (1, 3, 4)] == [[(1.0,)], [(2.0,)], [(3.0,)]]


def test_a_customer_whose_newest_row_is_too_old_is_left_out(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1), ("a", 3), ("b", 2)], x=[1.0, 3.0, 2.0]))

    def found(as_of: float, days: float) -> list[float]:
        rows = store.latest_rows(ref, day(as_of), ["x"], max_age=dt.timedelta(days=days)).read_all()
        return sorted(rows["x"].to_pylist())

    assert [found(9, days) for days in (1, 0.9, 0)] == [[2.0, 3.0], [3.0], [3.0]]
    assert [found(2.5, days) for days in (1, 0.9, 0)] == [[1.0, 2.0], [2.0], [2.0]]


def test_the_newest_row_of_one_customer_is_looked_up(store: FeatureStore) -> None:
    keys = [("a", 1), ("a", 3), ("b'c", 2), ("b'c", 5)]
    ref = store.upsert(FEATURES, table(keys, x=[1.0, 3.0, 2.0, 5.0], arrived_at=arrivals(None, None, None, 9)))

    def found(customer: str, as_of: float, **options: Any) -> list[float]:
        return (
            store.latest_rows(ref, day(as_of), ["x"], where={"customer_id": customer}, **options)
            .read_all()["x"]
            .to_pylist()
        )

    assert [found("a", as_of) for as_of in (0.9, 2.9, 3)] == [[], [1.0], [3.0]]
    assert [found("b'c", as_of) for as_of in (8.9, 9)] == [[2.0], [5.0]]
    assert found("nobody", 9) == []
    # The age counts from the newest of the rows that are asked for.
    assert found("a", 9, max_age=dt.timedelta(0)) == [3.0]


def test_every_column_comes_where_none_is_named_and_a_time_without_zone_is_utc(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    found = store.latest_rows(ref, day(1).replace(tzinfo=None))
    assert found.schema.equals(store.read(ref).schema)
    assert found.read_all().to_pylist() == store.read(ref).to_pylist()


def test_the_newest_rows_are_those_that_a_look_at_every_row_finds(store: FeatureStore) -> None:
    draw = random.Random(5)
    keys = [(draw.choice("abcdefgh"), number / 7) for number in range(200)]
    late = [number + draw.choice([0, 0, 3]) for _, number in keys]
    ref = store.upsert(FEATURES, table(keys, x=[float(n) for n in range(200)], arrived_at=arrivals(*late)))
    by_customer: dict[str, list[dict[str, Any]]] = {}
    for row in store.read(ref).to_pylist():
        by_customer.setdefault(row["customer_id"], []).append(row)
    for number in (0.5, 7, 20.1, 40):
        expected = [as_known_at(day(number), several) for several in by_customer.values()]
        assert latest(store, ref, number, "x") == sorted((row["x"],) for row in expected if row)


def test_the_newest_rows_stay_those_of_the_version_that_was_asked_for(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    store.upsert(FEATURES, table([("a", 2)], x=[2.0]))
    assert latest(store, ref, 9, "x") == [(1.0,)]


def test_a_column_or_a_time_that_is_not_there_is_named(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1)], x=[1.0]))
    with pytest.raises(NotFound, match="no column 'y'"):
        store.latest_rows(ref, day(1), ["y"])
    timeless = store.upsert(TableSpec(name="timeless", key=("x",)), pa.table({"x": [1]}))
    with pytest.raises(StoreError, match="no time 'transaction_ts' to go by"):
        store.latest_rows(timeless, day(1))
    with pytest.raises(StoreError, match="no time 'transaction_ts' to go by"):
        store.known_until(timeless, day(1))


def test_a_table_is_known_until_its_last_row_came_into_sight(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, table([("a", 1), ("a", 3), ("b", 2)], arrived_at=arrivals(None, 5, 2)))
    found = [store.known_until(ref, day(number)) for number in (0.9, 1, 4.9, 5, 99)]
    assert found == [None, day(1), day(2), day(5), day(5)]
    assert found[-1] is not None
    assert found[-1].utcoffset() == dt.timedelta(0)


def test_a_batch_makes_the_table_and_another_joins_it(store: FeatureStore) -> None:
    store.replace_batch(SCORES, "batch_id", "one", batch("one", [("a", 1), ("b", 1)], p=[0.1, 0.2]))
    ref = store.replace_batch(SCORES, "batch_id", "two", batch("two", [("a", 1)], p=[0.9]))
    assert (ref.version, ref.rows, ref.key) == (1, 3, SCORES.key)
    assert rows(store, ref, "batch_id", "customer_id", "p") == [("one", "a", 0.1), ("one", "b", 0.2), ("two", "a", 0.9)]


def test_a_batch_replaces_its_own_rows_alone(store: FeatureStore) -> None:
    store.replace_batch(SCORES, "batch_id", "one", batch("one", [("a", 1), ("b", 1)], p=[0.1, 0.2]))
    store.replace_batch(SCORES, "batch_id", "two", batch("two", [("a", 1)], p=[0.9]))
    ref = store.replace_batch(SCORES, "batch_id", "one", batch("one", [("c", 1)], p=[0.3]))
    assert rows(store, ref, "batch_id", "customer_id", "p") == [("one", "c", 0.3), ("two", "a", 0.9)]


def test_a_batch_that_shares_files_with_others_leaves_them_as_they_are(store: FeatureStore) -> None:
    together = pa.concat_tables([batch(name, [("a", 1)], p=[p]).read_all() for name, p in (("one", 0.1), ("two", 0.9))])
    store.replace(SCORES, together)
    ref = store.replace_batch(SCORES, "batch_id", "one", batch("one", [("a", 1)], p=[0.5]))
    assert rows(store, ref, "batch_id", "p") == [("one", 0.5), ("two", 0.9)]
    fresh = store.replace(TableSpec(name="other", key=SCORES.key), store.read(ref))
    assert fresh.content_id == ref.content_id


def test_the_same_batch_again_makes_no_new_version(store: FeatureStore) -> None:
    first = store.replace_batch(SCORES, "batch_id", "one", batch("one", [("a", 1), ("b", 1)], p=[0.1, 0.2]))
    assert store.replace_batch(SCORES, "batch_id", "one", batch("one", [("b", 1), ("a", 1)], p=[0.2, 0.1])) == first


def test_an_empty_batch_removes_its_rows(store: FeatureStore) -> None:
    store.replace_batch(SCORES, "batch_id", "one", batch("one", [("a", 1)], p=[0.1]))
    ref = store.replace_batch(SCORES, "batch_id", "one", batch("one", [], p=pa.array([], pa.float64())))
    assert (ref.rows, store.read(ref).num_rows) == (0, 0)


def test_a_batch_brings_new_columns_and_coded_text(store: FeatureStore) -> None:
    store.replace_batch(SCORES, "batch_id", "one", batch("one", [("a", 1)]))
    coded = pa.array(["treat"]).dictionary_encode()
    ref = store.replace_batch(SCORES, "batch_id", "two", batch("two", [("a", 1)], decision=coded))
    assert rows(store, ref, "batch_id", "decision") == [("one", None), ("two", "treat")]
    assert store.read(ref).schema.field("decision").type == pa.string()


def test_a_batch_that_cannot_be_told_is_refused_and_nothing_is_written(store: FeatureStore) -> None:
    first = store.replace_batch(SCORES, "batch_id", "one", batch("one", [("a", 1)], p=[0.1]))
    with pytest.raises(StoreError, match=r"stands? in more than one row"):
        store.replace_batch(SCORES, "batch_id", "two", batch("two", [("a", 1), ("a", 1)], p=[0.1, 0.2]))
    with pytest.raises(StoreError, match="another 'batch_id' than 'two'"):
        store.replace_batch(SCORES, "batch_id", "two", batch("three", [("a", 1)], p=[0.1]))
    with pytest.raises(StoreError, match=r"ha(ve|s) no 'customer_id'"):
        store.replace_batch(SCORES, "batch_id", "two", batch("two", [(None, 1)], p=[0.1]))  # type: ignore[list-item]
    with pytest.raises(StoreError, match="not in its key"):
        store.replace_batch(SCORES, "p", "two", batch("two", [("a", 1)], p=["two"]))
    assert store.latest("scores") == first


def test_a_reader_that_fails_writes_nothing_and_its_error_is_told(store: FeatureStore) -> None:
    good = next(batch("one", [("a", 1)], p=[0.1]))

    def failing():  # type: ignore[no-untyped-def]
        yield good
        raise StoreError("the source went away")

    with pytest.raises(StoreError, match="the source went away"):
        store.replace_batch(SCORES, "batch_id", "one", pa.RecordBatchReader.from_batches(good.schema, failing()))
    with pytest.raises(NotFound, match="no table 'scores'"):
        store.latest("scores")


def test_a_scan_can_be_limited_to_one_batch(store: FeatureStore) -> None:
    store.replace_batch(SCORES, "batch_id", "it's", batch("it's", [("a", 1)], p=[0.1]))
    ref = store.replace_batch(SCORES, "batch_id", "two", batch("two", [("b", 1)], p=[0.9]))
    assert store.scan(ref, ["p"], where={"batch_id": "it's"}).read_all().to_pydict() == {"p": [0.1]}
    assert store.scan(ref, where={"batch_id": "none"}).read_all().num_rows == 0


@pytest.mark.parametrize("make", STORES[1:])
@pytest.mark.parametrize("names", [["same"] * 4, ["one", "two", "three", "four"]])
def test_writers_at_once_do_not_double_or_lose_rows(
    tmp_path: Path, make: Callable[[Path, Clock], FeatureStore], names: list[str]
) -> None:
    store = make(tmp_path, Ticking())

    def write(name: str) -> TableRef:
        return store.replace_batch(SCORES, "batch_id", name, batch(name, [("a", 1), ("b", 1)], p=[0.1, 0.2]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, names))
    ref = store.latest("scores")
    found = rows(store, ref, "batch_id", "customer_id")
    assert found == sorted((name, customer) for name in set(names) for customer in "ab")
    assert ref.rows == len(found)


def test_of_two_at_once_the_second_waits_until_the_first_is_done(store: FeatureStore) -> None:
    events: list[str] = []
    inside = threading.Event()

    def first() -> None:
        with store.exclusive("campaign"):
            inside.set()
            time.sleep(0.1)
            events.append("first done")

    def second() -> None:
        inside.wait(10)
        with store.exclusive("campaign"):
            events.append("second begins")

    with ThreadPoolExecutor(2) as pool:
        for work in (pool.submit(first), pool.submit(second)):
            work.result(timeout=30)
    assert events == ["first done", "second begins"]


def test_what_has_another_purpose_does_not_wait_and_a_fault_lets_go(store: FeatureStore) -> None:
    with store.exclusive("campaign"), store.exclusive("inference"):
        pass
    with pytest.raises(ValueError, match="in the middle"), store.exclusive("campaign"):
        raise ValueError("in the middle")
    with store.exclusive("campaign"):
        pass
