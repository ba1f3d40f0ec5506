"""The checks of one gate as they come in: nothing that fails can be overlooked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .checks import Check, unanswered

__all__ = ["Inquiry"]

Found = TypeVar("Found")
_PARTS = 10
"""The most parts that a gate has: loading, scoring and evaluating both versions, rows, two comparisons, recipes."""


class Inquiry:
    """The checks so far, and the time each part took; a part that fails is a check that could not be answered."""

    def __init__(self, tell: Callable[[int, int, str], None]) -> None:
        self.checks: list[Check] = []
        self.seconds: dict[str, float] = {}
        self._tell = tell

    def part(self, name: str, find: Callable[[], Found]) -> Found | None:
        """Return what `find` returns; where it raises, the check `name` is an error, and the answer None."""
        self._tell(len(self.seconds) + 1, _PARTS, name.replace("_", " "))
        started = time.perf_counter()
        try:
            return find()
        except Exception as error:  # noqa: BLE001 - an open question must never let a model through
            self.checks.append(unanswered(name, error))
            return None
        finally:
            self.seconds[name] = time.perf_counter() - started

    def within(self, name: str) -> Callable[[int, int, str], None]:
        """Return what the work inside a part is told by."""
        return lambda done, total, _: self._tell(len(self.seconds) + 1, _PARTS, f"{name}, {done} of {total}")
