"""The live progress of a run: one line a step, the trials with their best value, and where the time goes."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from churn.progress import LOGGER, Event

__all__ = ["Board", "terminal", "watch"]

_MARKS = {"waiting": "·", "done": "✓", "cached": "↺", "failed": "✗"}
_STYLES = {"waiting": "dim", "running": "bold", "done": "green", "cached": "cyan", "failed": "red"}


def terminal() -> Console:
    """Return a console on the process's own output, apart from the stream whose text ZenML stores with each step."""
    return Console(file=os.fdopen(os.dup(sys.__stdout__.fileno()), "w", encoding="utf-8"), highlight=False)


@dataclass
class Line:
    """What one step is doing."""

    state: str = "waiting"
    since: float = 0.0
    seconds: float = 0.0
    message: str = ""
    notes: list[str] = field(default_factory=list)


class Board(logging.Handler):
    """One line a step, kept up to date from the progress events."""

    def __init__(self, console: Console, steps: Sequence[str]) -> None:
        super().__init__(logging.INFO)
        self.console = console
        self.lines = {step: Line() for step in steps}
        self._spinner = Spinner("dots")

    def emit(self, record: logging.LogRecord) -> None:
        """Take over one event."""
        event: Event | None = getattr(record, "event", None)
        if event is None or event.stage not in self.lines:
            return
        line = self.lines[event.stage]
        match event.kind:
            case "started":
                self.skip_before(event.stage)
                line.state, line.since = "running", time.monotonic()
            case "advanced":
                line.message = f"{event.done}/{event.total}  {event.message}"
            case "noted":
                line.notes.append(event.message)
            case "finished" | "failed":
                line.state = "done" if event.kind == "finished" else "failed"
                line.seconds = time.monotonic() - line.since
        if not self.console.is_terminal:
            self._print(event, line)

    def skip_before(self, stage: str | None) -> None:
        """Mark the steps before `stage`, or all, that never started as taken from the cache."""
        for name, line in self.lines.items():
            if name == stage:
                return
            line.state = "cached" if line.state == "waiting" else line.state

    def _print(self, event: Event, line: Line) -> None:
        took = f"{line.seconds:.1f} s"
        text = {"started": "…", "advanced": line.message, "noted": event.message, "finished": took, "failed": "failed"}
        self.console.print(f"  {event.stage:<20} {text[event.kind]}", soft_wrap=True)

    def __rich__(self) -> RenderableType:
        return Group(*(row for name, line in self.lines.items() for row in self._rows(name, line)))

    def _rows(self, name: str, line: Line) -> Iterator[RenderableType]:
        running = line.state == "running"
        mark = str(self._spinner.render(time.monotonic())) if running else _MARKS[line.state]
        seconds = time.monotonic() - line.since if running else line.seconds
        took = {"waiting": "", "cached": "cached"}.get(line.state, f"{seconds:.1f} s")
        yield Text.assemble("  ", (mark, _STYLES[line.state]), f" {name:<20} {took:>7}  ", (line.message, "dim"))
        yield from (Text(f"      {note}", style="dim") for note in line.notes)


@contextmanager
def watch(console: Console, steps: Sequence[str]) -> Iterator[Board]:
    """Show the progress of `steps` while the block runs."""
    board = Board(console, steps)
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(board)
    live = Live(board, console=console, refresh_per_second=8) if console.is_terminal else nullcontext()
    try:
        with live:
            yield board
            board.skip_before(None)
    finally:
        logger.removeHandler(board)
