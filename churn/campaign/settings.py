"""Settings of a campaign: capacity, budget, exclusions, control group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from ..core.frozen import Finite
from ..model.frame import canonical_text

__all__ = ["CampaignSettings", "Limits"]


class Limits(Finite):
    """How many customers may be contacted, and what that may cost; null is no limit."""

    capacity: int | None = Field(default=None, ge=0, description="At most this many contacts.")
    budget: float | None = Field(
        default=None, ge=0, description="At most this much is expected to be spent on contacts and incentives."
    )


class CampaignSettings(Limits):
    """The limits of a campaign, its control group, whom it lets rest, and the list that it ends in."""

    segments: dict[str, dict[str, Limits]] = Field(
        default_factory=dict, description="Limits of their own: column, value, then `capacity` and `budget`."
    )
    control_share: float = Field(
        default=0.1, ge=0, le=0.5, description="Share of the customers who are never contacted, for comparison."
    )
    salt: str = Field(
        default="campaign", min_length=1, description="Another salt draws another control group; not that of the split."
    )
    rest_days: int | None = Field(
        default=None,
        ge=0,
        description="Nobody is contacted again within so many days; null: the outcome window; 0: no rest.",
    )
    format: Literal["csv", "parquet"] = Field(default="csv", description="Of the list for the CRM.")

    def rest(self, window_days: int) -> int:
        """Return for how many days nobody is contacted again, given those of the outcome window."""
        return window_days if self.rest_days is None else self.rest_days

    @field_validator("segments", mode="before")
    @classmethod
    def _values_as_text(cls, segments: object) -> object:
        """Spell the values as the tables do: YAML reads `1` and `true` as no text."""
        if not isinstance(segments, Mapping):
            return segments
        return {
            column: {canonical_text(value): limits for value, limits in values.items()}
            if isinstance(values, Mapping)
            else values
            for column, values in segments.items()
        }
