"""Commands in messages, with the options that they must repeat to be about the same data set."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from churn.core.program import as_typed

__all__ = ["in_full", "repeating"]

_OPTIONS: ContextVar[str] = ContextVar("options", default="")
_COMMAND = re.compile(r"`python run\.py (?!dataset infer)([^`]+)`")
_CHOOSE = re.compile(r"(dataset|model_name|profile\..*)=")
"""The settings that choose whose model and tables a command is about."""


@contextmanager
def repeating(arguments: argparse.Namespace) -> Iterator[None]:
    """Let the commands in messages repeat which stack, settings file and data set were typed."""
    options = [(f"--{name}", getattr(arguments, name, None)) for name in ("stack", "config", "dataset")]
    overrides = [*getattr(arguments, "overrides", []), *getattr(arguments, "command_overrides", [])]
    options += [("--set", value) for value in overrides if _CHOOSE.match(value)]
    typed = "".join(f" {option} {shlex.quote(str(value))}" for option, value in options if value is not None)
    token = _OPTIONS.set(typed)
    try:
        yield
    finally:
        _OPTIONS.reset(token)


def in_full(text: str) -> str:
    """Return a text in which every command, between backticks, can be typed as it stands."""
    return as_typed(_COMMAND.sub(lambda match: f"`python run.py {match[1]}{_missing(match[1])}`", text))


def _missing(command: str) -> str:
    """Return the options that were typed, unless the command has options of that kind already."""
    return "" if re.search(r"--(stack|config|dataset|data|set)\b", command) else _OPTIONS.get()
