"""The endpoint against its peer and its limit: requests a second, latency and CPU a request, one customer each.

    python benchmarks/serving.py [--customers 2000] [--seconds 8] [--connections 1,16] [--workers 2] [--overload 400]
    python benchmarks/serving.py --kernel

Trains, deploys and publishes simulated customers in a folder of its own, then starts, one after the other: `run.py
serve` with a customer's key in the request (validation, look-up, scoring; with and without reasons), `mlflow models
serve` of the same version with the customer's columns in the request, and a constant answer under the same server, with
FastAPI and without. All listen on loopback with as many workers; wrk asks (apt-get install wrk). CPU is that of the
server's processes. First both servers are asked for a hundred customers, and what they say must be the same.

`--overload` asks with so many connections, more than `serving.max_concurrent` allows at a time; beside wrk one client
asks again and again, and its answers and refusals are timed apart.

`--kernel` compares, in one process, ways to score one row of the same model, in microseconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastapi import FastAPI

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import print_row
from benchmarks.one_row import print_kernels

ROOT = Path(__file__).parents[1]
PORT = 18473
MODEL = "churn_telco_simulated"
PEER, OURS, LIMIT = "mlflow models serve", "ours, key", "constant answer"
_COMPARED = 100
SMALL = ("simulation.months=9", "tuning.mode=off", "gate.repeats=1", "gate.resamples=300", "gate.max_ece=0.2")

CONSTANT = {"predictions": [{"customer": "0000-HCAIT", "status": "ok", "probability": 0.5, "decision": "treat"}]}
constant = FastAPI()


@constant.post("/invocations")
async def answer() -> dict[str, Any]:
    return CONSTANT


async def bare(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """Answer as `constant` does, without a framework: what the server itself costs."""
    if scope["type"] == "http":
        await receive()
        content = json.dumps(CONSTANT).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class Result(NamedTuple):
    """Requests a second, latency in milliseconds, and CPU milliseconds of the server a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def prepared(folder: Path, customers: int) -> tuple[list[str], list[dict[str, Any]], Path]:
    """Deploy a model and publish features; return the settings, the rows that are online, and the package."""
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
    rows = [{"customer_id": row.customer, **row.values} for row in store.rows([*store.customers()])]
    registry = MlflowModelRegistry(f"sqlite:///{folder / 'state' / 'mlflow.db'}")
    package = registry.download(MODEL, 1, folder / "package")
    return settings, rows, package


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


def wrk(body: Mapping[str, Any], connections: int, seconds: float, folder: Path) -> str:
    script = folder / "ask.lua"
    quoted = json.dumps(json.dumps(body))
    script.write_text(f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = {quoted}\n')
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(script)]
    return subprocess.run(
        [*command, f"http://127.0.0.1:{PORT}/invocations"], capture_output=True, text=True, check=True
    ).stdout


def asked(group: int, body: Mapping[str, Any], connections: int, seconds: float, folder: Path) -> Result:
    """Let wrk ask for a while, after a second of warming up."""
    wrk(body, connections, 1, folder)
    before = cpu_seconds(group)
    said = wrk(body, connections, seconds, folder)
    spent = cpu_seconds(group) - before
    if "Non-2xx" in said:
        raise SystemExit(f"Some requests were refused:\n{said}")
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    return Result(requests / seconds, _milliseconds(said, "50%"), _milliseconds(said, "99%"), 1000 * spent / requests)


def _milliseconds(said: str, share: str) -> float:
    number, unit = re.findall(rf"{share}\s+([\d.]+)(us|ms|s)", said)[0]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def predictions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: list[dict[str, Any]] = json.load(answer)["predictions"]
    return content


def overloaded(body: Mapping[str, Any], connections: int, seconds: float, folder: Path) -> None:
    """Print what becomes of requests on many connections, and how long one client among them waits."""
    taken: dict[int, list[float]] = {200: [], 429: []}
    ending = threading.Event()

    def probe() -> None:
        client, content = http.client.HTTPConnection("127.0.0.1", PORT), json.dumps(body)
        while not ending.is_set():
            begun = time.perf_counter()
            client.request("POST", "/invocations", content, {"Content-Type": "application/json"})
            answer = client.getresponse()
            answer.read()
            taken[answer.status].append(1000 * (time.perf_counter() - begun))
            if answer.status == 429:
                assert answer.headers["Retry-After"]
            time.sleep(0.005)

    thread = threading.Thread(target=probe)
    thread.start()
    said = wrk(body, connections, seconds, folder)
    ending.set()
    thread.join()
    requests, refused = (
        int((re.findall(pattern, said) or [0])[0]) for pattern in (r"(\d+) requests in", r"Non-2xx.*: (\d+)")
    )
    answers, refusals = (requests - refused) / seconds, refused / seconds
    print(f"\n{connections} connections: {answers:,.0f} answers and {refusals:,.0f} refusals a second")
    print_row("one client among them", ["asked", "p50 ms", "p99 ms"])
    for status, name in ((200, "answered"), (429, "told to come again")):
        times = np.array(taken[status] or [np.nan])
        print_row(name, [f"{len(taken[status])}", f"{np.quantile(times, 0.5):.2f}", f"{np.quantile(times, 0.99):.2f}"])


