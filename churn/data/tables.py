"""What the stores hold, by name, and the reference to a table that crosses a step in place of its rows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..core.frozen import Frozen

__all__ = [
    "ARRIVED_AT",
    "EVENT_TIME",
    "FEATURE_TIME",
    "INGESTED_AT",
    "LABEL",
    "LABEL_TIME",
    "SPLIT",
    "TRUTH",
    "RetentionSettings",
    "Side",
]

EVENT_TIME = "transaction_ts"
"""When the facts of a row were true (UTC); every table of features and labels has it under this name."""
ARRIVED_AT = "arrived_at"
"""When a row could first be seen (UTC): the contract's arrival column, or the event time where the source has none."""
INGESTED_AT = "ingested_at"
"""When a row was written (UTC)."""
LABEL = "label"
"""The outcome: 1 churned, 0 stayed, missing while it is not known."""
LABEL_TIME = "label_ts"
"""When the outcome became known (UTC)."""
FEATURE_TIME = "feature_ts"
"""The event time of the feature row that the point-in-time join gave to a row (UTC)."""
SPLIT = "split"
"""The side of the split that a customer is on for ever."""
Side = Literal["train", "holdout"]
"""The two sides: customers whose outcomes a model learns from, and those it is judged on."""
TRUTH = "true_probability"
"""The churn probability a simulation drew the label from; never a feature."""


class RetentionSettings(Frozen):
    """How long what is no longer current is kept."""

    days: int = Field(
        default=90,
        ge=0,
        description="Days that a replaced version of a table is kept; those that registered models name stay for ever.",
    )
