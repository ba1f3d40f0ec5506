"""Files in a folder of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from churn.core.errors import StoreError
from churn.ports.files import Files, path_parts

__all__ = ["LocalFiles"]


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
            handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
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

    def delete(self, name: str) -> None:
        """Remove the file; its folder stays."""
        path = self.root.joinpath(*path_parts(name))
        with _explained(path), suppress(FileNotFoundError):
            path.unlink()


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
