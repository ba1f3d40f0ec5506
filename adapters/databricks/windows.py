"""Window counts of predictions in Unity Catalog: DuckDB counts local copies of the table versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from churn.ports.tables import FeatureStore, TableRef, TableSpec
from churn.ports.windows import Aggregates, Asked, Bins, Clock, Length, Predicted, PredictionWindows

from ..local.feature_store import LocalFeatureStore
from ..local.windows import LocalPredictionWindows

__all__ = ["CopiedPredictionWindows"]


class CopiedPredictionWindows(PredictionWindows):
    """Streams each version once into a folder of this machine; counts are those of the laptop.

    Standard errors and intervals may differ from it in the last digit: threads add in whatever order they come.

    Args:
        tables: Where the tables are.
        folder: Where the copies go; it takes as much as the predictions, features and outcomes.
        dataset: The data set's name.
        memory_limit: What DuckDB may hold in memory.
        threads: How many threads it may use.
    """

    def __init__(
        self, tables: FeatureStore, folder: Path, dataset: str, *, memory_limit: str = "1GB", threads: int = 2
    ) -> None:
        limits = {"memory_limit": memory_limit, "threads": threads}
        self._tables = tables
        self._copies = LocalFeatureStore(folder, dataset, **limits)  # type: ignore[arg-type]
        self._windows = LocalPredictionWindows(folder, dataset, **limits)  # type: ignore[arg-type]
        self._known: dict[tuple[str, str], TableRef] = {}

    def layout(
        self, baseline: TableRef, digest: str, columns: Sequence[str], *, numbers: int, texts: int
    ) -> tuple[Bins, ...]:
        """Count the copy."""
        return self._windows.layout(self._copy(baseline), digest, columns, numbers=numbers, texts=texts)

    def baseline(self, baseline: TableRef, digest: str, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        """Count the copy."""
        return self._windows.baseline(self._copy(baseline), digest, bins, slices)

    def listed(self, predicted: Predicted, clock: Clock, length: Length) -> pa.Table:
        """Count the copies."""
        return self._windows.listed(self._here(predicted), clock, length)

    def aggregate(self, predicted: Predicted, asked: Asked, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        """Count the copies."""
        return self._windows.aggregate(self._here(predicted), asked, bins, slices)

    def _here(self, predicted: Predicted) -> Predicted:
        refs = {name: getattr(predicted, name) for name in ("predictions", "features", "labels")}
        return predicted.model_copy(update={name: ref and self._copy(ref) for name, ref in refs.items()})

    def _copy(self, ref: TableRef) -> TableRef:
        source = (ref.name, ref.content_id)
        if source not in self._known:
            self._known[source] = self._copies.replace(TableSpec(name=ref.name, key=ref.key), self._tables.scan(ref))
        return self._known[source]
