"""Small tables of the feature store on disk, and how to look at them from outside."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.local.feature_store import LocalFeatureStore
from churn.ports.tables import TableRef, TableSpec

KEY = ("customer_id", "transaction_ts")
FEATURES = TableSpec(name="features", key=KEY)
TIME = pa.timestamp("us", tz="UTC")
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def some(first: int, count: int, **columns: Any) -> pa.Table:
    """Return rows of customers `c<first>` and so on, `x` being the number."""
    return pa.table(
        {
            "customer_id": [f"c{number}" for number in range(first, first + count)],
            "transaction_ts": pa.array([START] * count, TIME),
            "x": [float(number) for number in range(first, first + count)],
            **columns,
        }
    )


def assert_whole(store: LocalFeatureStore, ref: TableRef) -> None:
    """The table reads, and its commit tells the truth about rows and digest."""
    rows = store.read(ref)
    copy = store.replace(TableSpec(name="copy", key=ref.key), rows)
    assert (rows.num_rows, copy.content_id) == (ref.rows, ref.content_id)


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "_delta_log" not in str(path)
    }
