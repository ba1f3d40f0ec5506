"""How a batch is scored."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..scoring import Explain

__all__ = ["Engine", "InferenceSettings"]

Engine = Literal["auto", "local", "spark"]
"""Where a batch is scored: on this machine, on Spark, or wherever it fits."""


class InferenceSettings(BaseModel):
    """How a batch is scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: dt.datetime | None = Field(default=None, description="Score what was known then; null means now. UTC.")
    reasons: Explain = Field(
        default="all", description="Which customers get reasons, which take most of the time: all, treated or none."
    )
    max_age_days: int | None = Field(
        default=None,
        ge=0,
        description="A customer whose newest row lies more days than this before the newest of all has left and is not "
        "scored; null means the window of the label.",
    )
    engine: Engine = Field(default="auto", description="auto, local or spark.")

    @field_validator("as_of", mode="before")
    @classmethod
    def _in_utc(cls, value: object) -> object:
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime(value.year, value.month, value.day)
        if isinstance(value, dt.datetime):
            return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
        if value is not None:
            raise ValueError(f"{value!r} is no time such as 2024-06-30 or 2024-06-30T12:00")
        return None
