"""The live progress of a run: one line a step, the trials with their best value, and where the time goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from churn.core.progress import LOGGER, ProgressEvent

from .console import Screen
from .durations import in_words

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

    def __init__(self, console: Screen, steps: Sequence[str], last: Mapping[str, float] | None = None) -> None:
        super().__init__(logging.INFO)
        self.console = console
        self.lines = {step: Line() for step in steps}
        self.began: float | None = None
        self.ended: float | None = None
        self._last = last or {}
        self._spinner = Spinner(console.spinner)

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
                line.state, line.since, text = "running", time.monotonic(), self._expected(event.stage) or "…"
                self.began = self.began or line.since
            case "advanced":
                counted = f"{event.done:,}/{event.total:,}  " if event.total else ""
                line.message = text = f"{counted}{event.message}".rstrip()
            case "concluded":
                return  # the summary says it
            case "noted":
                line.notes.append(event.message)
            case "finished" | "failed":
                line.state = "done" if event.kind == "finished" else "failed"
                self.ended = time.monotonic()
                line.seconds = self.ended - line.since
                text = f"{line.seconds:.1f} s" if event.kind == "finished" else "failed"
        self._print(event.stage, text)

    def seconds(self) -> dict[str, float]:
        """Return how long each step took that ran."""
        return {name: line.seconds for name, line in self.lines.items() if line.state == "done"}

    def times(self, started: float, ended: float) -> str:
        """Return where the time went of a run that was started and ended then, by `time.monotonic`."""
        steps = self.seconds()
        first, last = self.began or ended, self.ended or ended
        parts = {"start": first - started, **steps, "between steps": last - first - sum(steps.values())}
        listed = ", ".join(
            f"{name} {taken:.1f}" for name, taken in {**parts, "end": ended - last}.items() if taken >= 0.05
        )
        return f"Time    {in_words(ended - started)}: {listed}"

    def skip_before(self, stage: str | None) -> None:
        """Mark the steps before `stage`, or all, that never started as taken from the cache."""
        for name, line in self.lines.items():
            if name == stage:
                return
            if line.state == "waiting":
                line.state = "cached"
                self._print(name, "cached")

    def _expected(self, stage: str) -> str:
        return f"{in_words(self._last[stage])} last time" if self._last.get(stage, 0) >= 1 else ""

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
        message = line.message or (self._expected(name) if running else "")
        yield Text.assemble("  ", (mark, _STYLES[line.state]), f" {name:<20} {took:>7}  ", (message, "dim"))
        yield from (Text(f"      {note}", style="dim") for note in line.notes)


@contextmanager
def watch(console: Screen, steps: Sequence[str], last: Mapping[str, float] | None = None) -> Iterator[Board]:
    """Show the progress of `steps` while the block runs; `last` says how many seconds each took the last time."""
    board = Board(console, steps, last)
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
