"""Clears what killed pipeline runs leave: temporary folders, unfinished files, records of runs."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .at_work import AtWork, remove_unheld
from .files import remove_drafts

__all__ = ["clear", "start"]


def start(state: Path, clear_runs: Callable[[], int]) -> None:
    """Note that this process runs a pipeline, and clear what killed ones left where no other does.

    Temporary files of this process have a folder of their own from now on, which shows whose they are.

    Args:
        state: The state folder of the profile.
        clear_runs: Ends the records of runs that no process is at; returns how many there were.
    """
    at_work = AtWork(state)
    with at_work.alone() as alone:
        if alone and (notes := at_work.left_by_killed()):
            _clear(state, clear_runs)
            for note in notes:
                note.unlink(missing_ok=True)
        at_work.note()
    folder = _temporary(state)
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():  # else one of another user's is in the way
            temporary = folder / str(os.getpid())
            temporary.mkdir(exist_ok=True)
            tempfile.tempdir = str(temporary)
            atexit.register(_remove, temporary)


def clear(state: Path, clear_runs: Callable[[], int]) -> int | None:
    """Clear what killed runs left; return how many records of runs were ended, None where another run is at work."""
    at_work = AtWork(state)
    with at_work.alone() as alone:
        if not alone:
            return None
        ended = _clear(state, clear_runs)
        for note in at_work.left_by_killed():
            note.unlink(missing_ok=True)
    return ended


def _clear(state: Path, clear_runs: Callable[[], int]) -> int:
    shutil.rmtree(_temporary(state), ignore_errors=True)
    remove_drafts(state)
    ended = clear_runs()
    remove_unheld([*state.rglob("*.lock")])
    return ended


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # other runs have files there
        folder.parent.rmdir()


def _temporary(state: Path) -> Path:
    """Return the folder of temporary files of all runs with this state folder; short, for paths of sockets are."""
    name = hashlib.sha256(f"{state.absolute()}:{os.getuid()}".encode()).hexdigest()[:12]
    base = Path(os.environ.get("TMPDIR") or "/tmp")
    return base / f"churn-{name}"
