"""A number with its uncertainty."""

from __future__ import annotations

from .frozen import Finite

__all__ = ["Estimate"]


class Estimate(Finite):
    """A number with its uncertainty."""

    point: float
    lower: float
    upper: float
    se: float

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of a positive multiple, such as a total from a mean."""
        return Estimate(**{name: number * factor for name, number in self.model_dump().items()})
