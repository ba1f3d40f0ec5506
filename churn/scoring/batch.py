"""A batch of predictions: its id, the columns of its rows, its counts and its summary."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ..core.canonical import StoredFormat
from ..core.errors import StoreError
from ..core.frozen import Frozen
from ..data.validation import ValidationReport
from ..evaluation.shift import BatchShift
from ..model.scorer import TREAT, Explain
from ..ports.batch import Batch, BatchResult
from ..ports.tables import TableRef
from .rows import scored_schema

__all__ = [
    "BATCH_ID",
    "BINS",
    "BatchSummary",
    "Tally",
    "batch_id_of",
    "histogram",
    "predictions_schema",
    "stamped",
]

BATCH_ID = "batch_id"
"""The column that identifies a batch."""
BINS = 20
"""Equally wide bins of probability, from 0 to 1."""

_TIME = pa.timestamp("us", tz="UTC")
_TEXT = pa.dictionary(pa.int32(), pa.string())
_CONSTANTS = {
    "model_name": _TEXT,
    "model_version": pa.int64(),
    "model_alias": _TEXT,
    "threshold_policy": _TEXT,
    "features_version": pa.int64(),
    "scored_at": _TIME,
    "source": _TEXT,
    "row_number": pa.int64(),
}
_SOURCE = "batch"


def batch_id_of(
    model_digest: str, features: TableRef, as_of: dt.datetime, explain: Explain, max_age: dt.timedelta | None = None
) -> str:
    """Return 16 hexadecimal digits for what is scored: the same model on the same rows is the same batch.

    Args:
        model_digest: The digest of what the version does, economics included.
        features: The table; its content counts, not its version number.
        as_of: The newest time at which something of the table became known, of those that count.
        explain: Which customers get reasons.
        max_age: How much older than the newest row of all that of an active customer may be.
    """
    moment = as_of.astimezone(dt.UTC).isoformat()
    whole = "|".join(
        [model_digest, features.dataset, features.name, features.content_id, moment, explain, str(max_age)]
    )
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def predictions_schema(entity: str, top_reasons: int) -> pa.Schema:
    """Return the columns of the table; text that repeats is coded, as `stamped` makes it."""
    return pa.schema([(BATCH_ID, _TEXT), *scored_schema(entity, top_reasons), *_CONSTANTS.items()])


def stamped(rows: pa.RecordBatch, batch: Batch) -> pa.RecordBatch:
    """Return scored rows as the table has them: with their batch, and with what made it."""
    schema = predictions_schema(batch.entity, batch.top_reasons)
    shared: dict[str, object] = {
        BATCH_ID: batch.batch_id,
        "model_name": batch.model_name,
        "model_version": batch.model_version,
        "model_alias": batch.model_alias,
        "threshold_policy": batch.threshold_policy,
        "features_version": batch.features.version,
        "scored_at": batch.scored_at,
        "source": _SOURCE,
        "row_number": 0,
    }
    arrays = [
        _repeated(shared[field.name], field.type, rows.num_rows) if field.name in shared else rows.column(field.name)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _repeated(value: object, kind: pa.DataType, rows: int) -> pa.Array:
    if pa.types.is_dictionary(kind):
        codes = pa.repeat(pa.scalar(0, kind.index_type), rows)
        return pa.DictionaryArray.from_arrays(codes, pa.array([value], kind.value_type))
    return pa.repeat(pa.scalar(value, kind), rows)


def histogram(probability: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the number of probabilities in each of `BINS` bins; 1 belongs to the last one."""
    counts: npt.NDArray[np.int64] = np.histogram(probability, bins=BINS, range=(0.0, 1.0))[0]
    return counts


