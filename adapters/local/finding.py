"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        area: What the check belongs to: environment, machine, zenml, mlflow, state or tables.
        name: What was looked at.
        status: `ok`; `warn`: things work, but slower or not for long; `fail`: a pipeline would not run.
        found: What is there.
        remedy: What to do about it; empty where there is nothing to do.
    """

    area: str
    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""
