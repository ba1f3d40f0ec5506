"""Progress of a run as log records: the terminal draws them, the log file keeps them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

__all__ = ["LOGGER", "ProgressEvent", "advance", "conclude", "note", "report", "stage"]

LOGGER = "churn.core.progress"
"""The logger that carries the events, each as the `event` attribute of its record."""


class ProgressEvent(NamedTuple):
    """Something happened in a stage of the run: it started, went on, has something to say, finished or failed.

    What it `concluded` stands in the summary of the run too.
    """

    kind: Literal["started", "advanced", "noted", "concluded", "finished", "failed"]
    stage: str
    message: str = ""
    done: int = 0
    total: int = 0


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Report that a stage starts, and that it finishes or fails."""
    report(ProgressEvent("started", name), f"{name} started")
    try:
        yield
    except BaseException:
        report(ProgressEvent("failed", name), f"{name} failed")
        raise
    report(ProgressEvent("finished", name), f"{name} finished")


def advance(name: str, done: int, total: int, message: str) -> None:
    """Report how far a stage has come; `total` is 0 where nobody knows of how many."""
    report(ProgressEvent("advanced", name, message, done, total), f"{name} {done}/{total} {message}")


def note(name: str, message: str) -> None:
    """Report something a user wants to know of a stage."""
    report(ProgressEvent("noted", name, message), f"{name}: {message}")


def conclude(name: str, message: str) -> None:
    """Report what a stage came to, where the summary of the run says so as well: a display leaves it to that."""
    report(ProgressEvent("concluded", name, message), f"{name}: {message}")


def report(event: ProgressEvent, text: str) -> None:
    """Report any event, with the text that a log keeps of it."""
    logging.getLogger(LOGGER).info(text, extra={"event": event})
