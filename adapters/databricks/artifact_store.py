"""ZenML's artifact store on a Unity Catalog volume: `volumes://catalog/schema/volume/folder`.

ZenML tells remote paths from those of this machine by a fixed list of schemes, which is extended where this module is
imported. A ZenML server without this package cannot show what lies here.
"""

from __future__ import annotations

import fnmatch
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from types import TracebackType
from typing import Any, ClassVar, cast

from pydantic import Field
from zenml import constants
from zenml.artifact_stores import BaseArtifactStore, BaseArtifactStoreConfig, BaseArtifactStoreFlavor
from zenml.artifact_stores.base_artifact_store import PathType

from churn.profile import DatabricksSettings

from .volumes import IN_MEMORY, Volumes
from .workspace import client_of

__all__ = ["FLAVOR", "SCHEME", "VolumeArtifactStore", "VolumeArtifactStoreConfig", "VolumeArtifactStoreFlavor"]

FLAVOR = "volumes"
SCHEME = "volumes://"

if SCHEME not in constants.REMOTE_FS_PREFIX:
    constants.REMOTE_FS_PREFIX.append(SCHEME)


class VolumeArtifactStoreConfig(BaseArtifactStoreConfig):
    """`path` is `volumes://catalog/schema/volume/folder`; credentials are those that the SDK finds."""

    SUPPORTED_SCHEMES: ClassVar[set[str]] = {SCHEME}
    IS_IMMUTABLE_FILESYSTEM: ClassVar[bool] = True  # nothing can be appended: a log is one file for each flush

    host: str | None = Field(default=None, description="As profile.databricks.host.")
    config_profile: str | None = Field(default=None, description="As profile.databricks.config_profile.")


