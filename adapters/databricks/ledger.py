"""The record of decisions in Unity Catalog: a record is appended only after the one that it follows."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from churn.core.errors import StoreError, WriteConflict
from churn.data.tables import TABLES
from churn.ports.ledger import Decision, DecisionLedger, Entry

from ..decision_rows import COLUMNS, RECORD, record_of, row_of
from ..spark.errors import Outrun
from ..spark.frames import column, frame_from, viewed
from .catalog import TableText, UnityCatalog
from .lease import Lease

__all__ = ["UnityLedger"]

_NAME = TABLES["decisions"].name
_KEY = TABLES["decisions"].key
_SCHEMA = COLUMNS.append(RECORD)


class UnityLedger(DecisionLedger):
    """The table `decisions`, to which Delta only appends.

    A record goes in by a MERGE on its sequence, which inserts nothing where that is taken, in serializable isolation:
    of two writers at once Delta refuses one. Which one it was is read back, so that an answer that got lost on the way
    makes no second record. No lock is needed for that; `exclusive` spares those who decide at once the conflict.

    Args:
        catalog: The schema, and the Spark session.
        text: What the table says of itself.
    """

    def __init__(self, catalog: UnityCatalog, text: TableText | None = None) -> None:
        self._catalog, self._text = catalog, text or TableText()

    def read(self) -> list[Decision]:
        """Read every row."""
        return self._select("true") if self._catalog.newest(_NAME) is not None else []

    def append(self, entry: Entry, *, after: str) -> Decision:
        """Merge the record in, then see whose record has its sequence."""
        if self._catalog.newest(_NAME) is None:
            self._create()
        table = self._catalog.name(_NAME)
        last = next(iter(self._select(f"sequence = (SELECT max(sequence) FROM {table})")), None)
        if (last.hash if last else "") != after:
            raise self._outrun()
        record = Decision.chained(entry, last)
        row = frame_from(self._catalog.session, pa.Table.from_pylist([row_of(record)], _SCHEMA))
        refused: Exception | None = None
        with viewed(row) as view:
            try:
                self._catalog.run(
                    _NAME,
                    f"MERGE INTO {table} AS t USING {view} AS s ON t.sequence = s.sequence "
                    "WHEN NOT MATCHED THEN INSERT *",
                )
            except (Outrun, StoreError) as error:
                refused = error
        if [stored.decision_id for stored in self._select(f"sequence = {record.sequence}")] == [record.decision_id]:
            return record
        if isinstance(refused, StoreError):
            raise refused
        raise self._outrun() from refused

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold a lease, a row of the table `churn_leases`, which ends by itself when its holder dies."""
        return Lease(self._catalog).held(_NAME)

    def _create(self) -> None:
        """Make the table, without a record; whoever comes second finds it."""
        try:
            self._catalog.create(
                _NAME,
                frame_from(self._catalog.session, _SCHEMA.empty_table()),
                _KEY,
                **{"delta.appendOnly": "true"},
            )
        except Outrun:
            return
        self._catalog.declare(_NAME, _KEY, self._text)

    def _select(self, condition: str) -> list[Decision]:
        rows: Any = self._catalog.rows(_NAME)
        lacking = [name for name in COLUMNS.names if name not in rows.columns]
        if lacking:
            raise StoreError(
                f"The table {self._catalog.schema}.{_NAME} holds no decisions: it lacks {', '.join(lacking)}."
            )
        names = [name for name in _SCHEMA.names if name in rows.columns]
        stored = self._catalog.fetched(_NAME, rows.where(condition).select(*map(column, names)))
        return [
            record_of(row, f"the table {self._catalog.schema}.{_NAME}")
            for row in stored.sort_by([("sequence", "ascending"), ("decision_id", "ascending")]).to_pylist()
        ]

    def _outrun(self) -> WriteConflict:
        return WriteConflict(
            f"Somebody else decided at the same time, and {self._catalog.schema}.{_NAME} has a newer record: nothing "
            "was written. Run the same command again."
        )
