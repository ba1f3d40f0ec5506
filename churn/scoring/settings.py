"""Settings of batches, the online store and the endpoint."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from ..core.clock import UtcTime
from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..model.scorer import Explain
from ..ports.prediction_log import WhenFull

__all__ = ["Engine", "InferenceSettings", "LogSettings", "ServingSettings"]

Engine = Literal["auto", "local", "spark"]
"""Where a batch is scored: on this machine, on Spark, or wherever it fits."""


class InferenceSettings(Frozen):
    """How a batch is scored."""

    as_of: UtcTime | None = Field(default=None, description="Score what was known then; null means now. UTC.")
    reasons: Explain = Field(
        default="all", description="Which customers get reasons, which take most of the time: all, treated or none."
    )
    max_age_days: int | None = Field(
        default=None,
        ge=0,
        description="A customer whose newest row lies more days than this before the newest of all has left and is not "
        "scored; null means what the contract says.",
    )
    engine: Engine = Field(default="auto", description="auto, local or spark.")

    def max_age(self, contract: DatasetContract) -> dt.timedelta:
        """Return how much older than the newest row of all that of an active customer may be."""
        return contract.active_within if self.max_age_days is None else dt.timedelta(days=self.max_age_days)


class LogSettings(Frozen):
    """What is kept of each answer of the endpoint, and how."""

    columns: Literal["none", "inputs"] | tuple[str, ...] = Field(
        default="none",
        description="Which columns that the model read are logged beside the answer: none, inputs (all), or a list. "
        "They may be personal data.",
    )
    max_megabytes: float = Field(
        default=1024, ge=1, description="What may wait on the disk for its move into churn_predictions."
    )
    when_full: WhenFull = Field(
        default="drop_new",
        description="What becomes of answers that cannot be logged: drop_new gives and counts them, refuse says 503.",
    )
    sync_seconds: float = Field(
        default=1,
        ge=0,
        description="How often what is logged is flushed to the disk, for a loss of power; 0 is before each answer.",
    )
    move_seconds: float = Field(
        default=600, gt=0, description="How often what waits is moved into churn_predictions; sooner where much waits."
    )


class ServingSettings(Frozen):
    """How features are published, and customers scored one at a time."""

    parity_sample: int = Field(
        default=1000, ge=1, description="Customers whose online row is compared with the feature table, about."
    )
    stale_after_days: int | None = Field(
        default=None,
        ge=0,
        description="Features older than that are said to be stale; null means the label's window.",
    )
    unknown_columns: Literal["ignore", "refuse"] = Field(
        default="ignore", description="What becomes of a column of a request that the data set does not know."
    )
    refresh_seconds: float = Field(default=5, gt=0, description="How often the ledger is asked who is the champion.")
    deploy: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="What a deployment does after a promotion. auto: features are published, an endpoint that runs is "
        "changed, and scores of real customers are compared; always: an endpoint is started where none runs; never: "
        "nothing, where batches alone are scored.",
    )
    smoke_rows: int = Field(
        default=20, ge=1, description="Customers whose score a deployment compares with that of a batch."
    )
    update_seconds: float = Field(
        default=120, gt=0, description="How long a deployment waits until the endpoint answers with its version."
    )
    max_rows: int = Field(default=1000, ge=1, description="Rows of one request.")
    max_megabytes: float = Field(default=4, gt=0, description="Size of one request.")
    max_concurrent: int = Field(default=64, ge=1, description="Requests at a time; more are refused with 429.")
    max_connections: int = Field(
        default=512, ge=1, description="Connections to one process at a time; one more is refused with 503."
    )
    header_seconds: float = Field(
        default=5,
        gt=0,
        description="How long the headers of a request may take, and an idle connection is kept.",
    )
    body_seconds: float = Field(default=10, gt=0, description="How long a client may take to send a request.")
    log: LogSettings = LogSettings()

    def stale_after(self, contract: DatasetContract) -> dt.timedelta:
        """Return the age from which features are said to be stale."""
        days = contract.label.window_days if self.stale_after_days is None else self.stale_after_days
        return dt.timedelta(days=days)
