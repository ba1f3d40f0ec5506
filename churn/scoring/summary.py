"""What a batch came to: counted as its rows pass, and kept for the dashboard, the tracker and the next run."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ..core.frozen import Frozen
from ..data.validation import ValidationReport
from ..model.scorer import TREAT, Explain
from ..ports.tables import TableRef

__all__ = ["BINS", "BatchSummary", "Tally", "histogram"]

BINS = 20
"""Equally wide bins of probability, from 0 to 1."""


def histogram(probability: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the number of probabilities in each of `BINS` bins; 1 belongs to the last one."""
    counts: npt.NDArray[np.int64] = np.histogram(probability, bins=BINS, range=(0.0, 1.0))[0]
    return counts


class Tally:
    """Counts of scored rows and of rows that were set aside."""

    def __init__(self) -> None:
        self.scored = self.treated = 0
        self.value_at_stake = self.probability = 0.0
        self.scores = np.zeros(BINS, dtype=np.int64)
        self.unseen: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def add_rows(self, rows: pa.RecordBatch) -> None:
        """Count scored rows."""
        probability = rows.column("probability").to_numpy()
        treated = pc.equal(rows.column("decision").dictionary_decode(), TREAT).to_numpy(zero_copy_only=False)
        self.scored += rows.num_rows
        self.treated += int(treated.sum())
        self.value_at_stake += float(rows.column("expected_value").to_numpy()[treated].sum())
        self.probability += float(probability.sum())
        self.scores += histogram(probability)

    def add_unscored(self, rejected: pa.Table, unseen: Mapping[str, int]) -> None:
        """Count rows that were set aside, by rule, and values that training did not know, by column."""
        self.rejected.update(rejected["rule"].to_pylist())
        self.unseen.update(unseen)

    @property
    def quarantined(self) -> int:
        """Rows that were set aside."""
        return self.rejected.total()


class BatchSummary(Frozen):
    """What a batch came to: `rows = scored + quarantined`."""

    batch_id: str
    dataset: str
    entity: str = Field(description="The column of the customer's key.")
    model_name: str
    model_version: int
    model_alias: str
    model_digest: str
    threshold_policy: str
    predictions: TableRef = Field(description="The table that holds the batch, beside others.")
    features: TableRef = Field(description="The table that was scored.")
    as_of: dt.datetime = Field(description="The newest time at which something of what was scored became known.")
    asked_as_of: dt.datetime = Field(description="The time that was asked for.")
    scored_at: dt.datetime
    engine: Literal["local", "spark"]
    reasons: Explain
    rows: int = Field(description="Customers.")
    gone: int = Field(default=0, description="Customers who are not among them: their newest row is too old.")
    scored: int
    quarantined: int
    treated: int = Field(description="Customers whom it pays to treat.")
    value_at_stake: float = Field(description="What treating them is expected to earn, in the currency.")
    currency: str
    mean_probability: float | None = Field(description="None where nobody was scored.")
    scores: tuple[int, ...] = Field(description="Customers in equally wide bins of probability.")
    baseline: tuple[int, ...] | None = Field(
        default=None, description="The same for the customers whom no model learned from; None where there are none."
    )
    rejected: dict[str, int] = Field(description="Rows that were set aside, by the rule that they break.")
    intake: ValidationReport | None = Field(
        default=None, description="What became of the rows of a table that was handed in, before these customers."
    )
    unseen: dict[str, int] = Field(description="Rows whose value training did not know, by column.")
    resumed: int = Field(default=0, description="Rows that a run which did not end had scored already.")
    seconds: float = Field(description="What scoring took; 0 where the batch was there.")
    unchanged: bool = Field(default=False, description="Whether the batch was there already, and nothing was scored.")

    @property
    def set_aside(self) -> int:
        """Rows in quarantine: those that could not be scored, and those that broke the contract before."""
        return self.quarantined + (self.intake.quarantined if self.intake else 0)

    @property
    def rows_per_second(self) -> float:
        """Rows scored in a second by this run; 0 where it scored none."""
        done = self.rows - self.resumed
        return done / self.seconds if self.seconds and done > 0 else 0.0
