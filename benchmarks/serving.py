"""The endpoint against its peer and its limit: requests a second, latency and CPU a request, one customer each.

    python benchmarks/serving.py [--customers 2000] [--seconds 8] [--connections 1,16] [--workers 2]

Trains, deploys and publishes simulated customers in a folder of its own, then starts, one after the other: `run.py
serve` with a customer's key in the request (validation, look-up, scoring; with and without reasons), `mlflow models
serve` of the same version with the customer's columns in the request, and FastAPI with a constant answer under the same
server. All listen on loopback with as many workers; wrk asks (apt-get install wrk). CPU is that of the server's
processes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import print_row

ROOT = Path(__file__).parents[1]
PORT = 18473
MODEL = "churn_telco_simulated"
SMALL = ("simulation.months=9", "tuning.mode=off", "gate.repeats=1", "gate.resamples=300", "gate.max_ece=0.2")

constant = FastAPI()


@constant.post("/invocations")
async def answer() -> dict[str, Any]:
    return {"predictions": [{"customer": "0000-HCAIT", "status": "ok", "probability": 0.5, "decision": "treat"}]}


class Result(NamedTuple):
    """Requests a second, latency in milliseconds, and CPU milliseconds of the server a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def prepared(folder: Path, customers: int) -> tuple[list[str], dict[str, Any], str]:
    """Deploy a model and publish features; return the settings, a customer's row, and the address of the version."""
    settings = [f"--set=profile.state={folder / 'state'}", f"--set=simulation.customers={customers}"]
    settings += [f"--set={one}" for one in SMALL]
    for command in (["--pipeline", "training"], ["--pipeline", "deployment"], ["features", "publish"]):
        done = subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *command, *settings], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    from adapters.local.online_sqlite import SqliteOnlineStore
    from adapters.mlflow.registry import MlflowModelRegistry

    store = SqliteOnlineStore(folder / "state" / "online", "telco_simulated")
    row = store.get(next(store.customers()))
    assert row is not None
    registry = MlflowModelRegistry(f"sqlite:///{folder / 'state' / 'mlflow.db'}")
    package = registry.download(MODEL, 1, folder / "package")
    return settings, {"customer_id": row.customer, **row.values}, str(package)


@contextmanager
def server(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """Start a server in a process group of its own, wait until it answers, and yield the group."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True, cwd=ROOT, env={**os.environ, **environment}
        )
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=1)
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended: {log.read_text()}") from None
                time.sleep(0.1)
            else:
                break
        time.sleep(2)  # the other workers
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        time.sleep(1)


def cpu_seconds(group: int) -> float:
    """Return the CPU seconds of all processes of a group so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def asked(group: int, body: Mapping[str, Any], connections: int, seconds: float, folder: Path) -> Result:
    """Let wrk ask for a while, after a second of warming up."""
    script = folder / "ask.lua"
    quoted = json.dumps(json.dumps(body))
    script.write_text(f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = {quoted}\n')
    url = f"http://127.0.0.1:{PORT}/invocations"

    def wrk(duration: float) -> str:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{duration:g}s", "--latency", "-s", str(script), url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    wrk(1)
    before = cpu_seconds(group)
    said = wrk(seconds)
    spent = cpu_seconds(group) - before
    if "Non-2xx" in said:
        raise SystemExit(f"Some requests were refused:\n{said}")
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    return Result(requests / seconds, _milliseconds(said, "50%"), _milliseconds(said, "99%"), 1000 * spent / requests)


def _milliseconds(said: str, share: str) -> float:
    number, unit = re.findall(rf"{share}\s+([\d.]+)(us|ms|s)", said)[0]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", default="1,16")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="serving") as name:
        folder = Path(name)
        settings, row, package = prepared(folder, arguments.customers)
        workers, key = str(arguments.workers), {"dataframe_records": [{"customer_id": row["customer_id"]}]}
        serve = [sys.executable, str(ROOT / "run.py"), "serve", "--no-auth", "--port", str(PORT), "--workers", workers]
        uvicorn = [
            sys.executable,
            "-m",
            "uvicorn",
            "benchmarks.serving:constant",
            "--port",
            str(PORT),
            "--workers",
            workers,
        ]
        mlflow = [
            str(Path(sys.executable).parent / "mlflow"),
            "models",
            "serve",
            "-m",
            package,
            "--env-manager",
            "local",
        ]
        ours = [*serve, *settings]
        plain = {"dataframe_records": [row]}
        asking: dict[str, tuple[list[str], Mapping[str, Any]]] = {
            "mlflow models serve": ([*mlflow, "-p", str(PORT), "-w", workers], plain),
            "ours, key": (ours, key),
            "ours, key, reasons": (ours, {**key, "params": {"reasons": True}}),
            "constant answer": ([*uvicorn, "--log-level", "warning"], key),
        }
        path = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for connections in map(int, arguments.connections.split(",")):
            print(f"\n{connections} connections, {workers} workers")
            print_row("", ["requests/s", "x mlflow", "p50 ms", "p99 ms", "CPU ms", "x constant"])
            results = {}
            for label, (command, body) in asking.items():
                with server(command, path, folder / "log") as group:
                    results[label] = asked(group, body, connections, arguments.seconds, folder)
            peer, limit = results["mlflow models serve"], results["constant answer"]
            for label, result in results.items():
                cells = [
                    f"{result.rate:,.0f}",
                    f"{result.rate / peer.rate:.1f}",
                    f"{result.p50:.2f}",
                    f"{result.p99:.2f}",
                ]
                print_row(label, [*cells, f"{result.cpu:.3f}", f"{result.cpu / limit.cpu:.1f}"])


if __name__ == "__main__":
    main()
