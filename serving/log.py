"""Flushes, moves and counts the prediction log outside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from churn.core.errors import ChurnError
from churn.core.progress import note
from churn.lifecycle.answer_log import AnswerLog
from churn.lifecycle.endpoint import Answers
from churn.ports.prediction_log import LoggedRow, PredictionRole
from churn.scoring.settings import LogSettings

__all__ = ["KeptLog"]

_TICK = 1.0  # seconds
_IN_LOOP_ROWS = 8
"""Answers of more rows are logged in a thread, so that other requests do not wait for them."""


class KeptLog:
    """The log of one process of the endpoint."""

    def __init__(self, log: AnswerLog, move: Callable[[], int], settings: LogSettings) -> None:
        """Do nothing yet.

        Args:
            log: Where answers are logged.
            move: Moves what every process has logged into the table.
            settings: How often.
        """
        self._log, self._move, self._settings = log, move, settings
        self._troubles: dict[str, str] = {}

    async def keep(self, answers: Answers, request_id: str, role: PredictionRole = "answered") -> bool:
        """Log the answers to one request, and return whether they are logged; raises as `AnswerLog.log` does."""
        if not self.waits_for_the_disk and len(answers.rows) <= _IN_LOOP_ROWS:
            return self._log.log(answers, request_id, role=role)
        return await asyncio.to_thread(self._log.log, answers, request_id, role=role)

    def rows(self, answers: Answers, request_id: str, role: PredictionRole) -> list[LoggedRow]:
        """Return what is to be logged of the answers to one request."""
        return self._log.rows(answers, request_id, role=role)

    def append(self, rows: Sequence[LoggedRow]) -> bool:
        """Log the rows of several requests, all or none, and return whether they are logged; raises as `keep` does."""
        return self._log.writer.append(rows)

    @property
    def waits_for_the_disk(self) -> bool:
        """Whether logging takes milliseconds, since each row is flushed to the disk."""
        return self._settings.sync_seconds == 0

    @property
    def troubles(self) -> list[str]:
        """What does not work, in words."""
        return [*filter(None, [self._log.writer.trouble]), *self._troubles.values()]

    def counts(self) -> dict[str, int]:
        """Return rows of this process that were logged, and that were answered and could not be."""
        return {"logged": self._log.writer.logged, "dropped": self._log.writer.dropped}

    async def run(self) -> None:
        """Flush and move, again and again, and say what goes wrong."""
        settings, writer, moved_at = self._settings, self._log.writer, time.monotonic()
        noted: list[str] = []
        while True:
            await asyncio.sleep(min(settings.sync_seconds or _TICK, settings.move_seconds))
            await asyncio.to_thread(self._try, "flushed to the disk", writer.sync)
            if writer.is_due or time.monotonic() - moved_at >= settings.move_seconds:
                await asyncio.to_thread(self._try, "moved", self._move)
                moved_at = time.monotonic()
            for trouble in self.troubles:
                if trouble not in noted:
                    note("serve", trouble)
            noted = self.troubles

    def close(self) -> None:
        """Move what waits, once requests are answered no more."""
        self._log.writer.close()
        self._try("moved", self._move)

    def _try(self, done: str, act: Callable[[], object]) -> None:
        try:
            act()
            self._troubles.pop(done, None)
        except ChurnError as error:
            self._troubles[done] = f"Predictions are logged and cannot be {done}: {error}"
