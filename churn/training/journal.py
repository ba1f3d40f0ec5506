"""What keeps a shared log file whole: a lock that dies with its process, and the mending of a line cut short."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["FileLock", "is_gone", "mend_last_line", "owner"]


class FileLock:
    """A lock on a file, with the methods that Optuna's journal asks for; the system releases it when a process dies.

    One lock serves one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.lock")
        self._held: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Wait until no other process or thread holds the lock, then hold it."""
        # Not on Windows, where this module must still import.
        import fcntl

        held = self._path.open("ab")
        fcntl.flock(held, fcntl.LOCK_EX)
        self._held = held
        return True

    def release(self) -> None:
        """Let the next one in."""
        if self._held is not None:
            self._held.close()
            self._held = None


def mend_last_line(path: Path) -> None:
    """Cut off a last line that was not written to its end, so that the lines before it can be read."""
    lock = FileLock(path)
    lock.acquire()
    try:
        with path.open("r+b") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def owner() -> str:
    """Return a name of this process that another process on the same machine can check."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_gone(name: str) -> bool:
    """Return whether the process that `owner` named is known to be dead; one on another machine never is."""
    host, _, process = name.rpartition(":")
    if host != socket.gethostname() or not process.isdigit():
        return False
    with suppress(PermissionError):
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
    return False
