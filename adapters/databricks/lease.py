"""A lock across machines: a row in a table that its holder renews, and that expires when the holder dies."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from churn.core.errors import StoreError, WriteConflict

from ..spark.errors import until_first
from ..spark.sql import text
from .catalog import UnityCatalog

__all__ = ["Lease"]

_TABLE = "churn_leases"
_POLLS = (0.2, 5.0)  # seconds between two looks: the first one, and the longest


class Lease:
    """Leases by purpose; times are those of the engine, so that no machine's clock counts.

    What a lease protects must be safe without it: a process that sleeps longer than its lease can wake up beside the
    next holder. Decisions are (the ledger's conditional append), and writes of tables (Delta's commits).

    Args:
        catalog: The schema that holds the table of leases.
        seconds: How long after the last sign of life a lease ends; it is renewed three times in that time.
    """

    def __init__(self, catalog: UnityCatalog, seconds: int = 180) -> None:
        self._catalog, self._seconds = catalog, seconds

    @contextmanager
    def held(self, purpose: str) -> Iterator[None]:
        """Wait until nobody holds the lease, then hold it; renewed by a thread meanwhile.

        Raises:
            StoreError: the table cannot be read or written.
        """
        holder, done = uuid.uuid4().hex, threading.Event()
        pause, longest = _POLLS
        while not self._taken(purpose, holder):
            time.sleep(pause)
            pause = min(2 * pause, longest)
        renewing = threading.Thread(target=self._renew, args=(purpose, holder, done), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            done.set()
            renewing.join()
            is_ours = f"purpose = {text(purpose)} AND holder = {text(holder)}"
            self._run(f"DELETE FROM {self._catalog.name(_TABLE)} WHERE {is_ours}")

    def _renew(self, purpose: str, holder: str, done: threading.Event) -> None:
        while not done.wait(self._seconds / 3):
            with suppress(StoreError, WriteConflict):  # the next sign of life may arrive
                self._taken(purpose, holder)

    def _taken(self, purpose: str, holder: str) -> bool:
        """Take the lease where it is free or mine; return whether it is mine now."""
        name = self._catalog.name(_TABLE)
        columns = "purpose STRING, holder STRING, until TIMESTAMP"
        self._run(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING DELTA")
        until = f"current_timestamp() + INTERVAL {self._seconds} SECONDS"
        requested = f"SELECT {text(purpose)} AS purpose, {text(holder)} AS holder, {until} AS until"
        free = "t.until < current_timestamp() OR t.holder = s.holder"
        self._run(
            f"MERGE INTO {name} AS t USING ({requested}) AS s ON t.purpose = s.purpose "
            f"WHEN MATCHED AND ({free}) THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        held = self._run(f"SELECT holder FROM {name} WHERE purpose = {text(purpose)}")
        return [row["holder"] for row in held] == [holder]

    def _run(self, statement: str) -> list[dict[str, str]]:
        return until_first("the leases", lambda: self._catalog.run(_TABLE, statement).to_pylist())
