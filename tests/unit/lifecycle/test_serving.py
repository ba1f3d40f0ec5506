"""Features go online: what is sent, who is removed, and what the check that follows notices."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from churn.core.errors import DataError, StoreError
from churn.lifecycle.serving import check_features, publish_features
from churn.lifecycle.workspace import Workspace
from tests.fakes.data.case import settings
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.online import InMemoryOnlineStore
from tests.fakes.ports.tables import MemoryFeatureStore

TIME = pa.timestamp("us", tz="UTC")
FEATURES = CONTRACT.table("features")


def day(number: float) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


class Case:
    """A data set with a feature table and an online store, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = day(50)
        self.tables = MemoryFeatureStore(CONTRACT.name, clock=lambda: self.now)
        self.online = InMemoryOnlineStore()
        make: dict[str, Any] = {"tables": lambda: self.tables, "online": lambda: self.online}
        self.workspace = Workspace(contract=CONTRACT, model="toy", threads=1, clock=lambda: self.now, make=make)

    def features(self, *rows: tuple[str, float, float], arrivals: dict[str, float] | None = None) -> None:
        """Add rows of a customer, a day and a number that is the value of every numeric column."""
        columns: dict[str, Any] = {
            CONTRACT.entity_key: pa.array([name for name, _, _ in rows]),
            "transaction_ts": pa.array([day(number) for _, number, _ in rows], TIME),
            "arrived_at": pa.array([day((arrivals or {}).get(name, number)) for name, number, _ in rows], TIME),
        }
        for name, kind in {**CONTRACT.kinds, **{spec.name: spec.kind for spec in CONTRACT.stored_features}}.items():
            values = [value for _, _, value in rows]
            columns[name] = pa.array(values, pa.float64()) if kind == "numeric" else pa.array(["x"] * len(rows))
        self.tables.upsert(FEATURES, pa.table(columns))

    def published(self, **options: Any) -> Any:
        self.now += dt.timedelta(hours=1)
        return publish_features(self.workspace, settings(), **options)

    def values(self, customer: str) -> set[float]:
        row = self.online.get(customer)
        assert row is not None
        return {value for value in row.values.values() if isinstance(value, float)}


def test_the_newest_row_of_each_customer_goes_online() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("a", 2, 2.0), ("b", 1, 3.0))
    published = case.published()
    assert (published.written, published.removed, published.full) == (2, 0, True)
    assert (case.values("a"), case.values("b")) == ({2.0}, {3.0})
    assert (published.parity.customers, published.parity.online, published.parity.compared) == (2, 2, 2)


def test_nothing_is_sent_where_nothing_is_new() -> None:
    case = Case()
    case.features(("a", 1, 1.0))
    case.published()
    again = case.published()
    assert (again.written, again.full, again.parity.compared) == (0, False, 1)


def test_a_store_of_another_data_set_is_published_to_as_a_whole() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("b", 1, 3.0))
    case.published()
    made = case.online.publication()
    assert made is not None
    case.online.recorded(made.model_copy(update={"features": made.features.model_copy(update={"dataset": "pool"})}))
    again = case.published()
    assert (again.written, again.full) == (2, True)


def test_only_rows_that_became_known_or_were_written_since_are_sent() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("b", 1, 1.0), ("c", 1, 1.0), ("late", 25, 5.0), arrivals={"late": 51})
    first = case.published()
    case.now = day(52)
    case.features(("b", 1, 9.0), ("c", 2, 2.0))
    second = case.published()
    assert (first.written, second.written, second.full) == (3, 3, False)
    assert [case.values(name) for name in ("a", "b", "c", "late")] == [{1.0}, {9.0}, {2.0}, {5.0}]


def test_what_is_not_known_yet_is_not_online() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("a", 60, 2.0))
    case.published()
    assert case.values("a") == {1.0}


def test_customers_who_left_are_removed_by_the_rule_of_batches() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("b", 20, 1.0))
    case.published()
    case.features(("b", 1 + CONTRACT.label.window_days, 1.0))
    case.now = day(300)
    assert case.published().removed == 0
    case.features(("b", 1.1 + CONTRACT.label.window_days, 1.0))
    assert case.published().removed == 1
    assert [*case.online.customers()] == ["b"]


