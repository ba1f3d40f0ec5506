"""Durations of the last run of each pipeline, from which the next one estimates its own."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["in_words", "read_durations", "write_durations"]

_FORMAT = 1
_TOTAL = "total"


def read_durations(path: Path, run: str) -> dict[str, float]:
    """Return the seconds of each step of the last run of this name that did it, and of the whole as `total`."""
    return {name: float(seconds) for name, seconds in _stored(path).get(run, {}).items()}


def write_durations(path: Path, run: str, steps: dict[str, float], total: float) -> None:
    """Remember how long a run took; steps that were taken from the cache keep what they had."""
    stored = _stored(path)
    stored[run] = {**stored.get(run, {}), **steps, _TOTAL: total}
    with suppress(OSError):  # an estimate is not worth a failure
        path.write_text(json.dumps({"format": _FORMAT, "runs": stored}), encoding="utf-8")


def in_words(seconds: float) -> str:
    """Return a duration such as `45 s` or `2 min 36 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60} s"


def _stored(path: Path) -> dict[str, dict[str, Any]]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return dict(stored["runs"]) if stored["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
