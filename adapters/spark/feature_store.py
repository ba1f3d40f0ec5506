"""The tables of a laptop with the point-in-time join done by Spark, for joins that are too large for one machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..local.duck import Staged, literal, stage
from ..local.feature_store import LocalFeatureStore
from ..local.point_in_time import PointInTimeJoin
from .point_in_time import joined
from .session import spark_session
from .tables import address, frame_of

__all__ = ["SparkFeatureStore"]


class SparkFeatureStore(LocalFeatureStore):
    """The same tables, rows and digests; on a cluster, all its machines must see the folder.

    `memory_limit` and `threads` hold for a Spark of our own, too.
    """

    def _joined(self, join: PointInTimeJoin, table: Path) -> Staged:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".spark-") as folder:
            scratch, result = Path(folder), Path(folder) / "result"
            with spark_session(scratch, memory=self._duck.memory_limit, threads=self._duck.threads) as session:
                spine, features = frame_of(session, join.spine), frame_of(session, join.features)
                rows = joined(spine, features, join.entity, join.known_by)
                rows.coalesce(self._duck.threads).write.parquet(address(result))
            with self._duck.session() as connection:
                files = ", ".join(literal(str(file)) for file in result.glob("*.parquet"))
                return stage(connection, f"FROM read_parquet([{files}])", table)