class VolumeArtifactStore(BaseArtifactStore):
    """Artifacts in a volume, on and off the cluster through the Files API. Errors are those of an operating system."""

    @property
    def config(self) -> VolumeArtifactStoreConfig:
        """The configuration, of this flavor's own class."""
        return cast(VolumeArtifactStoreConfig, self._config)

    @cached_property
    def _volumes(self) -> Volumes:
        settings = DatabricksSettings(host=self.config.host, config_profile=self.config.config_profile)
        return Volumes(lambda: client_of(settings).files)

    def open(self, path: PathType, mode: str = "r") -> Any:
        """Open a file, as text in UTF-8 or with `b` as bytes; what is written is there once the file is closed.

        Raises:
            FileNotFoundError: there is no such file to read.
            FileExistsError: a file that was to be new (`x`) is there.
            ValueError: the mode is none of `r`, `w` and `x`: nothing can be appended or changed in a volume.
        """
        name, kind = _path(path), mode.replace("b", "").replace("t", "")
        if kind not in ("r", "w", "x"):
            raise ValueError(f"The mode {mode!r} is not possible in a volume: write the whole file with 'w'.")
        if kind == "x" and self.exists(path):
            raise FileExistsError(f"{name} is there already.")
        binary = self._volumes.read(name) if kind == "r" else _Upload(self._volumes, name, overwrite=kind == "w")
        return binary if "b" in mode else _Text(cast(Any, binary), encoding="utf-8")

    def copyfile(self, src: PathType, dst: PathType, overwrite: bool = False) -> None:
        """Copy a file, by way of this machine; FileExistsError where `dst` is there and may not be replaced."""
        with self._volumes.read(_path(src)) as content:
            self._volumes.write(_path(dst), content, overwrite=overwrite)

    def exists(self, path: PathType) -> bool:
        """Return whether there is a file or folder."""
        return self._volumes.file(_path(path)) is not None or self.isdir(path)

    def glob(self, pattern: PathType) -> list[PathType]:
        """Return the files and folders that match a pattern, `*` within one name."""
        root, *parts = _path(pattern).lstrip("/").split("/")
        paths = [f"/{root}"]
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            if set(part) & set("*?["):
                paths = [f"{folder}/{name}" for folder in paths for name in self._named(folder, part, last)]
            else:
                paths = [f"{folder}/{part}" for folder in paths]
        return [path for match in paths if self.exists(path := _address(match))]

    def isdir(self, path: PathType) -> bool:
        """Return whether there is a folder."""
        return self._volumes.is_folder(_path(path))

    def listdir(self, path: PathType) -> list[PathType]:
        """Return the names in a folder."""
        return [entry.name for entry in self._volumes.entries(_path(path))]

    def makedirs(self, path: PathType) -> None:
        """Make a folder and those on the way."""
        self._volumes.make_folder(_path(path))

    def mkdir(self, path: PathType) -> None:
        """Make a folder; FileExistsError where it is there, FileNotFoundError where the one above it is not."""
        name = _path(path)
        if self.exists(path):
            raise FileExistsError(f"{name} is there already.")
        if not self._volumes.is_folder(name.rpartition("/")[0]):
            raise FileNotFoundError(f"The folder above {name} is not there.")
        self._volumes.make_folder(name)

    def remove(self, path: PathType) -> None:
        """Remove a file."""
        self._volumes.delete(_path(path))

    def rename(self, src: PathType, dst: PathType, overwrite: bool = False) -> None:
        """Copy a file, then remove the first; a folder file by file. FileExistsError as `copyfile`."""
        if not self.isdir(src):
            self.copyfile(src, dst, overwrite)
            self.remove(src)
            return
        if not overwrite and self.exists(dst):
            raise FileExistsError(f"{_path(dst)} is there already.")
        for folder, _, files in list(self._volumes.walk(_path(src))):
            target = _path(dst) + folder.removeprefix(_path(src))
            self._volumes.make_folder(target)
            for name in files:
                self.copyfile(_address(f"{folder}/{name}"), _address(f"{target}/{name}"), True)
        self.rmtree(src)

    def rmtree(self, path: PathType) -> None:
        """Remove a folder with all that is in it."""
        self._volumes.remove_folder(_path(path))

    def stat(self, path: PathType) -> os.stat_result:
        """Return the size and the time of the last change, in the form of `os.stat`."""
        name = _path(path)
        entry = self._volumes.file(name)
        if entry is None:
            if not self._volumes.is_folder(name):
                raise FileNotFoundError(f"{name} is not there.")
            return os.stat_result((stat.S_IFDIR | 0o700, 0, 0, 1, 0, 0, 0, 0, 0, 0))
        changed = int(entry.changed)
        return os.stat_result((stat.S_IFREG | 0o600, 0, 0, 1, 0, 0, entry.size, changed, changed, changed))

    def size(self, path: PathType) -> int:
        """Return the size of a file in bytes."""
        return self.stat(path).st_size

    def walk(
        self, top: PathType, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> Iterable[tuple[PathType, list[PathType], list[PathType]]]:
        """Yield folders with what is in them, as `os.walk` does; a folder that is not there yields nothing."""
        return self._walked(top, topdown, onerror)

    def _walked(
        self, top: PathType, topdown: bool, onerror: Callable[..., None] | None
    ) -> Iterator[tuple[PathType, list[PathType], list[PathType]]]:
        try:
            levels = [(_address(folder), folders, files) for folder, folders, files in self._volumes.walk(_path(top))]
        except OSError as error:
            if onerror is not None:
                onerror(error)
            return
        for folder, folders, files in levels if topdown else reversed(levels):
            yield folder, [*folders], [*files]

    def _named(self, folder: str, pattern: str, last: bool) -> list[str]:
        try:
            entries = self._volumes.entries(folder)
        except OSError:
            return []
        names = [entry.name for entry in entries if last or entry.is_folder]
        shown = [name for name in names if not name.startswith(".") or pattern.startswith(".")]
        return fnmatch.filter(shown, pattern)


class VolumeArtifactStoreFlavor(BaseArtifactStoreFlavor):
    """The flavor, for ZenML's list of them."""

    @property
    def name(self) -> str:
        """The flavor's name in a profile."""
        return FLAVOR

    @property
    def config_class(self) -> type[VolumeArtifactStoreConfig]:
        """What it is configured with."""
        return VolumeArtifactStoreConfig

    @property
    def implementation_class(self) -> type[VolumeArtifactStore]:
        """What it does."""
        return VolumeArtifactStore


class _Upload(tempfile.SpooledTemporaryFile[bytes]):
    """A temporary file that becomes a file of a volume when it is closed, unless an error passes through `with`."""

    def __init__(self, volumes: Volumes, path: str, *, overwrite: bool) -> None:
        super().__init__(IN_MEMORY)
        self._store: Callable[[], None] | None = lambda: volumes.write(path, self, overwrite=overwrite)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abandon()
        self.close()

    def abandon(self) -> None:
        """Store nothing."""
        self._store = None

    def close(self) -> None:
        """Store the file, and remove the temporary one."""
        store, self._store = self._store, None
        try:
            if store is not None:
                store()
        finally:
            super().close()


class _Text(io.TextIOWrapper):
    """Text over a temporary file; an error that passes through `with` reaches it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and isinstance(self.buffer, _Upload):
            self.buffer.abandon()
        self.close()


def _path(path: PathType) -> str:
    """Return an address as the Files API takes it: `volumes://a/b` → `/Volumes/a/b`."""
    text = path.decode() if isinstance(path, bytes) else path
    parts = text.removeprefix(SCHEME).rstrip("/").split("/")
    if not text.startswith(SCHEME) or not all(part not in ("", ".", "..") for part in parts):
        raise FileNotFoundError(f"{text!r} is no address in a volume, such as {SCHEME}catalog/schema/volume/file.")
    return "/".join(("/Volumes", *parts))


def _address(path: str) -> str:
    return SCHEME + path.removeprefix("/Volumes/")
