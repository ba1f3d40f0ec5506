"""The files that the log of a Delta table names, and the removal of those that no kept version needs."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import time
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .at_work import AtWork, remove_unheld

__all__ = ["committed_files", "parquet_files", "remove", "vacuum_dataset", "versions_with"]

_UNDER_WAY = 24 * 3600.0  # seconds for which files that are not committed are left alone while somebody is at work
_SPILL = ".spill-*"


@dataclass
class _Life:
    """In which versions of its table a file is: from `added` to before `removed`, at which time it left.

    Attributes:
        added: The version whose commit added it.
        removed: The version whose commit removed it; None while it is part of the table.
        left: When that was, in seconds since 1970.
    """

    added: int
    removed: int | None = None
    left: float = 0.0

    def is_needed(self, before: float, keep: Collection[int]) -> bool:
        """Whether the newest version, one that was the newest at `before` or later, or one to keep has the file."""
        if self.removed is None or self.left >= before:
            return True
        return any(self.added <= version < self.removed for version in keep)


def committed_files(table: Path) -> set[Path]:
    """Return every file that a commit of the table has ever added."""
    return set(_lives(table))


def versions_with(table: Path, files: Collection[Path]) -> list[int]:
    """Return the numbers of the versions of which one of these files is a part."""
    lives, chosen = _lives(table), set(files)
    numbers = [int(commit.stem) for commit in (table / "_delta_log").glob("*.json") if commit.stem.isdigit()]
    chosen_lives = [life for file, life in lives.items() if file in chosen]
    end = max(numbers, default=0) + 1
    spans = [range(life.added, end if life.removed is None else life.removed) for life in chosen_lives]
    return sorted({version for span in spans for version in span})


def vacuum_dataset(folder: Path, before: dt.datetime, keep: Mapping[str, Collection[int]]) -> dict[str, int]:
    """Remove the files of a folder of tables that no kept version needs.

    Args:
        folder: The folder that holds a folder for each table.
        before: Versions that were replaced before this time go. Files of writers that never committed, and what a
            query that was killed had put aside, go at once where no process is at work here, else after a day.
        keep: Versions that stay, by table.

    Returns:
        The bytes that were removed, by table; under "" what queries had put aside.
    """
    limit, freed = before.timestamp(), dict[str, int]()
    tables = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    uncommitted = {table: _uncommitted(table) for table in tables}
    spills = [*folder.glob(_SPILL)]
    # Looked at last: whoever begins to write after that writes files that are not among these.
    written_before = time.time() - (_UNDER_WAY if AtWork(folder).anybody() else 0.0)
    for table in tables:
        gone = [file for file in uncommitted[table] if _modified(file) <= written_before]
        freed[table.name] = sum(map(remove, [*gone, *_unneeded(table, limit, keep.get(table.name, ()))]))
    for spill in spills:
        if _modified(spill) <= written_before:
            freed[""] = freed.get("", 0) + sum(file.stat().st_size for file in spill.rglob("*") if file.is_file())
            shutil.rmtree(spill, ignore_errors=True)
    for note in AtWork(folder).left_by_killed():
        note.unlink(missing_ok=True)
    remove_unheld(folder.glob("*.lock"))
    remove_unheld(folder.glob(".*.lock"))
    return {name: size for name, size in freed.items() if size}


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else time.time()


def _is_readable(table: Path) -> bool:
    """Return whether the log says of every version which files it needs: no other program has shortened it."""
    log = table / "_delta_log"
    return not log.is_dir() or (log / f"{0:020}.json").exists()


def parquet_files(table: Path) -> Iterator[Path]:
    """Yield every Parquet file with rows, of whatever version, and those that no commit names."""
    log = table / "_delta_log"
    return (file for file in sorted(table.rglob("*.parquet")) if log not in file.parents)


def _uncommitted(table: Path) -> list[Path]:
    """Return the files that no commit names: of writers that are at work, or were killed."""
    if not _is_readable(table):
        return []
    lives = _lives(table)
    return [file for file in parquet_files(table) if file not in lives]


def _unneeded(table: Path, before: float, keep: Collection[int]) -> Iterator[Path]:
    """Yield the files of versions that are not kept."""
    if _is_readable(table):
        lives = _lives(table)
        yield from (file for file in parquet_files(table) if file in lives and not lives[file].is_needed(before, keep))


def _lives(table: Path) -> dict[Path, _Life]:
    """Return the files that commits have added, with the versions they are in; empty where there is no log."""
    lives: dict[Path, _Life] = {}
    for commit in sorted((table / "_delta_log").glob("*.json")):
        if not commit.stem.isdigit():
            continue
        for action in map(json.loads, commit.read_text(encoding="utf-8").splitlines()):
            if added := action.get("add"):
                lives[table / urllib.parse.unquote(added["path"])] = _Life(int(commit.stem))
            elif removed := action.get("remove"):
                life = lives.get(table / urllib.parse.unquote(removed["path"]))
                if life is not None:
                    life.removed = int(commit.stem)
                    life.left = removed.get("deletionTimestamp", commit.stat().st_mtime * 1000) / 1000
    return lives


def remove(file: Path) -> int:
    """Remove a file, and its folder where nothing else is in it; return its bytes."""
    size = file.stat().st_size
    file.unlink(missing_ok=True)
    if not any(file.parent.iterdir()):
        file.parent.rmdir()
    return size
