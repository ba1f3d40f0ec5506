"""What a vacuum of a feature store removes, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from churn.core.errors import NotFound
from churn.ports.tables import FeatureStore, TableRef

from .feature_stores import FEATURES, STORES, Clock, Ticking, day, rows, table

ALL, NONE = day(100_000), day(-1)


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


@pytest.fixture
def versions(store: FeatureStore) -> list[TableRef]:
    return [store.replace(FEATURES, table([("a", 0), ("b", 0)], x=[number, 2])) for number in range(4)]


def test_replaced_versions_go_and_the_newest_and_the_named_ones_stay(
    store: FeatureStore, versions: list[TableRef]
) -> None:
    freed = store.vacuum(ALL, {"features": [1]})
    assert list(freed) == ["features"]
    assert freed["features"] > 0
    by_age = type(store).__name__ == "UnityTables"  # version 2 is younger than one to be kept
    for gone in versions[:1] if by_age else (versions[0], versions[2]):
        with pytest.raises(NotFound, match="version"):
            store.read(gone)
    assert rows(store, versions[1], "x") == [(1,), (2,)]
    assert rows(store, versions[3], "x") == [(3,), (2,)]
    assert store.latest("features") == versions[3]


def test_a_version_that_was_replaced_no_earlier_stays(store: FeatureStore, versions: list[TableRef]) -> None:
    assert store.vacuum(NONE) == {}
    assert [rows(store, ref, "x") for ref in versions] == [[(number,), (2,)] for number in range(4)]


def test_rows_that_a_newer_version_shares_with_a_removed_one_stay(store: FeatureStore) -> None:
    store.upsert(FEATURES, table([("a", 0)], x=[1]))
    newest = store.upsert(FEATURES, table([("b", 0)], x=[2]))
    store.vacuum(ALL)
    assert rows(store, newest, "customer_id", "x") == [("a", 1), ("b", 2)]
    assert rows(store, store.upsert(FEATURES, table([("c", 0)], x=[3])), "x") == [(1,), (2,), (3,)]


def test_a_second_vacuum_finds_nothing(store: FeatureStore, versions: list[TableRef]) -> None:
    store.vacuum(ALL)
    assert store.vacuum(ALL) == {}
