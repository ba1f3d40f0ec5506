"""Errors of Delta, DuckDB and the disk as errors of this project, with the path and a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from churn.core.errors import StoreError

__all__ = ["explained", "refuse_path"]

_REMEDIES = {
    "No space left": "the disk is full; free some space",
    "quota exceeded": "your share of the disk is used up; free some space",
    "File too large": "files of this size are not allowed here; raise the limit (`ulimit -f`)",
    "Permission denied": "this user may not write there; change the folder's permissions, or use another folder",
    "Read-only file system": "the disk is read-only; use another folder",
    "Not a directory": "a file is in the way; move it, or use another folder",
    "File exists": "a file is in the way; move it, or use another folder",
    "Out of Memory": "the query needs more memory than it may use; raise `resources.memory_limit`",
}
_UNFIT = "[]{}%"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a fault of the engines or the disk while they work on `path` into a StoreError.

    Raises:
        StoreError: naming the path, the first line of the cause and, where the cause is known, the remedy.
    """
    try:
        yield
    except BaseException as cause:
        # delta-rs panics where a disk fills up under it, and a panic is no Exception.
        if not isinstance(cause, OSError | DeltaError | duckdb.Error | pa.ArrowException) and not _is_panic(cause):
            raise
        text = str(cause)
        remedy = next((remedy for sign, remedy in _REMEDIES.items() if sign in text), "mend the cause")
        raise StoreError(f"The table at {path} cannot be used: {remedy} ({_first_line(text)}).") from cause


def refuse_path(path: Path) -> None:
    """Refuse a folder that the Delta library cannot name.

    Raises:
        StoreError: naming the characters.
    """
    unfit = sorted({character for character in str(path) if character in _UNFIT})
    if unfit:
        raise StoreError(f"Tables cannot lie at {path}: the path holds {' '.join(unfit)}; use another folder.")


def _is_panic(cause: BaseException) -> bool:
    return type(cause).__module__ == "pyo3_runtime"


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")
