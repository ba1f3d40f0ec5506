"""The prediction log in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from churn.core.errors import StoreError
from churn.ports.prediction_log import LogCounts, LoggedRow, PredictionLog, PredictionWriter, WhenFull
from churn.ports.tables import FeatureStore, TableSpec
from churn.scoring.batch import BATCH_ID
from churn.scoring.logged import LOGGED_SCHEMA, prediction_rows


class InMemoryPredictionLog(PredictionLog):
    """Keeps rows in a list; `is_broken` makes its place refuse."""

    def __init__(self, store: FeatureStore, predictions: TableSpec, entity: str) -> None:
        self._store, self._predictions, self._entity = store, predictions, entity
        self.waiting: list[LoggedRow] = []
        self.dropped, self.moves, self.is_broken = 0, 0, False

    def writer(self, *, max_bytes: int, when_full: WhenFull, synced: bool) -> PredictionWriter:
        return _Writer(self, max_bytes, when_full)

    def move(self) -> int:
        rows = list(self.waiting)
        if rows:
            batch_id = f"endpoint-{self.moves}"
            table = pa.Table.from_pylist([row._asdict() for row in rows], LOGGED_SCHEMA)
            moved = prediction_rows(table, batch_id, self._entity).to_reader()
            self._store.replace_batch(self._predictions, BATCH_ID, batch_id, moved)
            self.moves += 1
            del self.waiting[: len(rows)]
        return len(rows)

    def counts(self) -> LogCounts:
        return LogCounts(len(self.waiting), self.size, self.dropped)

    @property
    def size(self) -> int:
        return sum(len(repr(row)) for row in self.waiting)


class _Writer(PredictionWriter):
    def __init__(self, log: InMemoryPredictionLog, max_bytes: int, when_full: WhenFull) -> None:
        self._log, self._max_bytes, self._when_full = log, max_bytes, when_full
        self._logged = self._dropped = 0
        self._trouble: str | None = None

    def append(self, rows: Sequence[LoggedRow]) -> bool:
        new = sum(len(repr(row)) for row in rows)
        if not self._log.is_broken and self._log.size + new <= self._max_bytes:
            self._log.waiting += rows
            self._logged += len(rows)
            self._trouble = None
            return True
        self._trouble = "Predictions are not logged: there is no room."
        if self._when_full == "refuse":
            raise StoreError(self._trouble)
        self._dropped += len(rows)
        self._log.dropped += len(rows)
        return False

    def sync(self) -> None:
        pass

    @property
    def logged(self) -> int:
        return self._logged

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def trouble(self) -> str | None:
        return self._trouble

    @property
    def is_due(self) -> bool:
        return False

    def close(self) -> None:
        pass
