"""What benchmarks measure and print with: seconds, CPU seconds, the peak memory of a fresh process, rows of tables."""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["Measurement", "Spent", "measure", "number", "peak_rss_mib", "print_row", "seeds", "stopwatch"]


@dataclass
class Spent:
    """Seconds, and CPU seconds of this process."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Measurement:
    """What one call took, its process's start and imports left out of the times, and what it returned."""

    seconds: float
    cpu_seconds: float
    peak_rss_mib: float
    value: Any


@contextmanager
def stopwatch() -> Iterator[Spent]:
    """Yield what the block spends, which is known once the block has ended."""
    spent, start, cpu_start = Spent(), time.perf_counter(), time.process_time()
    yield spent
    spent.seconds, spent.cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start


def number(text: str) -> int:
    """Return a number as people write large ones: 50k, 0.5m."""
    units = {"k": 1_000, "m": 1_000_000}
    return int(float(text[:-1]) * units[text[-1].lower()]) if text[-1].lower() in units else int(text)


def seeds(text: str) -> range:
    """Return the seeds that `0-9`, or one number, names."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def print_row(name: str, cells: Sequence[str], width: int = 12, first: int = 26) -> None:
    """Print a row of a table: its name in `first` characters, each cell in `width`."""
    print(f"{name:{first}s}" + "".join(f"{cell:>{width}s}" for cell in cells), flush=True)


def measure(function: Callable[..., Any], *args: Any, imports: Sequence[str] = (), timeout: float = 600) -> Measurement:
    """Call `function(*args)` in a process of its own, after importing `imports` (`timeout` in seconds).

    `function` must stand at the top of its module, and its arguments and result must pickle; a script that calls this
    guards its start by `if __name__ == "__main__"`. Peak memory is that of the whole process, imports included.

    Raises:
        RuntimeError: it raised (the message holds its traceback), the process died, or `timeout` seconds passed.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, function, args, tuple(imports)))
    process.start()
    sender.close()
    try:
        outcome = receiver.recv() if receiver.poll(timeout) else f"no result within {timeout:g} s"
    except EOFError:
        outcome = "its process died"
    process.kill()
    process.join()
    if isinstance(outcome, str):
        raise RuntimeError(f"{function.__name__}{args}: {outcome}")
    return Measurement(*outcome)


def _child(sender: Connection, function: Callable[..., Any], args: Sequence[Any], imports: Sequence[str]) -> None:
    try:
        for name in imports:
            importlib.import_module(name)
        with stopwatch() as spent:
            value = function(*args)
        sender.send((spent.seconds, spent.cpu_seconds, peak_rss_mib(), value))
    except BaseException:  # noqa: BLE001 - whatever it was, the parent reports it
        sender.send(traceback.format_exc())


def peak_rss_mib() -> float:
    """Return the peak memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss also counts the parent's memory at the fork
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024
