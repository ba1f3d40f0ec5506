"""A profile of a table, column by column, small enough to cross a step beside the table's reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from ..core.frozen import Frozen
from ..core.wording import plain
from ..ports.tables import FeatureStore, TableRef

__all__ = ["SAMPLE", "ColumnProfile", "TableSnapshot", "profile_of", "snapshot_of"]

SAMPLE = 200_000
"""A profile is taken from at most this many rows."""
_BINS = 12
_TOP = 8


class ColumnProfile(Frozen):
    """One column: how much is missing, and how its values are spread.

    `spread` maps a value, or the middle of one of twelve bins of equal width, to its number of rows. Numbers and times
    (ISO 8601) have a range and, for numbers, a mean; text has the count of its distinct values.
    """

    name: str
    type: str
    missing: int
    distinct: int
    low: str | None = None
    high: str | None = None
    mean: float | None = None
    spread: dict[str, int]


class TableSnapshot(Frozen):
    """A reference to one version of a table, and the profile of (a sample of) its rows."""

    ref: TableRef
    sampled: int
    columns: tuple[ColumnProfile, ...]


def snapshot_of(store: FeatureStore, ref: TableRef, where: Mapping[str, str] | None = None) -> TableSnapshot:
    """Return the reference with the profile of its first rows, `SAMPLE` at the most, and of those `where` lets pass."""
    batches, rows = [], 0
    for batch in store.scan(ref, where=where):
        batches.append(batch)
        rows += batch.num_rows
        if rows >= SAMPLE:
            break
    sample = pa.Table.from_batches(batches, store.scan(ref).schema).slice(0, SAMPLE)
    return TableSnapshot(ref=ref, sampled=sample.num_rows, columns=profile_of(sample))


def profile_of(rows: pa.Table) -> tuple[ColumnProfile, ...]:
    """Return the profile of each column."""
    return tuple(_column(name, rows[name]) for name in rows.column_names)


def _column(name: str, values: pa.ChunkedArray) -> ColumnProfile:
    kind = "time" if pa.types.is_timestamp(values.type) else "text" if pa.types.is_string(values.type) else "number"
    series = values.to_pandas().dropna()
    common = {"name": name, "type": kind, "missing": values.null_count, "distinct": int(series.nunique())}
    if series.empty:
        return ColumnProfile(**common, spread={})
    if kind == "text":
        top = series.value_counts().head(_TOP)
        return ColumnProfile(**common, spread={str(value): int(count) for value, count in top.items()})
    if kind == "time":
        low, high = (pd.Timestamp(moment).isoformat() for moment in (series.min(), series.max()))
        months, counts = np.unique(series.to_numpy("datetime64[M]"), return_counts=True)
        spread = {str(month): int(count) for month, count in zip(months, counts, strict=True)}
        return ColumnProfile(**common, low=low, high=high, spread=spread)
    numbers = series.astype(np.float64)
    counts, edges = np.histogram(numbers, bins=_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    return ColumnProfile(
        **common,
        low=plain(float(numbers.min())),
        high=plain(float(numbers.max())),
        mean=float(numbers.mean()),
        spread={plain(float(middle)): int(count) for middle, count in zip(middles, counts, strict=True)},
    )
