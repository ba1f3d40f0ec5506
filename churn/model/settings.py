"""Settings that are fixed when a model is packaged: economics and reasons."""

from __future__ import annotations

from pydantic import Field

from ..core.frozen import Frozen
from .money import MoneySettings

__all__ = ["ReasonSettings", "ScoringSettings"]


class ReasonSettings(Frozen):
    """Which reasons a prediction comes with."""

    top: int = Field(default=3, ge=0, description="At most this many reasons a customer.")
    actionable_only: bool = Field(default=False, description="Only reasons that the business can change.")


class ScoringSettings(Frozen):
    """What turns a probability into a decision, fixed when the model is packaged."""

    money: MoneySettings = MoneySettings()
    monthly_revenue: str | None = Field(default=None, description="The column with a customer's revenue in a month.")
    reasons: ReasonSettings = ReasonSettings()
