"""The online store against its peers: look-ups of one customer and rows published a second, for one million customers.

    python benchmarks/online_store.py [--customers 1m] [--lookups 20000] [--feast 50k]

Every store holds the same rows of 21 features. A look-up reads one customer by key and returns its values by name; the
limit is a dictionary of this process that holds the same packed rows. Publishing takes record batches and leaves them
committed. Feast publishes `--feast` customers, since it takes minutes for more; PostgreSQL runs where it is installed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from adapters.local.online_sqlite import SqliteOnlineStore
from adapters.local.packed_rows import pack, unpack
from benchmarks.measure import number, print_row, stopwatch
from churn.ports.online import OnlineColumns, OnlineStore

BATCH = 50_000
COLUMNS: OnlineColumns = {f"f{index}": "categorical" if index < 16 else "numeric" for index in range(21)}
ANSWERS = pa.array(["Yes", "No", "No internet service", "Month-to-month", "Two year"])
NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)


class Result(NamedTuple):
    """Look-up times in microseconds, and rows published a second, of wall clock and of this process's CPU."""

    p50: float
    p99: float
    rows: float
    cpu_rows: float


def batches(customers: int) -> Iterator[pa.RecordBatch]:
    random = np.random.default_rng(0)
    keys = random.permutation(customers)
    for start in range(0, customers, BATCH):
        part = keys[start : start + BATCH]
        times = pa.array([NOW] * len(part), pa.timestamp("us", tz="UTC"))
        values = [
            ANSWERS.take(pa.array(random.integers(0, 5, len(part))))
            if kind == "categorical"
            else pa.array(np.round(random.gamma(2, 30, len(part)), 2))
            for kind in COLUMNS.values()
        ]
        names = pa.array([f"C{key:07d}" for key in part])
        yield pa.RecordBatch.from_arrays(
            [names, times, times, *values], names=["customer", "event_time", "arrived_at", *COLUMNS]
        )


def asked(customers: int, lookups: int) -> list[str]:
    return [f"C{key:07d}" for key in np.random.default_rng(1).integers(0, customers, lookups)]


def looked_up(get: Callable[[str], Any], keys: list[str]) -> tuple[float, float]:
    """Return the median and the 99th percentile of one look-up, in microseconds."""
    for key in keys[: len(keys) // 10]:
        get(key)
    taken = np.empty(len(keys))
    for index, key in enumerate(keys):
        start = time.perf_counter_ns()
        found = get(key)
        taken[index] = time.perf_counter_ns() - start
        if found is None:
            raise SystemExit(f"{key} was published and is not found.")
    return float(np.median(taken)) / 1000, float(np.quantile(taken, 0.99)) / 1000


def dictionary(customers: int, keys: list[str]) -> Result:
    made = list(batches(customers))
    with stopwatch() as spent:
        rows = {name: packed for batch in made for name, *packed in pack(batch)}
    del made
    names = [*COLUMNS]

    def get(key: str) -> Any:
        event, arrived, values = rows[key]
        return unpack(names, key, event, arrived, 0, values)

    return Result(*looked_up(get, keys), customers / spent.seconds, customers / spent.cpu_seconds)


def store(online: OnlineStore, customers: int, keys: list[str]) -> Result:
    made = list(batches(customers))
    with stopwatch() as spent, online.publishing(COLUMNS, full=True) as writer:
        for batch in made:
            writer.write(batch, 0)
    del made
    return Result(*looked_up(online.get, keys), customers / spent.seconds, customers / spent.cpu_seconds)


def feast(folder: Path, customers: int, keys: list[str]) -> Result:
    """Push the same rows into Feast's SQLite store, and read one customer by its online API."""
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Float64, String
    from feast.value_type import ValueType

    frame = pa.Table.from_batches(list(batches(customers))).to_pandas().drop(columns="arrived_at")
    path = folder / "features.parquet"
    frame.to_parquet(path)
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    feature_store = FeatureStore(config=config)
    customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
    view = FeatureView(
        name="churn",
        entities=[customer],
        ttl=dt.timedelta(days=100_000),
        schema=[Field(name=name, dtype=String if kind == "categorical" else Float64) for name, kind in COLUMNS.items()],
        source=FileSource(path=str(path), timestamp_field="event_time"),
    )
    feature_store.apply([customer, view])
    with stopwatch() as spent:
        feature_store.write_to_online_store("churn", pd.DataFrame(frame))
    names = [f"churn:{name}" for name in COLUMNS]

    def get(key: str) -> Any:
        return feature_store.get_online_features(features=names, entity_rows=[{"customer": key}]).to_dict()

    return Result(*looked_up(get, keys), customers / spent.seconds, customers / spent.cpu_seconds)


def show(results: Mapping[str, Result]) -> None:
    limit = results["dictionary"].p50
    print_row("", ["p50 us", "p99 us", "x dictionary", "rows/s", "rows/CPU s"], width=14)
    for name, result in results.items():
        cells = [f"{result.p50:.1f}", f"{result.p99:.1f}", f"{result.p50 / limit:.1f}"]
        print_row(name, [*cells, f"{result.rows:,.0f}", f"{result.cpu_rows:,.0f}"], width=14)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", default="1m")
    parser.add_argument("--lookups", default="20k")
    parser.add_argument("--feast", default="50k", help="customers in Feast; 0 leaves it out")
    arguments = parser.parse_args()
    customers, lookups, few = (number(text) for text in (arguments.customers, arguments.lookups, arguments.feast))
    keys = asked(customers, lookups)
    with ExitStack() as open_things:
        folder = Path(open_things.enter_context(tempfile.TemporaryDirectory(prefix="online_store")))
        results = {"dictionary": dictionary(customers, keys)}
        results["ours, SQLite"] = store(SqliteOnlineStore(folder, "benchmark"), customers, keys)
        from tests import postgresql

        if postgresql.programs() is None:
            print("PostgreSQL is not installed (apt-get install postgresql) and is left out.")
        else:
            from adapters.local.online_postgresql import PostgresOnlineStore

            address = open_things.enter_context(postgresql.running())
            online = PostgresOnlineStore(address, "benchmark", lambda: "first")
            results["ours, PostgreSQL"] = store(online, customers, keys)
            online.close()
        if few:
            results[f"Feast, SQLite ({few:,})"] = feast(folder, few, asked(few, lookups // 10))
        show(results)


if __name__ == "__main__":
    main()
