"""The MERGE statement of an upsert or of a replaced batch; equal values count as no change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from churn.data.tables import INGESTED_AT

from ..spark.sql import comparable, quoted, text

__all__ = ["MergePlan"]


@dataclass(frozen=True)
class MergePlan:
    """The statements of one MERGE.

    Attributes:
        table: Full name of the table, quoted.
        view: Where the rows are, each key once, with every column of the table.
        key: The columns that identify a row.
        stored: The table's columns.
        lacking: Columns of the rows that the table gains.
        batch: A column and a value: rows of the table with it that are not among the given ones go.
    """

    table: str
    view: str
    key: tuple[str, ...]
    stored: pa.Schema
    lacking: Sequence[pa.Field]
    batch: tuple[str, str] | None = None

    @property
    def changes(self) -> str:
        """Count what the MERGE inserts, updates and deletes."""
        mine = self._mine("t")
        gone = f"(SELECT count(*) FROM {self.table} AS t WHERE {mine}) - count_if(t.__there)" if mine else "0"
        return (
            f"SELECT count_if(t.__there IS NULL) AS inserted, count_if(t.__there AND ({self._differs})) AS updated, "
            f"{gone} AS deleted FROM {self.view} AS s "
            f"LEFT JOIN (SELECT *, true AS __there FROM {self.table}) AS t ON {self._on}"
        )

    @property
    def statement(self) -> str:
        """Make the rows those of the table, in one commit."""
        evolving = "WITH SCHEMA EVOLUTION " if self.lacking else ""
        mine = self._mine("t")
        return (
            f"MERGE {evolving}INTO {self.table} AS t USING {self.view} AS s ON {self._on} "
            f"WHEN MATCHED AND ({self._differs}) THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
            + (f" WHEN NOT MATCHED BY SOURCE AND {mine} THEN DELETE" if mine else "")
        )

    @property
    def _on(self) -> str:
        if not set(self.key) <= {*self.stored.names}:
            return "false"  # the key grows: no row of the table has a value there
        return " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in self.key)

    @property
    def _differs(self) -> str:
        parts = [f"s.{quoted(field.name)} IS NOT NULL" for field in self.lacking]
        for field in self.stored:
            if field.name not in {*self.key, INGESTED_AT}:
                stored, incoming = (comparable(f"{side}.{quoted(field.name)}", field.type) for side in "ts")
                parts.append(f"{stored} IS DISTINCT FROM {incoming}")
        return " OR ".join(parts) or "false"

    def _mine(self, alias: str) -> str:
        return f"{alias}.{quoted(self.batch[0])} = {text(self.batch[1])}" if self.batch else ""
