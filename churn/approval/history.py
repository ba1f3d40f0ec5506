"""What was live when, and which version a rollback goes back to, read from the ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..ports.ledger import Decision

__all__ = ["Live", "history", "lineage", "succeeded"]


@dataclass(frozen=True)
class Live:
    """A time during which one version was the champion; `until` is None for the one that is live now."""

    version: int
    since: dt.datetime
    until: dt.datetime | None
    who: str
    why: str


def history(records: Iterable[Decision]) -> tuple[Live, ...]:
    """Return the times of every champion, oldest first.

    Args:
        records: The records of one model, in order.
    """
    lived: list[Live] = []
    for record in records:
        if record.kind in {"promoted", "rolled_back"}:
            if lived:
                lived[-1] = replace(lived[-1], until=record.at)
            lived.append(Live(record.version, record.at, None, record.who, record.why))
    return tuple(lived)


def lineage(records: Iterable[Decision]) -> tuple[int, ...]:
    """Return the champions that led to the one that is live, which comes last.

    A version that was rolled back from is not among them: after 1, 2, 3 and a rollback the lineage is 1, 2, so that the
    next rollback goes to 1.

    Args:
        records: The records of one model, in order.
    """
    line: tuple[int, ...] = ()
    for record in records:
        if record.kind in {"promoted", "rolled_back"}:
            line = succeeded(line, record.version, back=record.kind == "rolled_back")
    return line


def succeeded(line: tuple[int, ...], version: int, *, back: bool) -> tuple[int, ...]:
    """Return the lineage after `version` has become the champion: by going `back` to it, or forward."""
    if back and version in line:
        newest = len(line) - line[::-1].index(version)
        return line[:newest]
    return (*line, version)
