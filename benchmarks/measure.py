"""Run a function in a fresh process and say what it took: seconds, CPU seconds, peak memory."""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["Measurement", "measure"]


@dataclass(frozen=True)
class Measurement:
    """What one call took, its process's start and imports left out of the times, and what it returned."""

    seconds: float
    cpu_seconds: float
    peak_rss_mib: float
    value: Any


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
        start, cpu_start = time.perf_counter(), time.process_time()
        value = function(*args)
        sender.send((time.perf_counter() - start, time.process_time() - cpu_start, _peak_rss_mib(), value))
    except BaseException:  # noqa: BLE001 - whatever it was, the parent reports it
        sender.send(traceback.format_exc())


def _peak_rss_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss also counts the parent's memory at the fork
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024
