"""Canonical text of stored values, its digest, and the format number that each carries.

A digest is of the text that is stored, never of a class written out again: a class that gains a field with a default
changes no digest of anything that was stored before. Which formats there are: docs/formats.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import ChurnError

__all__ = ["FORMAT", "StoredFormat", "Upgrade", "canonical", "digest"]

FORMAT = "format"
"""The key under which a stored value carries the number of its format; values of format 1 may lack it."""

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the JSON values of one format, without its number, and returns those of the next."""

Value = TypeVar("Value", bound=BaseModel)


def canonical(value: Any) -> str:
    """Return a value as the one JSON text that stands for it: sorted keys, no spaces, ASCII, finite numbers.

    Args:
        value: A pydantic model, or what JSON can hold.

    Raises:
        ValueError: a number is infinite or NaN.
        TypeError: JSON cannot hold it.
    """
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(text: str) -> str:
    """Return the SHA-256 of a stored text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class StoredFormat(Generic[Value]):
    """How values of one class are stored, and how those of every older format are read.

    Attributes:
        kind: What is stored, as a message names it, such as "gate report".
        model: The class.
        newest: The format that is written.
        error: What is raised where a stored value cannot be read.
        upgrades: For each older format, how its JSON values become those of the next; a format that differs only by
            fields which have a default today needs none.
    """

    kind: str
    model: type[Value]
    newest: int
    error: type[ChurnError]
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)

    def values(self, value: Value) -> dict[str, Any]:
        """Return the JSON values that are stored, with the number of the format."""
        return {FORMAT: self.newest, **value.model_dump(mode="json")}

    def write(self, value: Value) -> str:
        """Return the canonical text that is stored; its digest stands for the value for ever."""
        return canonical(self.values(value))

    def read(self, text: str) -> Value:
        """Return the value that a stored text holds; raises as `parse` does."""
        try:
            stored = json.loads(text)
        except ValueError as cause:
            raise self.error(f"This {self.kind} is no JSON text ({cause}): {self._restore}") from cause
        return self.parse(stored)

    def parse(self, stored: Any) -> Value:
        """Return the value that stored JSON values hold, of any format up to the newest.

        Raises:
            ChurnError: of the type `error`: they are of a newer format, hold a field that is not known, or are no such
                value.
        """
        if not isinstance(stored, Mapping):
            raise self.error(f"This {self.kind} holds no fields: {self._restore}")
        number = stored.get(FORMAT, 1)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise self.error(f"This {self.kind} says its format is {number!r}, which is no number: {self._restore}")
        if number > self.newest:
            raise self.error(
                f"This {self.kind} has format {number}, and this version of the project reads up to {self.newest}: it "
                "was written by a newer version of this project, so upgrade to that one."
            )
        raw = {key: value for key, value in stored.items() if key != FORMAT}
        for older in range(number, self.newest):
            raw = self.upgrades.get(older, dict)(raw)
        try:
            return self.model.model_validate(raw)
        except ValidationError as cause:
            raise self.error(self._problem(cause)) from cause

    def _problem(self, cause: ValidationError) -> str:
        problems = cause.errors(include_url=False, include_context=False)
        unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
        first = (unknown or problems)[0]
        name = ".".join(map(str, first["loc"]))
        if unknown:
            return (
                f"This {self.kind} holds `{name}`, which this version of the project does not know: it was written by "
                "a newer version of this project, so upgrade to that one."
            )
        return f"This {self.kind} cannot be read (`{name}`: {first['msg']}): {self._restore}"

    @property
    def _restore(self) -> str:
        return "restore what was stored from a copy."
