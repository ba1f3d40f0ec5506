"""The table of predictions: which batch a row belongs to, and what it says beside what the model computed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..data.tables import EVENT_TIME
from ..model.scorer import LEAVE, TREAT, Explain
from ..ports.tables import TableRef

__all__ = ["BATCH_ID", "REASONS", "Batch", "batch_id_of", "policy_of", "predictions_schema", "scored_schema", "stamped"]

BATCH_ID = "batch_id"
"""The column that tells batches apart."""
REASONS = ("reason_1", "reason_2", "reason_3")
"""The columns of the reasons, strongest first."""
DECISIONS = pa.array([LEAVE, TREAT], pa.string())

_TIME = pa.timestamp("us", tz="UTC")
_SOURCE = "batch"


@dataclass(frozen=True)
class Batch:
    """What one batch is of: one version of the model, one version of the features, one time.

    Attributes:
        batch_id: See `batch_id_of`.
        entity: The column of the customer's key.
        model_name: The registered model.
        model_version: Its version; the whole batch is of it, whatever is promoted meanwhile.
        model_alias: The alias that the version had.
        threshold_policy: What `policy_of` says of the economics in the package.
        features: The table that is scored.
        as_of: What was not known then is not looked at (UTC).
        scored_at: When the batch was begun (UTC).
        reasons: Which customers get reasons.
        max_age: Whose newest row lies more than that before the newest of all has left; None scores everybody.
    """

    batch_id: str
    entity: str
    model_name: str
    model_version: int
    model_alias: str
    threshold_policy: str
    features: TableRef
    as_of: dt.datetime
    scored_at: dt.datetime
    reasons: Explain
    max_age: dt.timedelta | None = None

    @property
    def constants(self) -> dict[str, object]:
        """The columns that are the same in every row."""
        return {
            "model_name": self.model_name,
            "model_version": self.model_version,
            "model_alias": self.model_alias,
            "threshold_policy": self.threshold_policy,
            "features_version": self.features.version,
            "scored_at": self.scored_at,
            "source": _SOURCE,
        }


def batch_id_of(
    model_digest: str, features: TableRef, as_of: dt.datetime, reasons: Explain, max_age: dt.timedelta | None = None
) -> str:
    """Return 16 hexadecimal digits for what is scored: the same model on the same rows is the same batch.

    Args:
        model_digest: The digest of what the version does, economics included.
        features: The table; its content counts, not its version number.
        as_of: The newest time at which something of the table became known, of those that count.
        reasons: Which customers get reasons.
        max_age: Whose newest row is older than that, before the newest of all, has left.
    """
    moment = as_of.astimezone(dt.UTC).isoformat()
    whole = "|".join(
        [model_digest, features.dataset, features.name, features.content_id, moment, reasons, str(max_age)]
    )
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def policy_of(scoring: Mapping[str, Any]) -> str:
    """Return the rule by which a package decides, with a digest of its economics, the JSON values of its settings."""
    economics = {name: scoring.get(name) for name in ("money", "monthly_revenue")}
    digest = hashlib.sha256(json.dumps(economics, sort_keys=True).encode()).hexdigest()[:8]
    return f"expected value > 0 {economics['money']['currency']}, economics {digest}"  # type: ignore[index]


def scored_schema(entity: str) -> pa.Schema:
    """Return the columns that differ from row to row: customer, time, what the model computed, reasons."""
    return pa.schema(
        [
            (entity, pa.string()),
            (EVENT_TIME, _TIME),
            ("probability", pa.float64()),
            ("decision", pa.dictionary(pa.int8(), pa.string())),
            ("expected_value", pa.float64()),
            ("customer_value", pa.float64()),
            *((name, pa.string()) for name in REASONS),
        ]
    )


def predictions_schema(entity: str) -> pa.Schema:
    """Return the columns of the table; text that repeats is coded, as `stamped` makes it."""
    text = pa.dictionary(pa.int32(), pa.string())
    types = {"model_version": pa.int64(), "features_version": pa.int64(), "scored_at": _TIME}
    names = [
        "model_name",
        "model_version",
        "model_alias",
        "threshold_policy",
        "features_version",
        "scored_at",
        "source",
    ]
    constants = [(name, types.get(name, text)) for name in names]
    return pa.schema([(BATCH_ID, text), *scored_schema(entity), *constants])


def stamped(rows: pa.RecordBatch, batch: Batch) -> pa.RecordBatch:
    """Return scored rows as the table has them: with their batch, and with what made it."""
    schema = predictions_schema(batch.entity)
    given = {BATCH_ID: batch.batch_id, **batch.constants}
    arrays = [
        _repeated(given[field.name], field.type, rows.num_rows) if field.name in given else rows.column(field.name)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _repeated(value: object, kind: pa.DataType, rows: int) -> pa.Array:
    if pa.types.is_dictionary(kind):
        codes = pa.repeat(pa.scalar(0, kind.index_type), rows)
        return pa.DictionaryArray.from_arrays(codes, pa.array([value], kind.value_type))
    return pa.repeat(pa.scalar(value, kind), rows)
