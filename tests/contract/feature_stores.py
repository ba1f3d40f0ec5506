"""Feature stores to test, and small tables to put into them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.local.feature_store import LocalFeatureStore
from churn.ports.tables import FeatureStore, TableRef, TableSpec
from tests.fakes.ports.tables import MemoryFeatureStore

FEATURES = TableSpec(name="features", key=("customer_id", "transaction_ts"))
LABELS = TableSpec(name="labels", key=("customer_id", "transaction_ts"))
TRAINING = TableSpec(name="training", key=("customer_id", "transaction_ts"))
TIME = pa.timestamp("us", tz="UTC")
Clock = Callable[[], dt.datetime]


def in_memory(folder: Path, clock: Clock) -> FeatureStore:
    return MemoryFeatureStore("telco", clock=clock)


def on_disk(folder: Path, clock: Clock) -> FeatureStore:
    return LocalFeatureStore(folder, "telco", clock=clock)


def in_unity(folder: Path, clock: Clock) -> FeatureStore:
    from adapters.databricks.tables import UnityTables
    from tests.databricks.sail import sail_catalog

    return UnityTables(sail_catalog(), "telco", clock=clock)


STORES = (in_memory, on_disk, *([in_unity] if find_spec("pysail") else []))
"""Sail is in an environment of its own, for it refuses the project's PySpark: tests/databricks/test_on_spark.py."""


class Ticking:
    """A clock that is a second later at every look."""

    def __init__(self) -> None:
        self.now = day(100)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now


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
