"""Tables that are delivered from memory."""

from __future__ import annotations

from collections.abc import Iterator

from churn.data.delivery import Delivery
from churn.data.ingest import Source


def in_parts(source: Source, rows: int = 1000) -> Delivery:
    """Return a table that is in memory, in parts of so many rows."""

    def parts() -> Iterator[Source]:
        for start in range(0, max(source.rows.num_rows, 1), rows):
            yield Source(source.name, source.rows.slice(start, rows), () if start else source.broken_lines)

    return Delivery(source.name, parts)
