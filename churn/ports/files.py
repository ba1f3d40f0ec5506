"""The port of the files that a run leaves for people and other programs: pages, lists, charts."""

from __future__ import annotations

import html
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

from ..core.errors import StoreError

__all__ = ["Files", "ReplacedWord", "path_parts", "pattern_of"]

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ReplacedWord(NamedTuple):
    """The names of the files that a word was taken out of, and of those that hold it still."""

    changed: tuple[str, ...]
    held: tuple[str, ...]


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
    def get(self, name: str) -> bytes | None:
        """Return the content of a file; None where there is none. Raises as `put` does."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, sorted; none where there is no such folder."""

    @abstractmethod
    def replace_word(self, word: str, by: str) -> ReplacedWord:
        """Replace a word in every file of text, and remove the files whose name has it.

        Files that others left in the same place are among them. A word is followed and preceded by no letter, digit,
        `_` or `-`; it is found as it is, and as HTML and JSON write it. Registered models, which stay byte for byte,
        and files that are no text are left as they are. Tables are not looked at.

        Raises:
            StoreError: a file cannot be read or written; those before it are done.
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


def pattern_of(word: str) -> re.Pattern[bytes]:
    """Return what finds a word in the bytes of a text, as it is and as HTML and JSON write it."""
    spellings = {word, html.escape(word), html.escape(word, quote=False), json.dumps(word)[1:-1]}
    listed = b"|".join(re.escape(spelling.encode()) for spelling in sorted(spellings))
    return re.compile(rb"(?<![0-9A-Za-z_-])(?:" + listed + rb")(?![0-9A-Za-z_-])")
