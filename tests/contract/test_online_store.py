"""What every online store keeps of its port's promises."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.local.online_postgresql import PostgresOnlineStore
from adapters.local.online_sqlite import SqliteOnlineStore
from churn.ports.online import OnlineRow, OnlineStore, Publication
from churn.ports.tables import TableRef
from tests.fakes.ports.online import InMemoryOnlineStore

COLUMNS = {"plan": "categorical", "spend": "numeric"}
TIME = pa.timestamp("us", tz="UTC")
NOW = dt.datetime(2024, 6, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)


def day(number: float) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


def batch(*rows: tuple[str, float, float, str | None, float | None]) -> pa.RecordBatch:
    """Return rows of a customer, the days of event and arrival, a plan and a spend."""
    customers, events, arrivals, plans, spends = zip(*rows, strict=True) if rows else ([], [], [], [], [])
    return pa.RecordBatch.from_arrays(
        [
            pa.array(customers, pa.string()),
            pa.array([day(event) for event in events], TIME),
            pa.array([day(arrival) for arrival in arrivals], TIME),
            pa.array(plans, pa.string()),
            pa.array(spends, pa.float64()),
        ],
        names=["customer", "event_time", "arrived_at", *COLUMNS],
    )


def publication(version: int = 0, **changed: Any) -> Publication:
    features = TableRef(
        dataset="telco", name="churn_features", version=version, rows=3, content_id="x", key=("id",), uri="here"
    )
    values = {
        "columns": COLUMNS,
        "as_of": NOW,
        "ingested_until": NOW,
        "published_at": NOW,
    }
    return Publication(features=features, **{**values, **changed})


def publish(store: OnlineStore, *rows: Any, version: int = 0, full: bool = False, columns: Any = COLUMNS) -> None:
    with store.publishing(columns, full=full) as writer:
        writer.write(batch(*rows), version)
        writer.record(publication(version, columns=columns))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], OnlineStore]]:
    """Return what opens the same store again and again, as other processes would."""
    opened: list[OnlineStore] = []
    memory = InMemoryOnlineStore()

    def opening() -> OnlineStore:
        if request.param == "memory":
            return memory
        if request.param == "sqlite":
            opened.append(SqliteOnlineStore(tmp_path / "online", "telco"))
        else:
            address = request.getfixturevalue("postgresql_server")
            opened.append(PostgresOnlineStore(address, f"t_{abs(hash(request.node.nodeid))}", lambda: "first"))
        return opened[-1]

    yield opening
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], OnlineStore]) -> OnlineStore:
    return open_store()


def test_a_store_that_was_never_published_to_holds_nobody(store: OnlineStore) -> None:
    assert store.publication() is None
    assert store.get("a") is None
    assert [*store.rows(["a"])] == [*store.customers()] == []


def test_what_was_published_is_found_by_key_with_its_times_and_version(store: OnlineStore) -> None:
    publish(store, ("a", 1, 1.5, "gold", 0.1), ("b", 2, 2, None, None), version=7)
    assert store.get("a") == OnlineRow("a", {"plan": "gold", "spend": 0.1}, day(1), day(1.5), 7)
    assert store.get("b") == OnlineRow("b", {"plan": None, "spend": None}, day(2), day(2), 7)
    assert store.get("c") is None
    assert store.publication() == publication(7)


def test_another_process_sees_the_same(open_store: Callable[[], OnlineStore]) -> None:
    publish(open_store(), ("a", 1, 1, "gold", 1.0), version=3)
    assert open_store().publication() == publication(3)
    assert {row.customer: row.table_version for row in open_store().rows(["a", "z"])} == {"a": 3}


def test_a_reader_that_is_open_sees_the_next_publication(open_store: Callable[[], OnlineStore]) -> None:
    reader = open_store()
    publish(open_store(), ("a", 1, 1, "gold", 1.0))
    assert [row.values["spend"] for row in reader.rows(["a"])] == [1.0]
    publish(open_store(), ("a", 2, 2, "gold", 2.0))
    found = reader.get("a")
    assert found is not None
    assert found.values["spend"] == 2.0


@pytest.mark.parametrize(
    ("event", "arrival", "plan"), [(4, 9, "old"), (5, 5, "old"), (5, 6, "new"), (5, 7, "new"), (6, 6, "new")]
)
def test_no_customer_goes_back_in_time(store: OnlineStore, event: float, arrival: float, plan: str) -> None:
    publish(store, ("a", 5, 6, "old", 1.0))
    publish(store, ("a", event, arrival, "new", 1.0), version=1)
    found = store.get("a")
    assert found is not None
    assert found.values["plan"] == plan


def test_a_full_publication_takes_its_rows_in_any_case(store: OnlineStore) -> None:
    publish(store, ("a", 5, 5, "old", 1.0), ("b", 5, 5, "old", 1.0))
    publish(store, ("a", 4, 4, "new", 1.0), version=1, full=True)
    found = {row.customer: (row.values["plan"], row.event_time) for row in store.rows(["a", "b"])}
    assert found == {"a": ("new", day(4)), "b": ("old", day(5))}


def test_customers_are_removed_by_name(store: OnlineStore) -> None:
    publish(store, ("a", 1, 9, "x", 1.0), ("b", 2, 9, "x", 1.0), ("c", 3, 9, "x", 1.0))
    with store.publishing(COLUMNS, full=False) as writer:
        assert writer.remove(["a", "c", "z"]) == 2
        assert writer.remove([]) == 0
    assert [*store.customers()] == ["b"]


def test_rows_with_other_columns_stand_beside_the_old_ones(store: OnlineStore) -> None:
    publish(store, ("a", 1, 1, "gold", 1.0), ("b", 1, 1, "gold", 2.0))
    other = {"tier": "categorical", "paid": "numeric"}
    with store.publishing(other, full=True) as writer:
        writer.write(batch(("a", 1, 1, "new", 3.0)).rename_columns(["customer", "event_time", "arrived_at", *other]), 1)
        writer.record(publication(1, columns=other))
    assert {row.customer: row.values for row in store.rows(["a", "b"])} == {
        "a": {"tier": "new", "paid": 3.0},
        "b": {"plan": "gold", "spend": 2.0},
    }


def test_a_publication_that_breaks_off_leaves_whole_batches_and_the_record_of_before(store: OnlineStore) -> None:
    publish(store, ("a", 1, 1, "gold", 1.0))

    def breaks_off() -> None:
        with store.publishing(COLUMNS, full=False) as writer:
            writer.write(batch(("a", 2, 2, "gold", 2.0), ("b", 2, 2, "gold", 2.0)), 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaks_off()
    assert store.publication() == publication(0)
    assert sorted(store.customers()) == ["a", "b"]
    publish(store, ("a", 2, 2, "gold", 2.0), ("b", 2, 2, "gold", 2.0), version=1)
    assert {row.values["spend"] for row in store.rows(["a", "b"])} == {2.0}
    assert store.publication() == publication(1)


def test_two_publishers_do_so_one_after_the_other(open_store: Callable[[], OnlineStore]) -> None:
    order: list[str] = []
    first = open_store()
    with first.publishing(COLUMNS, full=False) as writer:
        second = threading.Thread(target=lambda: (publish(open_store(), ("b", 1, 1, "x", 1.0)), order.append("second")))
        if not isinstance(first, InMemoryOnlineStore):
            second.start()
            second.join(0.2)
        writer.write(batch(("a", 1, 1, "x", 1.0)), 0)
        order.append("first")
    if second.ident is None:
        second.start()
    second.join(20)
    assert order == ["first", "second"]
    assert sorted(first.customers()) == ["a", "b"]


def test_several_threads_can_read_at_once(store: OnlineStore) -> None:
    publish(store, *((f"c{number}", 1, 1, "x", float(number)) for number in range(50)))
    found: dict[int, float] = {}

    def read(number: int) -> None:
        row = store.get(f"c{number}")
        assert row is not None
        found[number] = row.values["spend"]  # type: ignore[assignment]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: float(number) for number in range(20)}


@pytest.mark.parametrize("key", ["", "\0", "a\0", " a", "A", "\U0001f600", "a" * 100_000, "'; DROP TABLE features; --"])
def test_any_text_may_be_asked_for(store: OnlineStore, key: str) -> None:
    publish(store, ("a", 1, 1, "x", 1.0))
    assert store.get(key) is None
    assert [row.customer for row in store.rows([key, "a", "b"])] == ["a"]


@pytest.mark.parametrize("number", [0, 1, 2, 1200])
def test_many_customers_are_read_at_once(store: OnlineStore, number: int) -> None:
    publish(store, *((f"c{key}", 1, 1, "x", float(key)) for key in range(1200)))
    asked = [f"c{key}" for key in range(number)]
    assert sorted(row.customer for row in store.rows(asked)) == sorted(asked)


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=_TEXT.filter(bool), plan=st.none() | _TEXT, spend=st.none() | st.floats(allow_nan=False, allow_infinity=False)
)
def test_any_text_and_any_number_comes_back_as_it_was(
    store: OnlineStore, key: str, plan: str | None, spend: float | None
) -> None:
    publish(store, (key, 1, 1, plan, spend), full=True)
    found = store.get(key)
    assert found is not None
    assert found.values == {"plan": plan, "spend": spend}


def test_a_number_that_is_none_is_missing(store: OnlineStore) -> None:
    publish(store, ("a", 1, 1, "x", float("nan")))
    found = store.get("a")
    assert found is not None
    assert found.values["spend"] is None


def test_an_erased_customer_is_gone_and_the_others_stay(open_store: Callable[[], OnlineStore]) -> None:
    store = open_store()
    assert not store.erase("a")
    publish(store, ("a", 0, 0, "basic", 1.0), ("b", 0, 0, "pro", 2.0))
    published = store.publication()
    assert open_store().erase("a")
    assert (store.get("a"), sorted(store.customers()), store.publication()) == (None, ["b"], published)
    assert not store.erase("a")
    publish(store, ("c", 1, 1, None, 3.0))
    assert sorted(open_store().customers()) == ["b", "c"]


def test_in_sqlite_the_bytes_of_an_erased_customer_are_gone(tmp_path: Path) -> None:
    store = SqliteOnlineStore(tmp_path, "telco")
    for version in range(2):
        publish(store, *((f"<{name}>", version, version, "pro", 1.0) for name in range(200)), version=version)
    store.erase("<17>")
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (b"<17>" in content, b"<18>" in content) == (False, True)
