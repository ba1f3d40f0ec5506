"""Who may let a model version go live, and for how long their word holds."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ..core.frozen import Frozen

__all__ = ["ApprovalSettings"]


class ApprovalSettings(Frozen):
    """How a version that passed the gate is approved."""

    policy: Literal["auto", "manual"] = Field(
        default="auto", description="Who approves what passed the gate: the gate itself, or a named person."
    )
    separation_of_duties: bool = Field(
        default=False, description="The one who registered a version may not approve it; needs `policy: manual`."
    )
    expires_after_days: float | None = Field(
        default=30.0,
        gt=0,
        le=36_500,
        description="Days after which an approval, or the waiting for one, lapses; null: never.",
    )

    @model_validator(mode="after")
    def _duties_need_people(self) -> Self:
        if self.separation_of_duties and self.policy == "auto":
            raise ValueError("separation_of_duties needs policy: manual, since under auto nobody is asked")
        return self
