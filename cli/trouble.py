"""Finds the user's mistake behind an exception that a library has wrapped."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path

from churn.core.errors import ChurnError

__all__ = ["explain"]

_DISK = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the file system is read-only: choose another folder with --set profile.state=FOLDER",
    errno.EACCES: "this user may not write there: change its permissions, or --set profile.state=FOLDER",
    errno.ENOTDIR: "a part of that path is a file where a folder belongs: choose another path",
    errno.EEXIST: "a file is there where a folder belongs: choose another path",
    errno.EISDIR: "that is a folder and not a file: choose another path",
    errno.EPERM: "this user may not do that: change the permissions, or --set profile.state=FOLDER",
}
_DAMAGED = "a database is damaged: `python run.py doctor` names it; restore a copy, or move it away to begin without it"
_SQLITE = {
    "disk is full": "the disk is full: free some space",
    "readonly database": "this user may not write to the database: change its permissions",
    "unable to open database file": "the folder of the database is missing or not writable: change its permissions",
    "database is locked": "another process holds the database for long: wait for it, or stop it",
    "disk i/o error": "the disk fails or is full: check it",
    "disk image is malformed": _DAMAGED,
    "file is not a database": _DAMAGED,
}

_OF_ZENML = re.compile(r"`(\w+)` integration.*`pip install ([^`]+)`", re.DOTALL)
"""What ZenML says of a component whose packages are missing."""


def explain(error: BaseException, state: Path | None = None) -> str | None:
    """Return what the user can do, in one paragraph, or None where the fault is the program's.

    Args:
        error: What was raised.
        state: The folder in which a run keeps its databases, where it is known.
    """
    for cause in _chain(error):
        if isinstance(cause, ChurnError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in _DISK:
            where = f"{cause.filename}: " if cause.filename else ""
            return f"{where}{_DISK[cause.errno]}, then run the same command again; what was finished is kept."
        if isinstance(cause, ImportError) and (needed := _OF_ZENML.search(str(cause))):
            return (
                f"A component of the ZenML stack needs the integration {needed[1]!r}, which is not installed: "
                f"`uv pip install {needed[2]}` installs it, or name another component in `profile.stack`."
            )
        text = str(cause).lower()
        for symptom, remedy in _SQLITE.items():
            if symptom in text and "sqlite" in f"{type(cause).__module__} {text}":
                where = "" if state is None else f" in {state}"
                again = "then run the same command again; what was finished is kept."
                return f"SQLite says {symptom!r}{where}: {remedy}, {again}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: BaseException | None = error
    while waiting is not None and id(waiting) not in seen:
        yield waiting
        seen.add(id(waiting))
        waiting = waiting.__cause__ or waiting.__context__
