"""Files of Unity Catalog volumes through the Files API, with the errors of an operating system.

A file appears as a whole or not at all: it is one request, or parts that are put together by the last request. There
is no appending, and no renaming.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, NamedTuple

from .workspace import patiently

if TYPE_CHECKING:
    from databricks.sdk.service.files import FilesAPI

__all__ = ["IN_MEMORY", "Entry", "Volumes", "spooled"]

IN_MEMORY = 32 << 20
"""Bytes of a file that are kept in memory; of a larger one all is in a temporary file."""
_CHUNK = 1 << 20


class Entry(NamedTuple):
    """What is in a folder: a file with its size in bytes and its last change in seconds since 1970, or a folder."""

    name: str
    is_folder: bool
    size: int
    changed: float


@dataclass(frozen=True)
class Volumes:
    """Files by their absolute paths, `/Volumes/catalog/schema/volume/…`; `files` returns the SDK's Files API.

    Every method raises OSError: FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError where it fits.
    """

    files: Callable[[], FilesAPI]

    @cached_property
    def _api(self) -> FilesAPI:
        return self.files()

    def read(self, path: str) -> IO[bytes]:
        """Return the content of a file, from its first byte on."""
        with _as_os_error(path), patiently(self._api.download, path).contents as source:  # type: ignore[union-attr]
            content = spooled()
            shutil.copyfileobj(source, content, _CHUNK)
        content.seek(0)
        return content

    def write(self, path: str, content: IO[bytes], *, overwrite: bool = True) -> None:
        """Let `content`, from its first byte on, be the file; folders on the way are made."""

        def upload() -> None:
            content.seek(0)
            self._api.upload(path, content, overwrite=overwrite)  # type: ignore[arg-type]

        with _as_os_error(path):
            patiently(upload)

    def delete(self, path: str) -> None:
        """Remove a file."""
        with _as_os_error(path):
            patiently(self._api.delete, path)

    def file(self, path: str) -> Entry | None:
        """Return what is known of a file, None where there is none."""
        from email.utils import parsedate_to_datetime

        try:
            with _as_os_error(path):
                metadata = patiently(self._api.get_metadata, path)
        except FileNotFoundError:
            return None
        changed = parsedate_to_datetime(metadata.last_modified).timestamp() if metadata.last_modified else 0.0
        return Entry(path.rpartition("/")[2], False, metadata.content_length or 0, changed)

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder."""
        try:
            with _as_os_error(path):
                patiently(self._api.get_directory_metadata, path)
        except FileNotFoundError:
            return False
        return True

    def entries(self, path: str) -> list[Entry]:
        """Return what is in a folder, by name."""
        with _as_os_error(path):
            entries = [
                Entry(
                    entry.name or "", bool(entry.is_directory), entry.file_size or 0, (entry.last_modified or 0) / 1000
                )
                for entry in patiently(lambda: list(self._api.list_directory_contents(path)))
            ]
        return sorted(entries)

    def walk(self, path: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield each folder from `path` down with the names of its folders and files, as `os.walk` does."""
        entries = self.entries(path)
        folders = [entry.name for entry in entries if entry.is_folder]
        yield path, folders, [entry.name for entry in entries if not entry.is_folder]
        for folder in folders:
            yield from self.walk(f"{path}/{folder}")

    def make_folder(self, path: str) -> None:
        """Make a folder and those on the way; one that is there is left alone."""
        with _as_os_error(path):
            patiently(self._api.create_directory, path)

    def remove_folder(self, path: str) -> None:
        """Remove a folder with all that is in it."""
        for folder, _, files in sorted(self.walk(path), reverse=True):
            for name in files:
                self.delete(f"{folder}/{name}")
            with _as_os_error(folder):
                patiently(self._api.delete_directory, folder)


def spooled() -> IO[bytes]:
    """Return a temporary file that is in memory until it is large."""
    return tempfile.SpooledTemporaryFile(IN_MEMORY)


@contextmanager
def _as_os_error(path: str) -> Iterator[None]:
    from databricks.sdk import errors

    kinds: list[tuple[type[Exception], type[OSError]]] = [
        (errors.NotFound, FileNotFoundError),
        (errors.ResourceConflict, FileExistsError),
        (errors.PermissionDenied, PermissionError),
        (errors.Unauthenticated, PermissionError),
        (errors.DatabricksError, OSError),
        (TimeoutError, OSError),
    ]
    try:
        yield
    except tuple(kind for kind, _ in kinds) as error:
        raised = next(os_error for sdk_error, os_error in kinds if isinstance(error, sdk_error))
        reason = " ".join(str(error).partition(". Config:")[0].split()).rstrip(".")
        raise raised(f"{path}: {reason}") from error
