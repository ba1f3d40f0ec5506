"""Batch scoring on Spark: the newest row of each customer, scored by its workers, into the tables of the data set."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa
import pyarrow.dataset as ds

from churn.core.errors import StoreError
from churn.data.tables import ARRIVED_AT, EVENT_TIME
from churn.data.validation import distinct_rows
from churn.ports.batch import Batch, BatchEngine, BatchProgress, BatchResult
from churn.ports.tables import FeatureStore, TableRef
from churn.scoring.batch import BATCH_ID, Tally, predictions_schema, stamped

from ..unfinished import remove_other_batches
from .frames import address, column, newest
from .scoring import MISSING, REJECTED, SCORED, UNSEEN, rows_in, scored, unscored_in
from .session import spark_session
from .shipping import ShippedPackage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Frames", "SparkBatchEngine"]

Frames = Callable[["SparkSession", TableRef], "DataFrame"]
"""Returns the rows of a version of a table, each column in the type that tables hold."""


@dataclass(frozen=True)
class SparkBatchEngine(BatchEngine):
    """Scores with the workers of Spark, which write below `folder`; the rows then go to the store as one batch.

    A run that is killed before Spark is done begins anew; one that is killed later goes on.

    Attributes:
        store: The tables.
        folder: Where unfinished work is kept, a folder for each batch; all machines of a cluster must see it.
        package: The model that the workers load.
        frames: How Spark reads a table.
        threads: Tasks at a time, where Spark is started here.
        memory: What Spark's Java side may take on this machine, such as "1GB".
    """

    name: ClassVar[Literal["local", "spark"]] = "spark"

    store: FeatureStore
    folder: Path
    package: ShippedPackage = field(repr=False)
    frames: Frames
    threads: int = 2
    memory: str = "1GB"

    def score(self, batch: Batch, progress: BatchProgress) -> BatchResult:
        """Score into Parquet files, set aside what cannot be scored, then stream the rest into the table at once.

        Raises:
            ConfigError: Spark cannot be started here.
            StoreError: a table or the disk refuses, or Spark gave up; nothing of the batch is visible.
        """
        work, tally = self.folder / batch.batch_id / "spark", Tally()
        with _explained(self.folder):
            remove_other_batches(self.folder, batch.batch_id)
            finished = (work / "_SUCCESS").exists()
            if not finished:
                self._compute(batch, work, progress)
            scored = ds.dataset(work, format="parquet")
            unscored = [unscored_in(part) for part in scored.to_batches(columns=[REJECTED, UNSEEN, MISSING])]
            for rejected, unseen, missing in unscored:
                tally.add_unscored(rejected, unseen, missing)
            quarantined = distinct_rows([rejected for rejected, *_ in unscored])
            if quarantined is not None:
                self.store.upsert(batch.quarantine, quarantined)
            schema = predictions_schema(batch.entity, batch.top_reasons)
            rows = pa.RecordBatchReader.from_batches(schema, _counted(scored, batch, tally))
        table = self.store.replace_batch(batch.predictions, BATCH_ID, batch.batch_id, rows)
        return tally.result(table, resumed=tally.scored + tally.rejected.total() if finished else 0)

    def forget(self, batch_id: str) -> None:
        """Remove the batch's files."""
        shutil.rmtree(self.folder / batch_id, ignore_errors=True)

    def _compute(self, batch: Batch, work: Path, progress: BatchProgress) -> None:
        """Have the workers score into the folder `work`, in which Spark makes the file `_SUCCESS` when it is done."""
        shutil.rmtree(work, ignore_errors=True)
        scratch = work.with_name("spark-scratch")
        scratch.mkdir(parents=True, exist_ok=True)
        with spark_session(scratch, memory=self.memory, threads=self.threads) as session:
            started = time.monotonic()
            customers = self._customers(session, batch)
            result = scored(
                customers,
                self.package,
                entity=batch.entity,
                explain=batch.explain,
                top_reasons=batch.top_reasons,
                source=batch.source,
            )
            result.write.parquet(address(work))
            seconds = time.monotonic() - started
        customers_only = ds.field(UNSEEN).is_null() & ds.field(MISSING).is_null()
        rows = ds.dataset(work, format="parquet").count_rows(filter=customers_only)
        progress(rows, rows, f"customers, {rows / seconds:,.0f} a second on Spark")

    def _customers(self, session: SparkSession, batch: Batch) -> DataFrame:
        table = self.frames(session, batch.features)
        asked = [batch.entity, EVENT_TIME, *(name for name in batch.inputs if name in table.columns)]
        read = asked + [name for name in (ARRIVED_AT,) if name in table.columns and name not in asked]
        key = [name for name in batch.features.key if name not in (EVENT_TIME, ARRIVED_AT)]
        rows = newest(table.select(*map(column, read)), key, batch.as_of, batch.max_age)
        return rows.select(*map(column, asked))


def _counted(scored: ds.Dataset, batch: Batch, tally: Tally) -> Iterator[pa.RecordBatch]:
    for part in scored.to_batches(columns=[SCORED]):
        rows = rows_in(part, batch.entity, batch.top_reasons)
        tally.add_rows(rows)
        yield stamped(rows, batch)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"The folder {folder}, in which Spark keeps unfinished work, cannot be used ({error}): free the disk, or "
            "change its permissions."
        ) from error
