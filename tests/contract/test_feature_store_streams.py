"""Rows that a feature store takes as a stream become the same table as rows that it takes at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from churn.core.errors import StoreError
from churn.ports.tables import FeatureStore, TableSpec

from .feature_stores import FEATURES, STORES, Clock, Ticking, rows, table

OTHER = TableSpec(name="other", key=FEATURES.key)
FIRST = table([("a", 0), ("b", 0), ("c", 0)], x=[1, 2, 3])
SECOND = table([("d", 0), ("b", 0)], x=[4, 20], note=["new", None])


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    make: Callable[[Path, Clock], FeatureStore] = request.param
    return make(tmp_path, Ticking())


def stream(given: pa.Table) -> pa.RecordBatchReader:
    return given.to_reader(max_chunksize=1)


def test_an_upsert_of_a_stream_is_an_upsert_of_its_rows(store: FeatureStore) -> None:
    for given in (FIRST, SECOND):
        streamed, whole = store.upsert(FEATURES, stream(given)), store.upsert(OTHER, given)
        assert (streamed.rows, streamed.content_id) == (whole.rows, whole.content_id)
    assert rows(store, streamed, "customer_id", "x", "note") == [
        ("a", 1, None),
        ("b", 20, None),
        ("c", 3, None),
        ("d", 4, "new"),
    ]


def test_a_streamed_replacement_is_the_whole_content(store: FeatureStore) -> None:
    store.replace(FEATURES, FIRST)
    ref = store.replace(FEATURES, stream(SECOND))
    assert (ref.rows, ref.version) == (2, 1)
    assert store.replace(FEATURES, SECOND) == ref


def test_a_stream_that_changes_nothing_makes_no_version(store: FeatureStore) -> None:
    ref = store.upsert(FEATURES, FIRST)
    assert store.upsert(FEATURES, stream(FIRST)) == ref


def test_a_stream_without_rows_makes_an_empty_table(store: FeatureStore) -> None:
    assert store.upsert(FEATURES, stream(FIRST.slice(0, 0))).rows == 0


@pytest.mark.parametrize("write", ["upsert", "replace"])
def test_a_key_that_is_in_two_batches_of_a_stream_is_refused(store: FeatureStore, write: str) -> None:
    twice = pa.concat_tables([FIRST, FIRST.slice(0, 1)])
    with pytest.raises(StoreError, match=r"stand.? in more than one row \(customer_id=a"):
        getattr(store, write)(FEATURES, stream(twice))


def test_a_key_that_is_missing_in_a_stream_is_refused(store: FeatureStore) -> None:
    gap = FIRST.set_column(0, "customer_id", pa.array(["a", None, "c"]))
    with pytest.raises(StoreError, match=r"has? no 'customer_id', a part of the key|have no 'customer_id'"):
        store.upsert(FEATURES, stream(gap))
