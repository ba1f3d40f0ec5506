"""Batch scoring on Spark: the newest row of each customer, scored by its workers, into the laptop's own tables."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa
import pyarrow.dataset as ds

from churn.data.contract import DatasetContract
from churn.data.tables import ARRIVED_AT, EVENT_TIME
from churn.scoring.engine import Tell, Work
from churn.scoring.predictions import BATCH_ID, Batch, predictions_schema, stamped
from churn.scoring.rows import BatchScorer
from churn.scoring.summary import Tally

from ..local.batch_engine import LocalBatchEngine
from ..local.delta_table import DeltaVersion
from ..local.disk_errors import explained
from .point_in_time import newest
from .scoring import REJECTED, SCORED, UNSEEN, rows_in, scored, unscored_in
from .session import spark_session
from .shipping import ShippedPackage
from .tables import address, column, frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["SparkBatchEngine"]


@dataclass(frozen=True, kw_only=True)
class SparkBatchEngine(LocalBatchEngine):
    """Scores with the workers of Spark, which read and write below `folder` and the tables.

    A run that is killed before Spark is done begins anew; one that is killed later goes on.

    Attributes:
        package: The model that the workers load; the same as the scorer's.
        memory: What Spark's Java side may take on this machine, such as "1GB".
    """

    name: ClassVar[Literal["local", "spark"]] = "spark"

    package: ShippedPackage = field(repr=False)
    memory: str = "1GB"

    def score(self, scorer: BatchScorer, batch: Batch, contract: DatasetContract, tell: Tell) -> Work:
        """Score into Parquet files, set aside what cannot be scored, then stream the rest into the table at once.

        Raises:
            ConfigError: Spark cannot be started here.
            StoreError: a table or the disk refuses, or Spark gave up; nothing of the batch is visible.
        """
        work, tally = self.folder / batch.batch_id / "spark", Tally()
        with explained(self.folder):
            finished = (work / "_SUCCESS").exists()
            if not finished:
                self._compute(scorer, batch, work, tell)
            found = ds.dataset(work, format="parquet")
            unscored = [unscored_in(each) for each in found.to_batches(columns=[REJECTED, UNSEEN])]
            for rejected, unseen in unscored:
                tally.add_unscored(rejected, unseen)
            self._quarantine([rejected for rejected, _ in unscored], contract)
            rows = pa.RecordBatchReader.from_batches(predictions_schema(batch.entity), _counted(found, batch, tally))
        table = self.store.replace_batch(contract.table("predictions"), BATCH_ID, batch.batch_id, rows)
        return Work(table, tally, resumed=tally.scored + tally.quarantined if finished else 0)

    def _compute(self, scorer: BatchScorer, batch: Batch, work: Path, tell: Tell) -> None:
        """Have the workers score into the folder `work`, in which Spark makes the file `_SUCCESS` when it is done."""
        shutil.rmtree(work, ignore_errors=True)
        scratch = work.with_name("spark-scratch")
        scratch.mkdir(parents=True, exist_ok=True)
        source = f"{batch.features.name}, version {batch.features.version}"
        with spark_session(scratch, memory=self.memory, threads=self.threads) as session:
            started = time.monotonic()
            customers = self._customers(session, scorer, batch)
            result = scored(customers, self.package, entity=batch.entity, reasons=batch.reasons, source=source)
            result.write.parquet(address(work))
            seconds = time.monotonic() - started
        rows = ds.dataset(work, format="parquet").count_rows(filter=ds.field(UNSEEN).is_null())
        tell(rows, rows, f"customers, {rows / seconds:,.0f} a second on Spark")

    def _customers(self, session: SparkSession, scorer: BatchScorer, batch: Batch) -> DataFrame:
        present = self.store.scan(batch.features).schema.names
        asked = [batch.entity, EVENT_TIME, *(name for name in scorer.kinds if name in present)]
        read = asked + [name for name in (ARRIVED_AT,) if name in present and name not in asked]
        key = [name for name in batch.features.key if name not in (EVENT_TIME, ARRIVED_AT)]
        table = frame_of(session, DeltaVersion(Path(batch.features.uri), batch.features.version))
        rows = newest(table.select(*map(column, read)), key, batch.as_of, batch.max_age)
        return rows.select(*map(column, asked))


def _counted(found: ds.Dataset, batch: Batch, tally: Tally) -> Iterator[pa.RecordBatch]:
    for each in found.to_batches(columns=[SCORED]):
        rows = rows_in(each, batch.entity)
        tally.add_rows(rows)
        yield stamped(rows, batch)
