"""A number with its uncertainty."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Estimate"]


class Estimate(BaseModel):
    """A number with its uncertainty."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    point: float
    lower: float
    upper: float
    se: float

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of a positive multiple, such as a total from a mean."""
        return Estimate(**{name: number * factor for name, number in self.model_dump().items()})
