"""The point-in-time join against its peers: label rows a second and peak memory, from Delta files to a written result.

    python benchmarks/pit_join.py [--sizes 1m,10m] [--columns numbers|telco] [--rounds 3]

A size is that many feature rows of 100,000 customers over two years; there are 1 M label rows. Every engine reads the
same files, gives each label row the newest earlier feature row and writes Parquet; ours also counts and digests the
result and commits it to a Delta table. Each run is a process of its own, the engines take turns, and medians are shown.
Imports count in the memory and not in the seconds.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Measurement, measure, number
from churn.data.tables import EVENT_TIME, FEATURE_TIME
from churn.ports.tables import TableRef, TableSpec

KEY = ("customer_id", EVENT_TIME)
CUSTOMERS, LABELS, BATCH = 100_000, 1_000_000, 1_000_000
START, LENGTH = 1_640_995_200_000_000, 730 * 86_400_000_000  # microseconds
FEATURES = 21
TEXTS = {"numbers": 0, "telco": 16}
ANSWERS = (["Yes", "No", "No internet service"], ["Month-to-month", "One year", "Two year"])

Found = tuple[int, int]  # rows of the result, and how many of them have a feature row


def generate(folder: Path, rows: int, texts: int) -> tuple[TableRef, TableRef]:
    """Write the labels, and the features in batches one after the other in time; `texts` of the 21 columns are text."""
    from adapters.local.feature_store import LocalFeatureStore

    store, random = LocalFeatureStore(folder, "benchmark"), np.random.default_rng(rows)
    labels = keyed(random, LABELS, 0, 1).append_column("label", pa.array(random.integers(0, 2, LABELS, dtype=np.int8)))
    spine = store.upsert(TableSpec(name="labels", key=KEY), labels)
    batches = -(-rows // BATCH)
    for batch in range(batches):
        table = keyed(random, min(rows, BATCH), batch / batches, (batch + 1) / batches)
        for column in range(FEATURES):
            table = table.append_column(f"f{column}", values(random, len(table), column, column < texts))
        features = store.upsert(TableSpec(name="features", key=KEY), table)
    return spine, features


def keyed(random: np.random.Generator, rows: int, since: float, until: float) -> pa.Table:
    customers = pa.array([f"C{number:07d}" for number in range(CUSTOMERS)])
    times = START + random.integers(int(since * LENGTH), int(until * LENGTH), rows)
    keys = [customers.take(pa.array(random.integers(0, CUSTOMERS, rows))), pa.array(times, pa.timestamp("us", "UTC"))]
    return pa.table(keys, names=list(KEY))


def values(random: np.random.Generator, rows: int, column: int, text: bool) -> pa.Array:
    if text:
        return pa.array(ANSWERS[column % 2]).take(pa.array(random.integers(0, 3, rows)))
    makers: list[Callable[[], np.ndarray]] = [
        lambda: random.integers(0, 73, rows).astype(np.float64),
        lambda: np.round(random.gamma(2, 30, rows), 2),
        lambda: random.normal(size=rows),
    ]
    return pa.array(makers[column % 3]())


def ours(folder: Path, spine: TableRef, features: TableRef) -> None:
    from adapters.local.feature_store import LocalFeatureStore

    LocalFeatureStore(folder, "benchmark").point_in_time_join(spine, features, TableSpec(name="result", key=KEY))


def with_pandas(folder: Path, spine: TableRef, features: TableRef) -> None:
    import pandas as pd

    left, right = (pd.read_parquet(files(ref)) for ref in (spine, features))
    right[FEATURE_TIME] = right[EVENT_TIME]
    left, right = left.sort_values(EVENT_TIME), right.sort_values(EVENT_TIME)
    pd.merge_asof(left, right, on=EVENT_TIME, by="customer_id").to_parquet(result(folder))


def with_polars(folder: Path, spine: TableRef, features: TableRef) -> None:
    import polars as pl

    left, right = (pl.read_parquet(files(ref)).sort(EVENT_TIME) for ref in (spine, features))
    right = right.with_columns(pl.col(EVENT_TIME).alias(FEATURE_TIME))
    left.join_asof(right, on=EVENT_TIME, by="customer_id", check_sortedness=False).write_parquet(result(folder))


def files(ref: TableRef) -> list[str]:
    from deltalake import DeltaTable

    return DeltaTable(ref.uri, version=ref.version).file_uris()


def result(folder: Path) -> Path:
    (folder / "benchmark" / "result").mkdir()
    return folder / "benchmark" / "result" / "result.parquet"


ENGINES = {
    "ours": (ours, ("adapters.local.feature_store",)),
    "pandas merge_asof": (with_pandas, ("pandas", "pyarrow.parquet", "deltalake")),
    "Polars join_asof": (with_polars, ("polars", "deltalake")),
}


def run(engine: str, folder: Path, spine: TableRef, features: TableRef) -> tuple[Measurement, Found]:
    """Measure one join, count its result, and remove it."""
    import duckdb

    function, imports = ENGINES[engine]
    measured = measure(function, folder, spine, features, imports=imports)
    written = folder / "benchmark" / "result"
    rows, found = duckdb.sql(f"SELECT count(*), count({FEATURE_TIME}) FROM '{written}/**/*.parquet'").fetchall()[0]
    shutil.rmtree(written)
    return measured, (rows, found)


def compare(size: int, texts: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="pit_join") as name:
        folder = Path(name)
        spine, features = measure(generate, folder, size, texts).value
        runs: dict[str, list[tuple[Measurement, Found]]] = {engine: [] for engine in ENGINES}
        for _ in range(rounds):
            for engine in ENGINES:
                runs[engine].append(run(engine, folder, spine, features))
    found = {pair for several in runs.values() for _, pair in several}
    if len(found) > 1 or next(iter(found))[0] != LABELS:
        raise SystemExit(f"The engines do not agree on the {LABELS} label rows: rows and matches {sorted(found)}.")
    print(f"\n{size:,} feature rows, {LABELS:,} label rows, {next(iter(found))[1]:,} of them with a feature row")
    print(f"{'engine':<20}{'label rows/s':>14}{'x pandas':>10}{'CPU s':>8}{'peak MiB':>10}{'x pandas':>10}")
    medians = {engine: [middle(several, field) for field in FIELDS] for engine, several in runs.items()}
    base_seconds, _, base_memory = medians["pandas merge_asof"]
    for engine, (seconds, cpu, memory) in medians.items():
        print(
            f"{engine:<20}{LABELS / seconds:>14,.0f}{base_seconds / seconds:>10.2f}{cpu:>8.1f}{memory:>10,.0f}"
            f"{memory / base_memory:>10.2f}"
        )


FIELDS = ("seconds", "cpu_seconds", "peak_rss_mib")


def middle(several: list[tuple[Measurement, Found]], field: str) -> float:
    return statistics.median(getattr(measured, field) for measured, _ in several)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1m,10m", help="feature rows, such as 1m,10m")
    parser.add_argument("--columns", choices=TEXTS, default="numbers", help="21 numbers, or 16 texts and 5 numbers")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for size in arguments.sizes.split(","):
        compare(number(size), TEXTS[arguments.columns], arguments.rounds)


if __name__ == "__main__":
    main()
