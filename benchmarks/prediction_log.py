"""What logging an answer costs, beside other ways to have it outlive its process, and how fast the log is moved.

    python benchmarks/prediction_log.py [--requests 20k] [--rows 200k]

A request has one row. Its record is written before the call returns, so that it survives `kill -9`; with `synced` it is
on the disk too. SQLite writes the same row in a transaction of its own (WAL). Moving reads the segments of a spool, and
commits them to a Delta table that starts empty.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from adapters.local.feature_store import LocalFeatureStore
from adapters.local.prediction_spool import LocalPredictionLog
from benchmarks.measure import number, print_row, stopwatch
from churn.data.tables import TABLES
from churn.ports.prediction_log import LoggedRow

NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
ROW = LoggedRow(
    customer="7590-VHVEG",
    event_time=NOW,
    scored_at=NOW,
    request_id="f" * 32,
    role="answered",
    status="ok",
    probability=0.6415926535897931,
    decision="treat",
    expected_value=32.01640625,
    customer_value=200.0,
    reasons=(),
    model_name="churn_telco",
    model_version=1,
    model_alias="Champion",
    threshold_policy="expected value > 0 USD, economics 999368a4",
    features_version=4,
)


def log_in(folder: Path) -> LocalPredictionLog:
    store = LocalFeatureStore(folder / "tables", "telco")
    return LocalPredictionLog(folder / "spool", store, TABLES["predictions"].spec("customer_id"), "customer_id")


def sqlite_row(folder: Path) -> Callable[[], object]:
    connection = sqlite3.connect(folder / "log.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"CREATE TABLE log ({', '.join(LoggedRow._fields)})")
    insert = f"INSERT INTO log VALUES ({', '.join('?' * len(ROW))})"
    values = [value.isoformat() if isinstance(value, dt.datetime) else value for value in ROW]
    values[LoggedRow._fields.index("reasons")] = ""
    return lambda: connection.execute(insert, values)


def appended(name: str, append: Callable[[], object], requests: int) -> None:
    times = np.empty(requests)
    with stopwatch() as spent:
        for place in range(requests):
            begun = time.perf_counter()
            append()
            times[place] = time.perf_counter() - begun
    p50, p99 = np.quantile(times, [0.5, 0.99]) * 1e6
    print_row(name, [f"{p50:.1f}", f"{p99:.1f}", f"{spent.cpu_seconds / requests * 1e6:.1f}"], width=14)


def moved(folder: Path, rows: int) -> None:
    log = log_in(folder)
    writer = log.writer(max_bytes=1 << 31, when_full="refuse", synced=False)
    for _ in range(rows // 100):
        writer.append([ROW] * 100)
    pauses, ending = [0.0], threading.Event()

    def watch() -> None:
        while not ending.is_set():
            begun = time.perf_counter()
            time.sleep(0.001)
            pauses.append(time.perf_counter() - begun - 0.001)

    watching = threading.Thread(target=watch)
    watching.start()
    with stopwatch() as spent:
        done = log.move()
    ending.set()
    watching.join()
    rate = f"{done / spent.seconds:,.0f} rows/s, {done / spent.cpu_seconds:,.0f} rows/CPU s"
    print(f"moved: {rate}; another thread of the process waited {max(pauses) * 1000:.0f} ms at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", default="20k")
    parser.add_argument("--rows", default="200k", help="that are moved")
    arguments = parser.parse_args()
    requests = number(arguments.requests)
    with tempfile.TemporaryDirectory(prefix="prediction_log") as name:
        folder = Path(name)
        print_row("a request of one row", ["p50 us", "p99 us", "CPU us"], width=14)
        ours = log_in(folder / "ours").writer(max_bytes=1 << 31, when_full="refuse", synced=False)
        appended("ours", lambda: ours.append([ROW]), requests)
        synced = log_in(folder / "synced").writer(max_bytes=1 << 31, when_full="refuse", synced=True)
        appended("ours, synced", lambda: synced.append([ROW]), requests // 20)
        appended("SQLite, WAL", sqlite_row(folder), requests)
        moved(folder / "moved", number(arguments.rows))


if __name__ == "__main__":
    main()
