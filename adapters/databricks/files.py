"""The files of a run in a Unity Catalog volume."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from churn.core.errors import StoreError
from churn.ports.files import Files, ReplacedWord, path_parts, pattern_of

from .volumes import Volumes, spooled

__all__ = ["VolumeFiles"]

_MODEL = "MLmodel"
"""A folder with this file is a registered model, whose files are bound to a digest."""


@dataclass(frozen=True)
class VolumeFiles(Files):
    """Files below the folder `root` of a volume, such as `/Volumes/main/churn/files`; its readers may read them."""

    volumes: Volumes
    root: str

    def put(self, name: str, chunks: Iterable[bytes]) -> str:
        """Return the path of the file, as notebooks and jobs of the workspace open it."""
        path = self._path(name)
        with spooled() as content:
            for chunk in chunks:
                content.write(chunk)
            with _explained(path):
                self.volumes.write(path, content)
        return path

    def get(self, name: str) -> bytes | None:
        """Read the file."""
        path = self._path(name)
        with _explained(path):
            try:
                with self.volumes.read(path) as content:
                    return content.read()
            except FileNotFoundError:
                return None

    def names(self, folder: str) -> list[str]:
        """Walk through the folder."""
        path = self._path(folder)
        with _explained(path):
            try:
                paths = [f"{parent}/{name}" for parent, _, names in self.volumes.walk(path) for name in names]
            except FileNotFoundError:
                return []
        return sorted(name.removeprefix(f"{self.root}/") for name in paths)

    def replace_word(self, word: str, by: str) -> ReplacedWord:
        """Walk through the volume; a file is replaced as a whole."""
        pattern, changed, held, models = pattern_of(word), list[str](), list[str](), list[str]()
        with _explained(self.root):
            for parent, _, names in self.volumes.walk(self.root):
                if _MODEL in names:
                    models.append(f"{parent}/")
                for file in sorted(names):
                    path = f"{parent}/{file}"
                    name = path.removeprefix(f"{self.root}/")
                    if pattern.search(file.encode()):
                        self.volumes.delete(path)
                        changed.append(name)
                        continue
                    with self.volumes.read(path) as source:
                        content = source.read()
                    if not pattern.search(content):
                        continue
                    if b"\0" in content or path.startswith(tuple(models)):
                        held.append(name)
                        continue
                    self.volumes.write(path, io.BytesIO(pattern.sub(by.encode(), content)))
                    changed.append(name)
        return ReplacedWord(tuple(changed), tuple(held))

    def delete(self, name: str) -> None:
        """Remove the file; its folder stays."""
        path = self._path(name)
        with _explained(path):
            try:
                self.volumes.delete(path)
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return "/".join((self.root, *path_parts(name)))


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The file {path} cannot be written or read ({error}): `python run.py doctor --stack databricks` says what "
            "is missing."
        ) from error
