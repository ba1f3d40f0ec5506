"""The version that answers, shared by the processes of one endpoint as a number read for each request."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from churn.core.errors import StoreError

__all__ = ["SharedVersion"]

_PROCESSES = 64
_BYTES = 8


class SharedVersion:
    """The version of one endpoint in one of its processes, in a file that they all map into their memory.

    A process says which version it is ready to answer with. Once all that run say the same one, it is written in one
    store, and from then on each of them answers with it. A process holds a lock as long as it lives, so that one that
    was killed is not waited for; one that starts is.
    """

    def __init__(self, folder: Path) -> None:
        """Take part from now on.

        Args:
            folder: Of this endpoint alone; made where it is missing.

        Raises:
            StoreError: more processes run than an endpoint may have.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._turn = folder, FileLock(folder / "turn.lock")
        with self._turn:
            path = folder / "versions"
            if not path.exists():
                path.write_bytes(bytes((1 + _PROCESSES) * _BYTES))
            with path.open("r+b") as file:
                self._versions = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
            self._place, self._alive = self._free_place()
            self._versions[self._place] = 0

    def current(self) -> int:
        """Return the version that answers; 0 before the first."""
        return self._versions[0]

    def prepared(self, version: int) -> None:
        """Say which version this process is ready to answer with; once every process is, it is the one that answers.

        The first version of all answers at once.
        """
        with self._turn:
            self._versions[self._place] = version
            self._trouble(self._place).unlink(missing_ok=True)
            if not self._versions[0] or all(self._versions[place] == version for place in self._others()):
                self._versions[0] = version

    def held_back(self, trouble: str) -> None:
        """Say why this process stays with the version that answers."""
        with self._turn:
            self._versions[self._place] = self._versions[0]
            self._trouble(self._place).write_text(trouble, encoding="utf-8")

    def troubles(self) -> list[str]:
        """Return what keeps the other processes from the version that is to answer, in words."""
        texts = []
        with self._turn:
            for place in self._others():
                with suppress(OSError):
                    texts.append(self._trouble(place).read_text(encoding="utf-8"))
        return [text for text in dict.fromkeys(texts) if text]

    def _free_place(self) -> tuple[int, FileLock]:
        for place in range(1, 1 + _PROCESSES):
            alive = FileLock(self._lock(place))
            with suppress(Timeout):
                alive.acquire(timeout=0)
                self._trouble(place).unlink(missing_ok=True)
                return place, alive
        raise StoreError(f"An endpoint may have {_PROCESSES} processes: give fewer --workers.")

    def _others(self) -> Iterator[int]:
        """Yield the places of the other processes that run."""
        for place in range(1, 1 + _PROCESSES):
            if place == self._place or not self._lock(place).exists():
                continue
            try:
                FileLock(self._lock(place)).acquire(timeout=0).lock.release()
            except Timeout:
                yield place

    def _lock(self, place: int) -> Path:
        return self._folder / f"{place}.lock"

    def _trouble(self, place: int) -> Path:
        return self._folder / f"{place}.trouble"
