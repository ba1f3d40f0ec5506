"""The online store in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from churn.ports.online import OnlineColumns, OnlineRow, OnlineStore, OnlineWriter, Publication


class InMemoryOnlineStore(OnlineStore):
    """Keeps the rows in a dictionary."""

    def __init__(self) -> None:
        self.held: dict[str, OnlineRow] = {}
        self._publication: Publication | None = None

    def publication(self) -> Publication | None:
        return self._publication

    @contextmanager
    def publishing(self, columns: OnlineColumns, *, full: bool) -> Iterator[OnlineWriter]:
        yield _Writer(self, full)

    def rows(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
        return [self.held[customer] for customer in customers if customer in self.held]

    def customers(self) -> Iterator[str]:
        return iter([*self.held])

    def erase(self, customer: str) -> bool:
        return self.held.pop(customer, None) is not None

    def close(self) -> None:
        pass

    def recorded(self, publication: Publication) -> None:
        self._publication = publication


class _Writer(OnlineWriter):
    def __init__(self, store: InMemoryOnlineStore, full: bool) -> None:
        self._store, self._full = store, full

    def write(self, rows: pa.RecordBatch, table_version: int) -> None:
        for values in rows.to_pylist():
            customer, event, arrived = (values.pop(name) for name in ("customer", "event_time", "arrived_at"))
            known = {name: None if value != value else value for name, value in values.items()}
            row = OnlineRow(customer, known, event, arrived, table_version)
            old = self._store.held.get(customer)
            if self._full or old is None or (event, arrived) >= (old.event_time, old.arrived_at):
                self._store.held[customer] = row

    def remove(self, customers: Sequence[str]) -> int:
        present = [customer for customer in customers if customer in self._store.held]
        for customer in present:
            del self._store.held[customer]
        return len(present)

    def record(self, publication: Publication) -> None:
        self._store.recorded(publication)
