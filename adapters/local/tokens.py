"""Bearer tokens of the endpoint: random, shown once, and kept as SHA-256 in a file that only its owner may read."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock

from churn.core.canonical import StoredFormat
from churn.core.errors import ConfigError, NotFound, StoreError
from churn.core.frozen import Frozen

__all__ = ["Scope", "Token", "TokenFile"]

Scope = Literal["query", "admin"]
"""What a token may do: ask for scores, or read metrics and state as well."""
_BYTES = 32


class Token(Frozen):
    """A token, without what it is."""

    name: str
    scope: Scope
    sha256: str
    created_at: dt.datetime


class _Tokens(Frozen):
    tokens: tuple[Token, ...] = ()


_FORMAT = StoredFormat("file of tokens", _Tokens, newest=1, error=StoreError)


class TokenFile:
    """The tokens of one endpoint. A server notices a change of the file at the next request."""

    def __init__(self, path: Path) -> None:
        """Do nothing yet: the file is made by the first token."""
        self._path = path
        self._read: tuple[int, tuple[Token, ...]] = (-1, ())

    def tokens(self) -> tuple[Token, ...]:
        """Return every token, oldest first.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._read[0]:
                self._read = (changed, _FORMAT.read(self._path.read_text(encoding="utf-8")).tokens)
        except FileNotFoundError:
            self._read = (-1, ())
        except (OSError, UnicodeDecodeError, StoreError) as error:
            raise StoreError(
                f"The tokens in {self._path} cannot be read: {error} Or remove the file, and create tokens anew by "
                "`python run.py endpoint token create --name NAME`."
            ) from error
        return self._read[1]

    def create(self, name: str, scope: Scope, now: dt.datetime) -> str:
        """Make a token and return it; nobody can read it later.

        Raises:
            ConfigError: the name is empty or taken.
            StoreError: the file cannot be read or written.
        """
        with self._alone():
            present = self.tokens()
            if not name.strip() or any(token.name == name for token in present):
                why = f"{name!r} is taken" if name.strip() else "none was given"
                raise ConfigError(f"A token needs a name of its own, and {why}: give one with --name.")
            text = secrets.token_urlsafe(_BYTES)
            self._write((*present, Token(name=name, scope=scope, sha256=_hashed(text), created_at=now)))
        return text

    def revoke(self, name: str) -> None:
        """Let a token be refused from now on.

        Raises:
            NotFound: there is none of that name; the message lists those there are.
            StoreError: the file cannot be read or written.
        """
        with self._alone():
            present = self.tokens()
            remaining = tuple(token for token in present if token.name != name)
            if len(remaining) == len(present):
                names = ", ".join(token.name for token in present) or "none"
                raise NotFound(f"There is no token {name!r}; there are: {names}.")
            self._write(remaining)

    def scope_of(self, text: str) -> Scope | None:
        """Return what a token may do; None for one that nobody made. Takes the same time for every token.

        Raises:
            StoreError: the file cannot be read.
        """
        hashed, scope = _hashed(text), None
        for token in self.tokens():
            if hmac.compare_digest(hashed, token.sha256):
                scope = token.scope
        return scope

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock")):
                yield
        except OSError as error:
            raise StoreError(f"The tokens in {self._path} cannot be written ({error.strerror}).") from error

    def _write(self, tokens: tuple[Token, ...]) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False) as file:
            file.write(_FORMAT.write(_Tokens(tokens=tokens)))
        os.replace(file.name, self._path)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
