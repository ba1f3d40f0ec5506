"""Batch scoring on a laptop: rows are streamed in parts of a few thousand, and each part is scored once."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from churn.core.errors import StoreError
from churn.data.tables import EVENT_TIME
from churn.data.validation import distinct_rows
from churn.ports.batch import Batch, BatchEngine, BatchProgress, BatchResult
from churn.ports.tables import FeatureStore
from churn.scoring.batch import BATCH_ID, Tally, predictions_schema, stamped
from churn.scoring.rows import RowScorer, ScoredRows, score_batches

from ..unfinished import remove_other_batches
from .disk_errors import explained

__all__ = ["LocalBatchEngine"]

_COUNTS = b"counts"
_UNSEEN, _MISSING = "unseen", "missing"


@contextmanager
def _system_memory() -> Iterator[None]:
    """Let Arrow take memory from the system, which gets it back sooner than from Arrow's own allocator."""
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)


@dataclass(frozen=True)
class LocalBatchEngine(BatchEngine):
    """Scores with the threads of this machine.

    Attributes:
        store: The tables.
        folder: Where unfinished work is kept, a folder for each batch; nothing else is in it.
        model: What scores; one call of it should use one thread.
        threads: How many parts are scored at a time.
        part_rows: Rows of a part, which is all that a killed run loses of each thread's work.
    """

    name: ClassVar[Literal["local", "spark"]] = "local"

    store: FeatureStore
    folder: Path
    model: RowScorer
    threads: int = 2
    part_rows: int = 65_536

    @_system_memory()
    def score(self, batch: Batch, progress: BatchProgress) -> BatchResult:
        """Keep the rows in parts, score each part into a file, then stream all of them into the table at once."""
        with explained(self.folder):
            remove_other_batches(self.folder, batch.batch_id)
            parts = _Parts(self.folder / batch.batch_id)
            parts.fill(lambda: self._rows(batch))
            resumed = parts.rows - parts.waiting_rows
            self._score_parts(batch, parts, progress)
            tally, rejected = Tally(), parts.rejected()
            for table, counts in rejected:
                tally.add_unscored(table, counts.get(_UNSEEN, {}), counts.get(_MISSING, {}))
            quarantined = distinct_rows([table for table, _ in rejected])
            if quarantined is not None:
                self.store.upsert(batch.quarantine, quarantined)
            schema = predictions_schema(batch.entity, batch.top_reasons)
            rows = pa.RecordBatchReader.from_batches(schema, _counted(parts, batch, tally))
        table = self.store.replace_batch(batch.predictions, BATCH_ID, batch.batch_id, rows)
        result = tally.result(table, resumed)
        if result.scored + result.quarantined != parts.rows:
            raise StoreError(
                f"Of {parts.rows:,} customers {result.scored:,} were scored and {result.quarantined:,} set aside, "
                f"which does not add up: the parts in {self.folder / batch.batch_id} are not those that were written. "
                "Remove that folder and run again."
            )
        return result

    def forget(self, batch_id: str) -> None:
        """Remove the batch's parts."""
        shutil.rmtree(self.folder / batch_id, ignore_errors=True)

    def _rows(self, batch: Batch) -> Iterator[pa.RecordBatch]:
        present = self.store.scan(batch.features).schema.names
        columns = [batch.entity, EVENT_TIME, *(name for name in batch.inputs if name in present)]
        rows = self.store.latest_rows(
            batch.features, batch.as_of, columns, batch_rows=self.part_rows, max_age=batch.max_age
        )
        for chunk in rows:
            # DuckDB takes a batch's size for a proposal.
            yield from (chunk.slice(start, self.part_rows) for start in range(0, chunk.num_rows, self.part_rows))

    def _score_parts(self, batch: Batch, parts: _Parts, progress: BatchProgress) -> None:
        waiting = parts.waiting()
        scored = score_batches(
            self.model,
            map(parts.read, waiting),
            entity=batch.entity,
            explain=batch.explain,
            source=batch.source,
            threads=self.threads,
        )
        started, done, before = time.monotonic(), 0, parts.rows - parts.waiting_rows
        progress(before, parts.rows, "customers")
        for part, result in zip(waiting, scored, strict=True):
            parts.finish(part, result)
            done += result.rows.num_rows + result.rejected.num_rows
            pace = done / max(time.monotonic() - started, 1e-9)
            left = (parts.rows - before - done) / pace
            progress(before + done, parts.rows, f"customers, {pace:,.0f} a second, {_duration(left)} left")


