"""Output for other programs: one JSON object on a line of standard output."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, TextIO

from churn.core.program import as_typed

__all__ = ["print_json", "results_alone", "wants_json"]


def wants_json(arguments: argparse.Namespace) -> bool:
    """Return whether the answer is for another program."""
    return bool(getattr(arguments, "json", False))


def print_json(value: Any, file: TextIO | None = None) -> None:
    """Print models, times, paths and plain values as JSON in ASCII; what is not a finite number is null."""
    from pydantic_core import to_jsonable_python

    text = json.dumps(to_jsonable_python(value, inf_nan_mode="null"), allow_nan=False)
    print(as_typed(text), file=file, flush=True)


def results_alone() -> TextIO:
    """Send whatever is printed to standard error from now on, and return the real standard output."""
    sys.stdout.flush()
    real = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return real
