"""The port of what scores a batch of customers into the table of predictions: on this machine, or distributed."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from .tables import TableRef, TableSpec

__all__ = ["Batch", "BatchEngine", "BatchProgress", "BatchResult"]

BatchProgress = Callable[[int, int, str], None]
"""Called with the rows done, the rows in all, and a message."""


@dataclass(frozen=True)
class Batch:
    """One batch: one version of the model, one version of the features, one time.

    Attributes:
        batch_id: Digest of what is scored by what; the same batch has the same id.
        entity: The column of the customer's key.
        model_name: The registered model.
        model_version: Its version; the whole batch is of it, whatever is promoted meanwhile.
        model_alias: The alias that the version had.
        threshold_policy: The rule that turns a probability into a decision, in words.
        inputs: The columns that the model reads.
        features: The table that is scored.
        as_of: Only rows that were known by then are scored (UTC).
        scored_at: When the batch was begun (UTC).
        explain: Which customers get reasons.
        top_reasons: At most this many reasons a customer, each in a column of its own.
        max_age: Customers whose newest row is that much older than the newest of all are inactive and not scored; None
            scores everybody.
        predictions: The table that takes the scored rows.
        quarantine: The table that takes rows that cannot be scored.
    """

    batch_id: str
    entity: str
    model_name: str
    model_version: int
    model_alias: str
    threshold_policy: str
    inputs: tuple[str, ...]
    features: TableRef
    as_of: dt.datetime
    scored_at: dt.datetime
    explain: Literal["all", "treated", "none"]
    top_reasons: int
    predictions: TableSpec
    quarantine: TableSpec
    max_age: dt.timedelta | None = None

    @property
    def source(self) -> str:
        """Where its rows come from, as the quarantine names it."""
        return f"{self.features.name}, version {self.features.version}"


@dataclass(frozen=True)
class BatchResult:
    """What an engine did for a batch.

    Attributes:
        table: The version of the table of predictions that holds the batch.
        scored: Customers that were scored.
        treated: Those of them whom it pays to treat.
        no_value: Those of them whose customer value is 0.
        value_at_stake: What treating the treated is expected to earn, in the currency.
        mean_probability: Of the scored, 0 to 1; None without any.
        scores: The scored in equally wide bins of probability.
        rejected: Rows that were set aside, by the rule that they break.
        unseen: Rows whose value training did not know, by column.
        missing: Rows without a value where training always had one, by column.
        resumed: Rows that an earlier run had scored.
    """

    table: TableRef
    scored: int
    treated: int
    no_value: int
    value_at_stake: float
    mean_probability: float | None
    scores: tuple[int, ...]
    rejected: Mapping[str, int]
    unseen: Mapping[str, int]
    missing: Mapping[str, int]
    resumed: int = 0

    @property
    def quarantined(self) -> int:
        """Rows that were set aside."""
        return sum(self.rejected.values())


class BatchEngine(ABC):
    """Scores batches of one data set by the model that it was made with. One run at a time may use it."""

    name: ClassVar[Literal["local", "spark"]]

    @abstractmethod
    def score(self, batch: Batch, progress: BatchProgress) -> BatchResult:
        """Score the newest row of every customer, in bounded memory, and replace the batch as a whole.

        Rows that cannot be scored go to the quarantine. What a killed run of the same batch had finished is not done
        again; what runs of other batches left is removed.

        Raises:
            ContractError: the table lacks a column that the model needs.
            StoreError: a table or the disk refuses; nothing of the batch is visible.
        """

    @abstractmethod
    def forget(self, batch_id: str) -> None:
        """Remove what was kept for a run that would go on with the batch."""
