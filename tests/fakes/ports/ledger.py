"""A ledger of decisions in memory."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from churn.core.canonical import canonical
from churn.core.errors import WriteConflict
from churn.ports.ledger import Decision, DecisionLedger, Entry


def altered(record: Decision, **changes: Any) -> Decision:
    """Return a record whose stored text was changed behind the ledger's back."""
    plain = {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in changes.items()}
    return Decision.read(canonical(json.loads(record.text) | plain), record.hash)


class InMemoryLedger(DecisionLedger):
    """Its records lie open, so that a test can alter them."""

    def __init__(self) -> None:
        self.records: list[Decision] = []
        self._writing, self._lock = threading.Lock(), threading.Lock()
        self._holder: int | None = None

    def read(self) -> list[Decision]:
        return sorted(self.records, key=lambda record: record.sequence)

    def append(self, entry: Entry, *, after: str) -> Decision:
        with self._writing:
            last = self.records[-1] if self.records else None
            if (last.hash if last else "") != after:
                raise WriteConflict("Somebody else decided at the same time: nothing was written.")
            record = Decision.chained(entry, last)
            self.records.append(record)
            return record

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        assert self._holder != threading.get_ident(), "entered twice by the same thread: that would wait for ever"
        with self._lock:
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = None
