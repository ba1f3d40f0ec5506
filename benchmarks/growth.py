"""How each pipeline grows with the table: rows a second, CPU and peak memory, each run a process of its own.

    python benchmarks/growth.py [--rows 50k,500k,5m] [--set KEY=VALUE …]

A row is a customer-month of the simulated telco, twelve a customer; tuning is off. Features, training, deployment and
inference run one after the other, as a user types them, on a state folder that starts empty at each size. `data` is the
features pipeline of a data set that is given the same rows as a CSV with --data. Rows are those of the whole table,
whatever a pipeline reads of it. Seconds count from start to prompt, imports included. Memory is the peak of the process
and of its children, whichever is greater. On a busy machine CPU tells more than seconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measure import measure, number  # noqa: E402

MONTHS = 12
PIPELINES = ("features", "training", "deployment", "inference", "data")
GOAL_ROWS, GOAL_SECONDS, GOAL_MIB, GOAL_DATA_MIB = 5_000_000, 15 * 60, 8 * 1024, 2 * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="50k,500k,5m", help="sizes of the table, such as 50k,500k,5m")
    parser.add_argument("--only", choices=PIPELINES, help="one of the lines, which must need no other")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    print(f"{'rows':>10} {'pipeline':<12}{'exit':>5}{'seconds':>9}{'rows/s':>10}{'CPU s':>8}{'peak MiB':>10}")
    kept = True
    for rows in map(number, options.rows.split(",")):
        with tempfile.TemporaryDirectory(prefix="growth") as folder:
            for pipeline in [options.only] if options.only else PIPELINES:
                code, seconds, cpu, peak = run(Path(folder), pipeline, rows, options.set)
                cells = f"{seconds:>9.0f}{rows / seconds:>10,.0f}{cpu:>8.0f}{peak:>10,.0f}"
                print(f"{rows:>10,} {pipeline:<12}{code:>5}{cells}", flush=True)
                if pipeline == "training" and rows >= GOAL_ROWS:
                    kept = kept and code == 0 and seconds <= GOAL_SECONDS and peak <= GOAL_MIB
                if pipeline == "data" and rows >= GOAL_ROWS:
                    kept = kept and code == 0 and peak <= GOAL_DATA_MIB
    print(f"goal: training on {GOAL_ROWS:,} rows within {GOAL_SECONDS} s and {GOAL_MIB:,} MiB")
    print(f"goal: a file of {GOAL_ROWS:,} rows is taken in within {GOAL_DATA_MIB:,} MiB")
    return 0 if kept else 1


def run(folder: Path, pipeline: str, rows: int, overrides: list[str]) -> tuple[int, float, float, float]:
    """Return exit code, seconds, CPU seconds and peak memory in MiB of one command; its output goes to a log."""
    settings = [
        f"simulation.customers={rows // MONTHS}",
        f"simulation.months={MONTHS}",
        "tuning.mode=off",
        f"profile.state={folder / 'state'}",
        *overrides,
    ]
    arguments = ["--pipeline", pipeline]
    if pipeline == "data":
        arguments = ["--pipeline", "features", "--dataset", "telco", "--data", str(csv_of(folder, rows))]
    command = [sys.executable, "run.py", *arguments, *(part for s in settings for part in ("--set", s))]
    environment = {**os.environ, "ZENML_CONFIG_PATH": str(folder / "zenml")}
    start = time.perf_counter()
    with (folder / f"{pipeline}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode not in (0, 3):
        print((folder / f"{pipeline}.log").read_text(errors="replace")[-2000:], file=sys.stderr)
    return process.returncode, seconds, used.ru_utime + used.ru_stime, _mib(used)


def csv_of(folder: Path, rows: int) -> Path:
    """Write the simulated rows as a CSV, in a process of its own, and return its path."""
    path = folder / "customers.csv"
    measure(write_csv, path, rows, timeout=3600)
    return path


def write_csv(path: Path, rows: int) -> None:
    import pyarrow.csv

    from churn.simulation.simulate import SimulationSettings, simulate

    pyarrow.csv.write_csv(simulate("telco", SimulationSettings(customers=rows // MONTHS, months=MONTHS)), path)


def _mib(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
