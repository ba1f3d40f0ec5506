"""The port of the files that a run leaves for people and other programs: pages, lists, charts."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable

from ..core.errors import StoreError

__all__ = ["Files", "path_parts"]

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Files(ABC):
    """Named files; a reader sees a file as a whole or not at all. Names may have folders: `campaigns/3f2a.csv`."""

    @abstractmethod
    def put(self, name: str, chunks: Iterable[bytes]) -> str:
        """Store the chunks, one after the other, as the content of `name`, in place of what was there.

        The chunks are written as they come, so that the content need not fit into memory. Only the user who writes a
        file can read it, where the storage knows users.

        Args:
            name: Parts of letters, digits, `.`, `_` and `-`, each beginning with a letter or digit, joined by `/`.
            chunks: The content. An exception from this iterator is passed on; nothing is stored then.

        Returns:
            Where the file is, as a path or URI that a person can open.

        Raises:
            StoreError: the name is not valid, or the storage refuses; what was there before is unchanged.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; a name that has none is no error. Raises as `put` does."""


def path_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a file's name.

    Raises:
        StoreError: the name is not valid for `Files`.
    """
    parts = tuple(name.split("/"))
    if not all(_PART.fullmatch(part) for part in parts):
        raise StoreError(
            f"{name!r} is not a valid file name: use letters, digits, `.`, `_` and `-`, begin with a letter or digit, "
            "and separate folders by `/`."
        )
    return parts
