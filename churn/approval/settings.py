"""Settings of approvals and rollouts: who may approve, for how long, in which shares."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ..core.frozen import Finite, Frozen

__all__ = ["ApprovalSettings", "RolloutSettings"]


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


class RolloutSettings(Finite):
    """How a version is rolled out beside the champion, and when that ends."""

    before_promotion: bool = Field(
        default=False,
        description="Whether an approved version waits for `rollout start` while there is a champion, and is not "
        "promoted by the deployment pipeline.",
    )
    shares: tuple[float, ...] = Field(
        default=(0.1, 0.25, 0.5), min_length=1, description="Shares of the customers, step by step, between 0 and 1."
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="That no interval, of outcome or profit, misses the truth at any look.",
    )
    min_customers: int = Field(
        default=500, ge=100, description="Known outcomes in each arm before the test is looked at."
    )
    planned_customers: int = Field(
        default=10_000, ge=100, description="Known outcomes at which the intervals are about as narrow as they can be."
    )
    step_rows: int = Field(default=500, ge=1, description="Scored rows of the challenger before the next step.")
    max_error_share: float = Field(
        default=0.01, ge=0, le=1, description="Rows of the challenger that may fail; more abort the rollout."
    )
    max_latency_ratio: float = Field(
        default=3.0, ge=1, description="The challenger's median seconds a row by those of the champion."
    )
    max_score_shift: float = Field(
        default=0.25, gt=0, description="Population stability index between the scores of both versions."
    )
    guard_seconds: float = Field(
        default=60, ge=0, description="How often a running endpoint looks at the guardrails; 0: only `check` does."
    )

    @field_validator("shares")
    @classmethod
    def _ascend(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share < 1 for share in value) or list(value) != sorted(set(value)):
            raise ValueError("write shares between 0 and 1, each larger than the one before, such as [0.1, 0.25, 0.5]")
        return value

    @property
    def alpha(self) -> float:
        """The probability that one of the two intervals misses, at any look."""
        return (1 - self.confidence) / 2
