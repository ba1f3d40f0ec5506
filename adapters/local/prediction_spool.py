"""The prediction log on a laptop: each process appends to a segment of its own, and segments are moved to the table.

A segment is a file: `churn predictions 1`, then a record a request: a mark, the bytes and rows of the record, their
CRC-32, and the rows as JSON lines. `NAME.live` is written to; whoever moves it makes it read-only and renames it to
`NAME.sealed` first, under the lock that its writer holds for each record, so that nothing is written to it afterwards.
Its name is the `batch_id` of its rows, by which a repeated move replaces them by themselves. Only its end can be torn.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.json

from churn.core.errors import StoreError
from churn.core.progress import note
from churn.ports.prediction_log import LogCounts, LoggedRow, PredictionLog, PredictionWriter, WhenFull
from churn.ports.tables import FeatureStore, TableSpec
from churn.scoring.batch import BATCH_ID
from churn.scoring.logged import ENDPOINT, LOGGED_SCHEMA, prediction_rows

from .disk_errors import explained

__all__ = ["LocalPredictionLog", "Segment", "read_segment"]

_FORMAT = b"churn predictions 1\n"
_RECORD = struct.Struct("<4sIII")  # mark, bytes of the rows, rows, CRC-32 of their bytes
_MARK = b"ROWS"
_LIVE, _SEALED, _DROPPED = ".live", ".sealed", "dropped"
_LARGEST = 32 << 20  # bytes of a segment
_PARTS = 8  # segments, at least, for which there is room: more processes than that need more room
_RETRY = 1.0  # seconds for which a place that refused is not asked again
_MODE = 0o666  # before the umask


class Segment(NamedTuple):
    """What a segment holds.

    Attributes:
        rows: The rows of its whole records, as `LOGGED_SCHEMA` has them.
        damaged: Bytes between records that are no record; a killed writer leaves none there.
    """

    rows: pa.Table
    damaged: int


def read_segment(content: bytes, name: str) -> Segment:
    """Return what a segment holds whose bytes are `content`.

    Raises:
        StoreError: it was written by another version of this project.
    """
    parts, end, damaged = [], len(_FORMAT), 0
    for at, _, payload in _records(content, name):
        damaged += at - end
        end = at + _RECORD.size + len(payload)
        parts.append(payload)
    if not parts:
        return Segment(LOGGED_SCHEMA.empty_table(), damaged)
    lines = b"".join(parts)
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parsing = pyarrow.json.ParseOptions(explicit_schema=LOGGED_SCHEMA, unexpected_field_behavior="ignore")
    return Segment(pyarrow.json.read_json(io.BytesIO(lines), reading, parsing), damaged)


def _records(content: bytes, name: str) -> Iterator[tuple[int, int, bytes]]:
    """Yield the place of each whole record, how many rows it has, and their bytes."""
    if not content.startswith(_FORMAT) and not _FORMAT.startswith(content):
        raise StoreError(
            f"The segment {name} of the prediction log is of a format that this version of the project does not read: "
            "move it with the version that wrote it."
        )
    at = content.find(_MARK, len(_FORMAT))
    while at >= 0 and len(content) - at >= _RECORD.size:
        _, size, rows, checksum = _RECORD.unpack_from(content, at)
        payload = content[at + _RECORD.size : at + _RECORD.size + size]
        is_whole = len(payload) == size and zlib.crc32(payload) == checksum
        if is_whole:
            yield at, rows, payload
        at = content.find(_MARK, at + _RECORD.size + size if is_whole else at + 1)


@contextmanager
def _locked(file: int) -> Iterator[None]:
    """Hold the lock of an open file; whoever is killed lets go."""
    _lock(file)
    try:
        yield
    finally:
        _lock(file, let_go=True)


def _lock(file: int, *, let_go: bool = False) -> None:
    import fcntl  # which Windows lacks

    fcntl.flock(file, fcntl.LOCK_UN if let_go else fcntl.LOCK_EX)


class LocalPredictionLog(PredictionLog):
    """Segments in a folder.

    Args:
        folder: Where they lie, and nothing else; it is made by the first writer.
        store: The tables.
        predictions: The table that takes the rows.
        entity: The column of the customer's key there.
    """

    def __init__(self, folder: Path, store: FeatureStore, predictions: TableSpec, entity: str) -> None:
        self._folder, self._store, self._predictions, self._entity = folder, store, predictions, entity

    def writer(self, *, max_bytes: int, when_full: WhenFull, synced: bool) -> PredictionWriter:
        """Open no segment before the first row."""
        return _SegmentWriter(self._folder, max_bytes, when_full, synced)

    def move(self) -> int:
        """Move a segment at a time: a batch of the table each; it is removed once the table is on the disk."""
        if not self._folder.is_dir():
            return 0
        moved = 0
        with self._store.exclusive("predictions"), explained(self._folder):
            for segment in self._sealed():
                rows, damaged = read_segment(segment.read_bytes(), segment.name)
                if damaged:
                    note("predictions", f"{damaged:,} bytes of {segment} are damaged, and what they held is lost")
                if rows.num_rows:
                    begun = time.time()
                    batches = prediction_rows(rows, segment.stem, self._entity).to_reader()
                    ref = self._store.replace_batch(self._predictions, BATCH_ID, segment.stem, batches)
                    _sync_table(Path(ref.uri), begun)
                    moved += rows.num_rows
                segment.unlink(missing_ok=True)
        return moved

    def counts(self) -> LogCounts:
        """Read every segment."""
        waiting = size = 0
        with explained(self._folder):
            for segment in [*self._folder.glob(f"*{_LIVE}"), *self._folder.glob(f"*{_SEALED}")]:
                with suppress(FileNotFoundError):  # sealed or moved meanwhile
                    content = segment.read_bytes()
                    waiting += sum(rows for _, rows, _ in _records(content, segment.name))
                    size += len(content)
        return LogCounts(waiting, size, _dropped_rows(self._folder))

    def _sealed(self) -> list[Path]:
        """Seal every segment that is written to, and return all segments, oldest first."""
        for live in [*self._folder.glob(f"*{_LIVE}")]:
            with suppress(FileNotFoundError):  # its writer did
                _seal(live)
        return sorted(self._folder.glob(f"*{_SEALED}"), key=lambda path: path.stat().st_mtime)


class _SegmentWriter(PredictionWriter):
    def __init__(self, folder: Path, max_bytes: int, when_full: WhenFull, synced: bool) -> None:
        self._folder, self._max_bytes, self._when_full, self._synced = folder, max_bytes, when_full, synced
        self._segment_bytes = min(_LARGEST, max_bytes // _PARTS)
        self._lock = threading.Lock()
        self._file: int | None = None
        self._path = self._full = folder
        self._size = self._logged = self._dropped = 0
        self._trouble: str | None = None
        self._again_at, self._is_unsynced = 0.0, False
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            _count_dropped(folder, 0)  # so that the count has its place before the disk is full

    def append(self, rows: Sequence[LoggedRow]) -> bool:
        """Write one record by one call of the system; a place that refused is asked again after a second."""
        payload = b"\n".join([orjson.dumps(row._asdict()) for row in rows]) + b"\n"
        record = _RECORD.pack(_MARK, len(payload), len(rows), zlib.crc32(payload)) + payload
        with self._lock:
            if self._trouble is None or time.monotonic() >= self._again_at:
                try:
                    self._write(record)
                    self._trouble = None
                    self._logged += len(rows)
                    return True
                except OSError as error:
                    self._trouble = _not_logged(error, self._folder)
                    self._again_at = time.monotonic() + _RETRY
            if self._when_full == "refuse":
                raise StoreError(self._trouble)
            self._dropped += len(rows)
        with suppress(OSError):
            _count_dropped(self._folder, len(rows))
        return False

    def sync(self) -> None:
        """Flush the segment, and the folder that names it; where there was no room, see whether there is."""
        with self._lock:
            if self._trouble is not None and self._file is not None and not os.fstat(self._file).st_mode & stat.S_IWUSR:
                self._leave()  # it was moved, which made room
            if self._trouble is not None and self._file is None:
                with suppress(OSError):
                    self._open(0)
                    self._trouble = None
            if self._file is None or not self._is_unsynced:
                return
            self._is_unsynced, file = False, os.dup(self._file)
        try:
            with explained(self._folder):
                os.fsync(file)
                _sync(self._folder)
        finally:
            os.close(file)

    @property
    def logged(self) -> int:
        """Rows that this writer has logged."""
        return self._logged

    @property
    def dropped(self) -> int:
        """Rows that this writer could not log."""
        return self._dropped

    @property
    def trouble(self) -> str | None:
        """Why the last rows were not logged, in words; None where they were, or would be by now."""
        return self._trouble

    @property
    def is_due(self) -> bool:
        """Whether the last segment that became full waits still."""
        return self._full.suffix == _SEALED and self._full.exists()

    def close(self) -> None:
        """Leave the segment to whoever moves it."""
        with suppress(StoreError):
            self.sync()
        with self._lock:
            self._leave()

    def _write(self, record: bytes) -> None:
        """Append a record to the segment, or to a new one where this one is full or was sealed; raises OSError."""
        while True:
            if self._file is not None and len(_FORMAT) < self._size > self._segment_bytes - len(record):
                with suppress(FileNotFoundError):  # whoever moves it was faster
                    self._full = _seal(self._path)
                self._leave()
            file = self._open(len(record)) if self._file is None else self._file
            _lock(file)
            try:
                before = os.fstat(file)
                if before.st_mode & stat.S_IWUSR:
                    return self._put(file, record, before.st_size)
            finally:
                _lock(file, let_go=True)
            self._leave()  # somebody has sealed it

    def _put(self, file: int, record: bytes, at: int) -> None:
        try:
            _write_whole(file, record)
            if self._synced:
                os.fsync(file)
        except OSError:
            try:
                os.ftruncate(file, at)
            except OSError:
                self._size = self._max_bytes  # nothing may follow a torn record
            raise
        self._size, self._is_unsynced = at + len(record), not self._synced

    def _open(self, size: int) -> int:
        """Begin a segment, if there is room for all of it beside what waits already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with _opened(self._folder) as folder, _locked(folder):
            sizes = {path: _size_of(path) for path in self._folder.glob("*")}
            taken = sum(max(size, self._segment_bytes * (path.suffix == _LIVE)) for path, size in sizes.items())
            if taken + max(self._segment_bytes, len(_FORMAT) + size) > self._max_bytes:
                raise OSError(
                    f"{taken / 1e6:,.1f} of {self._max_bytes / 1e6:,.1f} MB (`serving.log.max_megabytes`) are taken by "
                    "rows that wait: move them by `python run.py endpoint predictions move`"
                )
            path = self._folder / f"{ENDPOINT}-{uuid.uuid4().hex}{_LIVE}"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _MODE)
        self._file, self._path, self._size = file, path, len(_FORMAT)
        try:
            _write_whole(file, _FORMAT)
            if self._synced:
                _sync(self._folder)
        except OSError:
            path.unlink(missing_ok=True)
            self._leave()
            raise
        return file

    def _leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _not_logged(error: OSError, folder: Path) -> str:
    if error.errno is None:
        return f"Predictions are not logged: {error}."
    return f"Predictions are not logged ({error.strerror}): see that {folder} can be written and its disk has room."