def test_another_rule_of_who_left_brings_customers_back() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("b", 40, 1.0))
    short, long = settings("inference.max_age_days=10"), settings("inference.max_age_days=100")
    publish_features(case.workspace, short)
    assert [*case.online.customers()] == ["b"]
    assert publish_features(case.workspace, long).written == 1
    assert sorted(case.online.customers()) == ["a", "b"]


def test_customers_who_are_no_longer_in_the_table_are_removed() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("b", 1, 1.0))
    case.published()
    newest = case.tables.latest("churn_features")
    case.tables.replace(FEATURES, case.tables.read(newest).filter(pa.array([True, False])))
    assert case.published().removed == 1
    assert [*case.online.customers()] == ["a"]


def test_other_columns_publish_everybody_again() -> None:
    case = Case()
    case.features(("a", 1, 1.0))
    case.published()
    publication = case.online.publication()
    assert publication is not None
    case.online.recorded(publication.model_copy(update={"columns": {"other": "numeric"}}))
    assert case.published().full


def test_other_columns_replace_rows_that_are_newer_too() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("a", 2, 2.0))
    case.published()
    publication = case.online.publication()
    assert publication is not None
    case.online.recorded(publication.model_copy(update={"columns": {"other": "numeric"}}))
    newest = case.tables.latest("churn_features")
    case.tables.replace(FEATURES, case.tables.read(newest).filter(pa.array([True, False])))
    case.published()
    assert case.values("a") == {1.0}


def test_the_check_names_customers_columns_and_values_that_differ() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("b", 1, 2.0), ("c", 1, 3.0))
    case.published()
    row = case.online.held.pop("b")
    name = next(column for column, value in row.values.items() if value == 2.0)
    case.online.held["z"] = row._replace(customer="z")
    case.online.held["c"] = case.online.held["c"]._replace(
        values={**case.online.held["c"].values, name: 3.5}, event_time=day(0)
    )
    parity = check_features(case.workspace, settings())
    assert [(one.customer, one.column, one.online, one.offline) for one in parity.differences] == [
        ("b", "row", None, "there"),
        ("c", "event_time", str(day(0)), str(day(1))),
        ("c", name, 3.5, 3.0),
        ("z", "row", "there", None),
    ]
    assert (parity.different, parity.customers, parity.online) == (3, 3, 3)
    with pytest.raises(
        StoreError, match=rf"differs from churn_features .* for 3 .*'c' {name}: online 3.5, table 3.0.*--full"
    ):
        parity.require()


def test_the_check_sees_that_the_table_moved_on() -> None:
    case = Case()
    case.features(("a", 1, 1.0))
    case.published()
    case.features(("a", 2, 2.0))
    assert check_features(case.workspace, settings()).different == 1


def test_a_table_that_is_older_than_what_is_online_needs_the_word_full() -> None:
    case = Case()
    case.features(("a", 1, 1.0), ("b", 30, 1.0))
    case.published()
    newest = case.tables.latest("churn_features")
    case.tables.replace(FEATURES, case.tables.read(newest).filter(pa.array([True, False])))
    with pytest.raises(
        StoreError, match=r"holds what was known by 2024-01-31 00:00 UTC, and churn_features ends at 2024-01-02"
    ):
        case.published()
    assert case.published(full=True).removed == 1


def test_without_a_feature_table_the_next_command_is_named() -> None:
    with pytest.raises(
        DataError, match=r"no feature table of 'toy' yet: make it by `python run.py --pipeline features`"
    ):
        Case().published()


def test_a_check_before_anything_was_published_says_so() -> None:
    case = Case()
    case.features(("a", 1, 1.0))
    with pytest.raises(StoreError, match="Nothing is in the online store yet: publish by"):
        check_features(case.workspace, settings())


def test_rows_that_lie_in_the_future_alone_are_said() -> None:
    case = Case()
    case.features(("a", 90, 1.0))
    with pytest.raises(DataError, match=r"Nothing in churn_features .* is known yet"):
        case.published()
