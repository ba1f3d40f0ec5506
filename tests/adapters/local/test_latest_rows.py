"""The newest row of each customer, found for a part of the customers at a time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adapters.local.delta_table import DeltaVersion
from adapters.local.duck import Duck
from adapters.local.feature_store import LocalFeatureStore
from adapters.local.latest_rows import newest_rows
from churn.ports.tables import TableSpec
from tests.adapters.local.delta_tables import FEATURES, KEY, START, TIME

CUSTOMERS, MONTHS = 200, 6
AS_OF = START + dt.timedelta(days=3)


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    """A table of two files, each with half of the rows of every customer."""
    store = LocalFeatureStore(tmp_path, "telco")
    customer, day = np.divmod(np.random.default_rng(0).permutation(CUSTOMERS * MONTHS), MONTHS)
    times = np.datetime64(START.replace(tzinfo=None), "us") + day * np.timedelta64(1, "D")
    rows = pa.table(
        {"customer_id": [f"c{number}" for number in customer], "transaction_ts": pa.array(times, TIME), "x": day * 1.0}
    )
    for start in (0, CUSTOMERS * MONTHS // 2):
        store.upsert(FEATURES, rows.slice(start, CUSTOMERS * MONTHS // 2))
    return store


def bits(store: LocalFeatureStore, folder: Path, customers_at_once: int) -> dict[int, str]:
    version = DeltaVersion(Path(store.latest("features").uri))
    with Duck("1GB", 2, folder / "spill").session() as connection:
        newest = newest_rows(connection, version, KEY, AS_OF, customers_at_once=customers_at_once)
    return dict(zip(newest["file_index"].to_pylist(), newest["bits"].to_pylist(), strict=True))


@pytest.mark.parametrize("customers_at_once", [1, 37, CUSTOMERS])
def test_the_number_of_customers_that_are_grouped_at_once_changes_no_row(
    store: LocalFeatureStore, tmp_path: Path, customers_at_once: int
) -> None:
    whole = bits(store, tmp_path, 1_000_000)
    assert sum(row.count("1") for row in whole.values()) == CUSTOMERS
    assert len(whole) == 2
    assert bits(store, tmp_path, customers_at_once) == whole


def test_the_rows_that_are_marked_are_the_newest(store: LocalFeatureStore) -> None:
    rows = store.latest_rows(store.latest("features"), AS_OF).read_all()
    known = store.read(store.latest("features")).to_pandas()
    newest = known[known["transaction_ts"] <= AS_OF].groupby("customer_id")["x"].max()
    assert dict(zip(rows["customer_id"].to_pylist(), rows["x"].to_pylist(), strict=True)) == newest.to_dict()


def test_a_table_without_a_row_that_was_known_has_no_newest(store: LocalFeatureStore) -> None:
    ref = store.replace(TableSpec(name="empty", key=KEY), store.read(store.latest("features")).slice(0, 0))
    assert store.latest_rows(ref, AS_OF).read_all().num_rows == 0
    assert store.latest_rows(store.latest("features"), START - dt.timedelta(days=1)).read_all().num_rows == 0
