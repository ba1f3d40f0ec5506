"""What it means that rows are erased from a table: gone from every version, and all else as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from adapters.local.feature_store import LocalFeatureStore
from churn.core.errors import NotFound
from churn.ports.tables import FeatureStore

from .feature_stores import FEATURES, STORES, Clock, Ticking, rows, table


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


def test_the_newest_version_is_one_without_the_rows(store: FeatureStore) -> None:
    store.replace(FEATURES, table([("a", 0), ("b", 0), ("b", 1), ("c", 0)], x=[1, 2, 3, None]))
    erased = store.erase("features", "customer_id", ["b"])
    newest = store.latest("features")
    assert (erased.rows, erased.versions, newest.rows) == (2, (0,), 2)
    assert rows(store, newest, "customer_id", "x") == [("a", 1), ("c", None)]


def test_older_versions_with_the_rows_are_gone_and_those_without_stay(store: FeatureStore) -> None:
    without = store.replace(FEATURES, table([("a", 0)], x=[1]))
    with_it = store.upsert(FEATURES, table([("b", 0)], x=[2]))
    later = store.upsert(FEATURES, table([("c", 0)], x=[3]))
    assert store.erase("features", "customer_id", ["b"]).versions == (with_it.version, later.version)
    assert rows(store, without, "customer_id") == [("a",)]
    for gone in (with_it, later):
        with pytest.raises(NotFound, match="version"):
            store.read(gone)


def test_a_row_that_is_in_older_versions_alone_is_erased_there_and_the_newest_stays_as_it_is(
    store: FeatureStore,
) -> None:
    store.replace(FEATURES, table([("a", 0), ("b", 0)], x=[1, 2]))
    newest = store.replace(FEATURES, table([("a", 0)], x=[1]))
    assert store.erase("features", "customer_id", ["b"]) == (0, (0,))
    assert store.latest("features") == newest


def test_erasing_again_finds_nothing(store: FeatureStore) -> None:
    store.replace(FEATURES, table([("a", 0), ("b", 0)], x=[1, 2]))
    store.erase("features", "customer_id", ["b"])
    newest = store.latest("features")
    assert store.erase("features", "customer_id", ["b"]) == (0, ())
    assert store.latest("features") == newest


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("nothing", "customer_id", ["a"]),
        ("features", "nothing", ["a"]),
        ("features", "x", ["1"]),
        ("features", "x", []),
    ],
)
def test_what_is_not_there_is_no_error(store: FeatureStore, name: str, column: str, values: list[str]) -> None:
    newest = store.replace(FEATURES, table([("a", 0)], x=[1]))
    assert store.erase(name, column, values) == (0, ())
    assert store.latest("features") == newest


def test_the_last_row_can_be_erased_and_another_be_written(store: FeatureStore) -> None:
    store.replace(FEATURES, table([("it's", 0)], x=[1]))
    store.erase("features", "customer_id", ["it's"])
    assert store.latest("features").rows == 0
    assert rows(store, store.upsert(FEATURES, table([("b", 0)], x=[2])), "customer_id", "x") == [("b", 2)]


def test_an_erased_version_says_what_a_version_written_without_the_rows_says(store: FeatureStore) -> None:
    store.replace(FEATURES, table([("a", 0), ("b", 0)], x=[1, 2]))
    store.erase("features", "customer_id", ["b"])
    other = store.replace(FEATURES.model_copy(update={"name": "other"}), table([("a", 0)], x=[1]))
    assert store.latest("features").content_id == other.content_id


def test_no_file_of_the_table_holds_the_bytes_even_where_a_writer_was_killed(tmp_path: Path) -> None:
    store = LocalFeatureStore(tmp_path, "telco")
    for number in range(3):
        store.upsert(FEATURES, table([("somebody", number), ("a", number)], x=[number, 2]))
    left = tmp_path / "telco" / "features" / "uncommitted" / "data_0.parquet"
    left.parent.mkdir()
    pyarrow.parquet.write_table(table([("somebody", 9)]), left)
    store.erase("features", "customer_id", ["somebody"])
    assert not left.parent.exists()
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"somebody" not in file.read_bytes()
        if file.suffix == ".parquet":
            assert "somebody" not in pyarrow.parquet.read_table(file)["customer_id"].to_pylist()
