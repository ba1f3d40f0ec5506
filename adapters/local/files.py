"""Files in a folder of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from churn.core.errors import StoreError
from churn.ports.files import Files, ReplacedWord, path_parts, pattern_of

__all__ = ["LocalFiles", "remove_drafts"]

_DRAFT = ".draft-"
"""How a file is called until all of it is written."""

_MODEL = "MLmodel"
"""A folder with this file is a registered model, whose files are bound to a digest."""


@dataclass(frozen=True)
class LocalFiles(Files):
    """Files below `root`; files that it writes have mode 0600, folders that it makes 0700.

    A file is written beside its place, flushed to the disk and renamed, so that neither a reader nor a crash sees
    a part of it.
    """

    root: Path

    def put(self, name: str, chunks: Iterable[bytes]) -> str:
        """Return the path of the file."""
        path = self.root.joinpath(*path_parts(name))
        with _explained(path):
            _make_private(path.parent)
            handle, draft = tempfile.mkstemp(prefix=_DRAFT, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    with _explained(path):
                        file.write(chunk)
                with _explained(path):
                    file.flush()
                    os.fsync(file.fileno())
            with _explained(path):
                os.replace(draft, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
        return str(path)

    def get(self, name: str) -> bytes | None:
        """Read the file."""
        path = self.root.joinpath(*path_parts(name))
        with _explained(path), suppress(FileNotFoundError):
            return path.read_bytes()
        return None

    def names(self, folder: str) -> list[str]:
        """Walk through the folder; drafts of files are not among them."""
        paths = (path for path in self.root.joinpath(*path_parts(folder)).rglob("*") if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in paths if not path.name.startswith("."))

    def replace_word(self, word: str, by: str) -> ReplacedWord:
        """Walk through the folder, but for Delta tables; a file is replaced as a whole."""
        pattern, changed, held = pattern_of(word), [], []
        for path in _files(self.root):
            name = path.relative_to(self.root).as_posix()
            with _explained(path):
                if pattern.search(path.name.encode()):
                    path.unlink()
                    changed.append(name)
                    continue
                content = path.read_bytes()
                if not pattern.search(content):
                    continue
                if b"\0" in content or any((parent / _MODEL).is_file() for parent in path.parents):
                    held.append(name)
                    continue
                changed.append(name)
                draft = path.with_name(f"{_DRAFT}{path.name}")
                draft.write_bytes(pattern.sub(by.encode(), content))
                draft.chmod(path.stat().st_mode)
                os.replace(draft, path)
        return ReplacedWord(tuple(changed), tuple(held))

    def delete(self, name: str) -> None:
        """Remove the file; its folder stays."""
        path = self.root.joinpath(*path_parts(name))
        with _explained(path), suppress(FileNotFoundError):
            path.unlink()


def remove_drafts(folder: Path) -> None:
    """Remove the files below a folder that were not written to their end; nobody may be writing there."""
    for path in _files(folder):
        if path.name.startswith(_DRAFT):
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; a folder of a Delta table is not entered."""
    for parent, folders, files in os.walk(folder):
        if "_delta_log" in folders:
            folders.clear()
            continue
        yield from (path for name in sorted(files) if not (path := Path(parent, name)).is_symlink())


def _make_private(folder: Path) -> None:
    """Make a folder and its parents; `Path.mkdir` gives the mode to the last one alone."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The file {path} cannot be written ({error.strerror or error}): free the disk, change the permissions, "
            "or use another folder."
        ) from error