def _seal(live: Path) -> Path:
    """Let nobody write to a segment any more, and return its new name; raises FileNotFoundError if somebody has."""
    sealed = live.with_suffix(_SEALED)
    with _opened(live) as file, _locked(file):
        os.fchmod(file, 0o400)  # by which its writer sees it
        live.replace(sealed)
    return sealed


def _write_whole(file: int, content: bytes) -> None:
    if os.write(file, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _size_of(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _count_dropped(folder: Path, rows: int) -> None:
    """Add to the count of dropped rows, which has the same size always; raises OSError."""
    with _opened(folder / _DROPPED, os.O_RDWR | os.O_CREAT) as file, _locked(file):
        before = os.pread(file, 20, 0)
        os.pwrite(file, b"%020d" % ((int(before) if before.isdigit() else 0) + rows), 0)


def _dropped_rows(folder: Path) -> int:
    with suppress(OSError, ValueError):
        return int((folder / _DROPPED).read_bytes())
    return 0


@contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC, _MODE)
    try:
        yield file
    finally:
        os.close(file)


def _sync(path: Path) -> None:
    with _opened(path) as file:
        os.fsync(file)


def _sync_table(table: Path, since: float) -> None:
    """Have on the disk what was written to a table since a time."""
    for path in [*table.rglob("*"), table]:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime >= since - 1:
                _sync(path)
