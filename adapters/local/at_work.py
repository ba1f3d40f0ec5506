"""Lock files of the processes that work in a folder; one that was killed leaves its file unlocked."""

from __future__ import annotations

import atexit
import os
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["AtWork", "remove_unheld"]

_NOTE = ".at-work-"
_locks: dict[tuple[int, Path], FileLock] = {}
_adding = threading.Lock()


class AtWork:
    """The notes in one folder. A folder that cannot be written has none: whoever only reads leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, *, in_place_of_dead: bool = False) -> None:
        """Let others see, until this process ends, that it is at work here.

        Args:
            in_place_of_dead: Whether to remove the notes of processes that were killed, which nobody needs then.
        """
        key = (os.getpid(), self._folder.absolute())
        if key in _locks or not self._folder.is_dir():
            return
        with _adding, suppress(OSError):
            if key not in _locks:
                for dead in self.left_by_killed() if in_place_of_dead else ():
                    dead.unlink(missing_ok=True)
                lock = FileLock(self._folder / f"{_NOTE}{uuid.uuid4().hex}")
                lock.acquire()
                _locks[key] = lock
                atexit.register(_ended, key)

    def anybody(self) -> bool:
        """Return whether some process is at work here, this one too."""
        return any(_is_held(note) for note in self._notes())

    def left_by_killed(self) -> list[Path]:
        """Return the notes of processes that were killed."""
        return [note for note in self._notes() if not _is_held(note)]

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep others from starting meanwhile, and yield whether none is at work."""
        self._folder.mkdir(parents=True, exist_ok=True)
        door = self._folder / f"{_NOTE}door"
        with FileLock(door):
            try:
                yield not self.anybody()
            finally:
                door.unlink(missing_ok=True)

    def _notes(self) -> list[Path]:
        return [note for note in sorted(self._folder.glob(f"{_NOTE}*")) if not note.name.endswith("door")]


def remove_unheld(locks: Iterable[Path]) -> None:
    """Remove files of locks that nobody holds; whoever waits for one then makes a new file."""
    for path in locks:
        with suppress(Timeout, OSError), FileLock(path, timeout=0):
            path.unlink()


def _is_held(note: Path) -> bool:
    try:
        with FileLock(note, timeout=0):
            return False
    except (Timeout, OSError):  # one that may not be opened is of another user, who may be at work
        return True


def _ended(key: tuple[int, Path]) -> None:
    if os.getpid() == key[0] and (lock := _locks.pop(key, None)) is not None:
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()