class _Parts:
    """The rows of a batch in files: `waiting` to be scored, then `scored`; each file is there as a whole or not at all.

    Once all rows are in files, a note beside them says so; without it a killed run begins anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = folder / "parts.json"
        self._sizes: list[int] = []

    def fill(self, rows: Callable[[], Iterable[pa.RecordBatch]]) -> None:
        """Write the rows, which `rows()` yields, into files, unless a run that was killed has done so."""
        if self._note.exists():
            self._sizes = json.loads(self._note.read_text(encoding="utf-8"))
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        for number, batch in enumerate(rows()):
            _write(self._path("waiting", number), _coded(batch))
            self._sizes.append(batch.num_rows)
        draft = self._note.with_suffix(".draft")
        draft.write_text(json.dumps(self._sizes), encoding="utf-8")
        os.replace(draft, self._note)

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(self._sizes)

    @property
    def waiting_rows(self) -> int:
        """Rows that are not scored yet."""
        return sum(self._sizes[number] for number in self.waiting())

    def waiting(self) -> list[int]:
        """Return the parts that are not scored yet."""
        return [number for number in range(len(self._sizes)) if not self._path("scored", number).exists()]

    def read(self, number: int) -> pa.RecordBatch:
        """Return a part's rows."""
        return _read(self._path("waiting", number))

    def finish(self, number: int, scored: ScoredRows) -> None:
        """Keep what became of a part's rows; what is scored comes last, for it says that the part is done."""
        counts = {_COUNTS: json.dumps({_UNSEEN: scored.unseen, _MISSING: scored.missing})}
        _write(self._path("rejected", number), scored.rejected.replace_schema_metadata(counts).combine_chunks())
        _write(self._path("scored", number), scored.rows)
        self._path("waiting", number).unlink()

    def scored(self) -> Iterator[pa.RecordBatch]:
        """Yield the scored rows of each part."""
        for number in range(len(self._sizes)):
            yield _read(self._path("scored", number))

    def rejected(self) -> list[tuple[pa.Table, dict[str, dict[str, int]]]]:
        """Return the rows of each part that were set aside, and its counts of unseen and of missing values."""
        parts = []
        for number in range(len(self._sizes)):
            with pa.memory_map(str(self._path("rejected", number))) as file:
                table = pa.ipc.open_file(file).read_all()
            # A run of an earlier version that was killed has left no counts of this form.
            parts.append((table, json.loads(table.schema.metadata.get(_COUNTS, b"{}"))))
        return parts

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / f"{kind}-{number:06}.arrow"


def _counted(parts: _Parts, batch: Batch, tally: Tally) -> Iterator[pa.RecordBatch]:
    for rows in parts.scored():
        tally.add_rows(rows)
        yield stamped(rows, batch)


def _coded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with its text coded, but for the first column, the customer's key."""
    columns = [
        pc.dictionary_encode(values) if position and pa.types.is_string(values.type) else values
        for position, values in enumerate(batch.columns)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _write(path: Path, rows: pa.RecordBatch | pa.Table) -> None:
    draft = path.with_suffix(".draft")
    with pa.OSFile(str(draft), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write(rows)
    os.replace(draft, path)


def _read(path: Path) -> pa.RecordBatch:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).get_batch(0)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
