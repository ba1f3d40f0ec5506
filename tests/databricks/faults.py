"""What goes wrong in the loopback workspace, for a number of requests of one route."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

from .http import Reply, Request

__all__ = ["Fault", "Faults"]


@dataclass
class Fault:
    """What happens to the next `times` requests of a route, after `after` that go well."""

    route: re.Pattern[str]
    kind: Literal["answer", "drop", "lose"]
    times: int = 1
    after: int = 0
    before: Reply | None = None


@dataclass
class Faults:
    """`faults.refuse("POST /api/2.2/jobs/create", 429)`: a route is a regular expression for `METHOD /path`."""

    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, route: str, status: int, times: int = 1, after: int = 0, retry_after: int = 0) -> None:
        """Answer with 429 or 503 and Retry-After (in seconds), or with another status, and do nothing."""
        codes = {429: "RESOURCE_EXHAUSTED", 503: "TEMPORARILY_UNAVAILABLE", 403: "PERMISSION_DENIED"}
        body = {"error_code": codes.get(status, "INTERNAL_ERROR"), "message": "Injected by the test."}
        headers = {"Retry-After": str(retry_after)} if status in (429, 503) else {}
        self._add(Fault(re.compile(route), "answer", times, after, Reply(body, status, headers)))

    def drop(self, route: str, times: int = 1, after: int = 0) -> None:
        """Hang up before anything is done."""
        self._add(Fault(re.compile(route), "drop", times, after))

    def lose(self, route: str, times: int = 1, after: int = 0) -> None:
        """Do what is asked, and hang up instead of answering."""
        self._add(Fault(re.compile(route), "lose", times, after))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> Fault | None:
        """Return what is to go wrong with a request, if anything."""
        with self._lock:
            for fault in self._faults:
                if fault.times and fault.route.fullmatch(f"{request.method} {request.path}"):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
