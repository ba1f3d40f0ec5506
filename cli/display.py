"""The live progress of a run: one line a step, the trials with their best value, and where the time goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from churn.core.progress import LOGGER, ProgressEvent

__all__ = ["Board", "watch"]

_MARKS = {"waiting": "·", "done": "✓", "cached": "↺", "failed": "✗"}
_STYLES = {"waiting": "dim", "running": "bold", "done": "green", "cached": "cyan", "failed": "red"}


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
        self._spinner = Spinner("dots" if console.encoding.startswith("utf") else "line")

    def emit(self, record: logging.LogRecord) -> None:
        """Take over one event."""
        event: ProgressEvent | None = getattr(record, "event", None)
        if event is None or event.stage not in self.lines:
            return
        line = self.lines[event.stage]
        text = event.message
        match event.kind:
            case "started":
                self.skip_before(event.stage)
                line.state, line.since, text = "running", time.monotonic(), "…"
            case "advanced":
                line.message = text = f"{event.done}/{event.total}  {event.message}"
            case "noted":
                line.notes.append(event.message)
            case "finished" | "failed":
                line.state = "done" if event.kind == "finished" else "failed"
                line.seconds = time.monotonic() - line.since
                text = f"{line.seconds:.1f} s" if event.kind == "finished" else "failed"
        self._print(event.stage, text)

    def skip_before(self, stage: str | None) -> None:
        """Mark the steps before `stage`, or all, that never started as taken from the cache."""
        for name, line in self.lines.items():
            if name == stage:
                return
            if line.state == "waiting":
                line.state = "cached"
                self._print(name, "cached")

    def _print(self, stage: str, text: str) -> None:
        """Add a line to an output that cannot be redrawn."""
        if not self.console.is_terminal:
            self.console.print(f"  {stage:<20} {text}")

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