def check_the_same(ours: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> None:
    """Print how far apart two servers are, and end where they do not say the same."""
    apart = max(abs(one["probability"] - other["probability"]) for one, other in zip(ours, others, strict=True))
    differing = sum(
        one["decision"] != other["decision"] or one.get("reasons", []) != other["reasons"]
        for one, other in zip(ours, others, strict=True)
    )
    print(
        f"{len(ours)} customers: probabilities differ by at most {apart:.1e}, {differing} decisions or reasons differ"
    )
    if apart > 1e-6 or differing:
        raise SystemExit("The endpoint does not say what the registered model says.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", default="1,16")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--overload", type=int, default=400)
    parser.add_argument("--kernel", action="store_true")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None and not arguments.kernel:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="serving") as name:
        folder = Path(name)
        settings, rows, package = prepared(folder, arguments.customers)
        if arguments.kernel:
            print_kernels(package, rows)
        else:
            compare(arguments, settings, rows, package, folder)


def compare(
    arguments: argparse.Namespace, settings: list[str], rows: list[dict[str, Any]], package: Path, folder: Path
) -> None:
    programs = Path(sys.executable).parent
    listen = ["--port", str(PORT), "--workers", str(arguments.workers)]
    uvicorn = [str(programs / "uvicorn"), *listen, "--log-level", "warning", "--no-access-log"]
    ours = [sys.executable, str(ROOT / "run.py"), "serve", "--no-auth", *listen, *settings]
    mlflow = [str(programs / "mlflow"), "models", "serve", "-m", str(package), "--env-manager", "local"]
    keys = [{"customer_id": row["customer_id"]} for row in rows]
    reasons = {"params": {"reasons": True}}
    asking: dict[str, tuple[list[str], dict[str, Any]]] = {
        PEER: ([*mlflow, "-p", str(PORT), "-w", str(arguments.workers)], {"dataframe_records": rows[:1]}),
        OURS: (ours, {"dataframe_records": keys[:1]}),
        "ours, key, reasons": (ours, {"dataframe_records": keys[:1], **reasons}),
        "constant, FastAPI": ([*uvicorn, "benchmarks.serving:constant"], {"dataframe_records": keys[:1]}),
        LIMIT: ([*uvicorn, "--lifespan", "off", "benchmarks.serving:bare"], {"dataframe_records": keys[:1]}),
    }
    path = {"PYTHONPATH": str(ROOT), "PATH": f"{programs}:{os.environ['PATH']}"}
    numbers = [int(text) for text in arguments.connections.split(",")]
    results: dict[tuple[str, int], Result] = {}
    said: dict[str, list[dict[str, Any]]] = {}
    for label, (command, body) in asking.items():
        with server(command, path, folder / "log") as group:
            if label == PEER:
                said[label] = predictions({"dataframe_records": rows[:_COMPARED]})
            if label == OURS:  # customer by customer, and as a table
                said[label] = [predictions({"dataframe_records": [key], **reasons})[0] for key in keys[:_COMPARED]]
                check_the_same(said[OURS], said[PEER])
                check_the_same(predictions({"dataframe_records": keys[:_COMPARED], **reasons}), said[PEER])
            for connections in numbers:
                results[label, connections] = asked(group, body, connections, arguments.seconds, folder)
            if label == OURS and arguments.overload:
                overloaded(body, arguments.overload, arguments.seconds, folder)
    for connections in numbers:
        print(f"\n{connections} connections, {arguments.workers} workers")
        print_row("", ["requests/s", "x mlflow", "p50 ms", "p99 ms", "CPU ms", "x constant"])
        peer, limit = results[PEER, connections], results[LIMIT, connections]
        for label in asking:
            result = results[label, connections]
            times = [f"{result.p50:.2f}", f"{result.p99:.2f}", f"{result.cpu:.3f}", f"{result.cpu / limit.cpu:.1f}"]
            print_row(label, [f"{result.rate:,.0f}", f"{result.rate / peer.rate:.1f}", *times])


if __name__ == "__main__":
    main()
