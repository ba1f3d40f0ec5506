"""The log file of a run, with whole tracebacks, below the state folder."""

from __future__ import annotations

import logging
import os
import re
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from churn.core.program import as_typed
from churn.core.progress import LOGGER

__all__ = ["RunLog"]

_PERSONAL = {"--customer", "--reason", "--as"}
"""Options whose values stay out of the log: it may be shown to people who may not see customers or decisions."""
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")


class _File(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as logging spells it
        """Say nothing: on a full disk the run itself fails, and says so."""


class RunLog:
    """The log of one command; there is none until `open` is called.

    Attributes:
        path: The file; None while there is none, and where none can be written.
    """

    def __init__(self, typed: Sequence[str]) -> None:
        self.path: Path | None = None
        self._typed = typed
        self._handler: logging.Handler | None = None

    def open(self, folder: Path, name: str, days: float) -> None:
        """Begin the log of the run `name`, and remove logs that are older than `days`.

        Where no file can be written there is no log: the run itself will say so.
        """
        began = time.time()
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(began))
        path = folder / f"{stamp}-{name}-{os.getpid()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("*.log"):
                with suppress(OSError):  # another run removes it at the same time
                    if old.stat().st_mtime < began - days * 86_400:
                        old.unlink()
            handler = _File(path, encoding="utf-8")
        except OSError:
            return
        written = logging.Formatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s  %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        written.converter = time.gmtime
        handler.setFormatter(written)
        logging.getLogger().addHandler(handler)
        self.path, self._handler = path, handler
        logging.getLogger(LOGGER).setLevel(logging.INFO)
        self.write(as_typed(f"python run.py {self._command()}"))

    def write(self, text: str) -> None:
        """Add a line."""
        self._record(logging.INFO, text)

    def failed(self, error: BaseException, message: str) -> None:
        """Add what went wrong, with the whole traceback."""
        self._record(logging.ERROR, message, error)

    def close(self) -> None:
        """End the log."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            with suppress(OSError):  # what a full disk refused is tried again
                self._handler.close()
            self._handler = None

    def _record(self, level: int, text: str, error: BaseException | None = None) -> None:
        if self._handler is not None:
            caught = None if error is None else (type(error), error, error.__traceback__)
            self._handler.handle(logging.LogRecord("run", level, "", 0, text, None, caught))

    def _command(self) -> str:
        words: list[str] = []
        for word in self._typed:
            option = word.partition("=")[0]
            if words and words[-1] in _PERSONAL:
                words.append("…")
            else:
                words.append(f"{option}=…" if "=" in word and option in _PERSONAL else word)
        return _PASSWORD.sub("…@", shlex.join(words))
