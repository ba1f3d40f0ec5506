"""How this program is called in messages: `python run.py` in a checkout, `churn` where it is installed."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

__all__ = ["about", "as_typed"]


def as_typed(text: str) -> str:
    """Return a text in which the program is called as this process was: by `python run.py` or as `churn`."""
    installed = Path(sys.argv[0]).stem.startswith("churn")
    return re.sub(r"python churn\b|(python )?\brun\.py\b", "churn", text) if installed else text


def about(dataset: str, command: str) -> str:
    """Return a command with the data set that it is about, so that it acts on no other one whoever types it."""
    return f"{command} --dataset {shlex.quote(dataset)}"
