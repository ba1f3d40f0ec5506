"""The record of decisions on a laptop: the append-only Delta table `decisions` beside the dataset's other tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import DeltaError
from filelock import FileLock

from churn.core.errors import StoreError, WriteConflict
from churn.data.tables import TABLES
from churn.ports.ledger import Decision, DecisionLedger, Entry

from ..decision_rows import COLUMNS, RECORD, record_of, row_of
from .delta_table import DeltaVersion, Outrun, Stamp
from .digest import Digest, digest_of
from .disk_errors import explained, refuse_path
from .duck import Duck, Staged, quoted, stage
from .feature_store import LocalFeatureStore

__all__ = ["LocalDecisionLedger"]

_KEY = TABLES["decisions"].key
_MANY = 64


class LocalDecisionLedger(DecisionLedger):
    """A Delta table whose every version is the one before with one more row; Delta itself refuses to change the others.

    Args:
        root: The folder that holds a folder for each dataset.
        dataset: The dataset's name.
        many: How many files there may be before they are joined: each decision is a file, and each takes half a
            millisecond to read.

    Raises:
        StoreError: the path holds characters that the Delta library cannot name.
    """

    def __init__(self, root: Path, dataset: str, *, many: int = _MANY) -> None:
        self._path = root / dataset / "decisions"
        refuse_path(self._path)
        self._duck = Duck("64MB", 1, root / dataset)
        self._tables = LocalFeatureStore(root, dataset)
        self._many = many

    def read(self) -> list[Decision]:
        """Read every row of the newest version."""
        with explained(self._path):
            newest = DeltaVersion.newest(self._path)
            return [] if newest is None else self._select(newest, "ORDER BY sequence, decision_id")

    def append(self, entry: Entry, *, after: str) -> Decision:
        """Write the row to a file of its own, then commit it on the version that ends with `after`, or not at all."""
        with explained(self._path):
            base = DeltaVersion.newest(self._path)
            last = next(iter(self._select(base, "ORDER BY sequence DESC LIMIT 1")), None) if base else None
            if (last.hash if last else "") != after:
                raise self._outrun()
            record = Decision.chained(entry, last)
            staged, digest = self._stage(record)
            try:
                self._commit(base and self._with_text(base), staged, digest)
            except (Outrun, DeltaError, OSError) as cause:
                if not self._holds(staged):
                    staged.discard()
                    raise (self._outrun() if isinstance(cause, Outrun) else cause) from cause
        self._join_files()
        return record

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold a lock on the file `decisions.lock` beside the table."""
        with explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_name(f"{self._path.name}.lock")).acquire()
        with lock:
            yield

    def _select(self, version: DeltaVersion, order: str) -> list[Decision]:
        lacking = [name for name in COLUMNS.names if name not in version.schema.names]
        if lacking:
            raise StoreError(f"The table at {self._path} holds no decisions: it lacks {', '.join(lacking)}.")
        names = [name for name in (*COLUMNS.names, RECORD.name) if name in version.schema.names]
        columns = ", ".join(map(quoted, names))
        with self._duck.session() as connection:
            rows = connection.sql(f"SELECT {columns} FROM {version.relation()} {order}").to_arrow_table().to_pylist()
        return [record_of(row, f"the table at {self._path}") for row in rows]

    def _with_text(self, base: DeltaVersion) -> DeltaVersion:
        """Return the newest version of a table that has the column of the text; one of format 1 gains it."""
        if RECORD.name in base.schema.names:
            return base
        before = self._tables.latest(self._path.name)
        base.add_columns([RECORD], Stamp(_KEY, before.rows, before.content_id))
        return DeltaVersion(self._path)

    def _stage(self, record: Decision) -> tuple[Staged, Digest]:
        row = pa.Table.from_pylist([row_of(record)], COLUMNS.append(RECORD))
        with self._duck.session() as connection:
            connection.register("record", row)
            staged = stage(connection, "FROM record", self._path)
        _flush(*staged.files, staged.folder)
        return staged, digest_of(row.to_batches())

    def _commit(self, base: DeltaVersion | None, staged: Staged, digest: Digest) -> None:
        if base is None:
            DeltaVersion.create(staged, Stamp(_KEY, 1, str(digest)), append_only=True)
        else:
            before = self._tables.latest(self._path.name)
            base.exchange((), staged, Stamp(_KEY, before.rows + 1, str(Digest.parse(before.content_id) + digest)))
        log = self._path / "_delta_log"
        _flush(log / f"{base.version + 1 if base else 0:020}.json", log, self._path)

    def _join_files(self) -> None:
        """Keep reading fast; where that fails, the next append tries again."""
        with suppress(DeltaError, OSError):
            newest = DeltaVersion(self._path)
            stamp = newest.stamp()
            if len(newest.files) > self._many and stamp is not None:
                newest.compact(stamp)

    def _holds(self, staged: Staged) -> bool:
        """Whether the files are part of the table: a commit can succeed before what follows it fails."""
        newest = DeltaVersion.newest(self._path)
        return newest is not None and set(staged.files) <= set(newest.files)

    def _outrun(self) -> WriteConflict:
        return WriteConflict(
            f"Somebody else decided at the same time, and {self._path} has a newer record: nothing was written. Run "
            "the same command again."
        )


def _flush(*paths: Path) -> None:
    """Have files and folders on the disk before the decision counts, or is acted upon."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