class Tally:
    """Counts of scored rows and of rows that were set aside, taken as they pass."""

    def __init__(self) -> None:
        self.scored = self.treated = self.no_value = 0
        self.value_at_stake = self.probability = 0.0
        self.scores = np.zeros(BINS, dtype=np.int64)
        self.unseen: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def add_rows(self, rows: pa.RecordBatch) -> None:
        """Count scored rows, columns as `scored_schema` names them."""
        probability = rows.column("probability").to_numpy()
        treated = pc.equal(rows.column("decision").dictionary_decode(), TREAT).to_numpy(zero_copy_only=False)
        self.scored += rows.num_rows
        self.treated += int(treated.sum())
        self.no_value += int(np.count_nonzero(rows.column("customer_value").to_numpy() <= 0))
        self.value_at_stake += float(rows.column("expected_value").to_numpy()[treated].sum())
        self.probability += float(probability.sum())
        self.scores += histogram(probability)

    def add_unscored(self, rejected: pa.Table, unseen: Mapping[str, int], missing: Mapping[str, int]) -> None:
        """Count rows that were set aside, by rule, and values that training did not know or always had, by column."""
        self.rejected.update(rejected["rule"].to_pylist())
        self.unseen.update(unseen)
        self.missing.update(missing)

    def result(self, table: TableRef, resumed: int) -> BatchResult:
        """Return the counts, with the table that holds the batch and the rows that an earlier run had scored."""
        return BatchResult(
            table=table,
            scored=self.scored,
            treated=self.treated,
            no_value=self.no_value,
            value_at_stake=self.value_at_stake,
            mean_probability=self.probability / self.scored if self.scored else None,
            scores=tuple(self.scores.tolist()),
            rejected=dict(self.rejected),
            unseen=dict(self.unseen),
            missing=dict(self.missing),
            resumed=resumed,
        )


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
    inactive: int = Field(default=0, description="Customers who are not among them: their newest row is too old.")
    lately_inactive: int | None = Field(
        default=None, description="Those of them whose newest row is at most the label's window too old."
    )
    scored: int
    quarantined: int
    treated: int = Field(description="Customers whom it pays to treat.")
    no_value: int = Field(
        default=0, description="Customers whose value is 0, such as those with a negative monthly revenue."
    )
    value_at_stake: float = Field(description="What treating them is expected to earn, in the currency.")
    currency: str
    mean_probability: float | None = Field(description="None where nobody was scored.")
    scores: tuple[int, ...] = Field(description="Customers in equally wide bins of probability.")
    baseline: tuple[int, ...] | None = Field(
        default=None, description="The same for the holdout of the version, from `churn_baseline`; None without one."
    )
    shift: BatchShift | None = Field(
        default=None, description="The customers beside those that the version was judged on; None without a baseline."
    )
    max_age_days: int | None = Field(
        default=None, description="How much older than the newest row of all that of an active customer may be."
    )
    rejected: dict[str, int] = Field(description="Rows that were set aside, by the rule that they break.")
    intake: ValidationReport | None = Field(
        default=None, description="What became of the rows of a table that was handed in, before these customers."
    )
    unseen: dict[str, int] = Field(description="Rows whose value training did not know, by column.")
    missing: dict[str, int] = Field(
        default_factory=dict, description="Rows without a value where training always had one, by column."
    )
    resumed: int = Field(default=0, description="Rows that a run which did not end had scored already.")
    seconds: float = Field(description="What scoring took; 0 where the batch was there.")
    unchanged: bool = Field(default=False, description="Whether the batch was there already, and nothing was scored.")

    def stored(self) -> str:
        """Return the canonical text as which the summary is stored, in the newest format."""
        return SUMMARY_FORMAT.write(self)

    @classmethod
    def read(cls, text: str) -> BatchSummary:
        """Return a summary from what `stored` returned, in this version of the project or an earlier one.

        Raises:
            StoreError: it cannot be read, or a newer version wrote it.
        """
        return SUMMARY_FORMAT.read(text)

    @property
    def set_aside(self) -> int:
        """Rows in quarantine: those that could not be scored, and those that broke the contract before."""
        return self.quarantined + (self.intake.quarantined if self.intake else 0)

    @property
    def set_aside_share(self) -> float:
        """Rows set aside, as a share of the delivered rows or of the customers, whichever is larger; 0 to 1."""
        delivered = self.intake.quarantine_share if self.intake and self.intake.rows else 0.0
        return max(delivered, self.quarantined / self.rows if self.rows else 0.0)

    @property
    def rows_per_second(self) -> float:
        """Rows scored in a second by this run; 0 where it scored none."""
        done = self.rows - self.resumed
        return done / self.seconds if self.seconds and done > 0 else 0.0


def _inactive(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the values of format 1 as those of format 2, which calls customers without a new row inactive."""
    gone = raw.pop("gone", 0)
    return {**raw, "inactive": gone}


SUMMARY_FORMAT = StoredFormat("summary of a batch", BatchSummary, newest=2, error=StoreError, upgrades={1: _inactive})
