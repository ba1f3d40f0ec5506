"""The baseline of a version: its holdout with what it predicts there, which later batches are compared with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ..core.errors import NotFound
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME, LABEL, LABEL_TIME, SPLIT
from ..ports.tables import FeatureStore, TableRef
from .batch import histogram
from .rows import RowScorer, coded_columns

__all__ = ["MODEL_DIGEST_COLUMN", "baseline_scores", "write_baseline"]

MODEL_DIGEST_COLUMN = "model_digest"
"""The column that tells the baselines of different models apart."""
_PREDICTED = ("probability", "expected_value", "customer_value")


def write_baseline(
    store: FeatureStore,
    contract: DatasetContract,
    scorer: RowScorer,
    training: TableRef,
    *,
    model_name: str,
    model_version: int,
    model_digest: str,
) -> TableRef:
    """Score the holdout rows of a training table and store them in `churn_baseline`; the same model replaces its own.

    Args:
        store: The tables of the data set.
        contract: Its contract.
        scorer: The model.
        training: The version of `churn_training` that the model was trained on.
        model_name: The registered model.
        model_version: Its version.
        model_digest: The digest of what it does, which is also that of the version.

    Returns:
        The table. A row is a customer at a time: model_digest, model_name, model_version, customer, transaction_ts, the
        inputs of the model, label, label_ts, probability, treated, expected_value, customer_value.
    """
    present = store.scan(training).schema
    taken = [name for name in scorer.kinds if name in present.names]
    outcome = [name for name in (LABEL, LABEL_TIME) if name in present.names]
    columns = [contract.entity_key, EVENT_TIME, *taken, *outcome]
    tags = {MODEL_DIGEST_COLUMN: model_digest, "model_name": model_name, "model_version": model_version}
    types = {"model_version": pa.int64()}
    schema = pa.schema(
        [
            *((name, types.get(name, pa.string())) for name in tags),
            *(present.field(name) for name in columns),
            *((name, pa.float64()) for name in _PREDICTED),
            ("treated", pa.bool_()),
        ]
    )

    def scored() -> Iterator[pa.RecordBatch]:
        for batch in store.scan(training, columns, where={SPLIT: "holdout"}):
            predicted = scorer.predict(coded_columns(batch, scorer.kinds), explain="none")
            arrays = [
                *(pa.repeat(pa.scalar(value, schema.field(name).type), batch.num_rows) for name, value in tags.items()),
                *batch.columns,
                *(pa.array(getattr(predicted, name)) for name in _PREDICTED),
                pa.array(predicted.treat),
            ]
            rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
            yield rows.filter(pa.array(np.isfinite(predicted.probability)))

    reader = pa.RecordBatchReader.from_batches(schema, scored())
    return store.replace_batch(contract.table("baseline"), MODEL_DIGEST_COLUMN, model_digest, reader)


def baseline_scores(store: FeatureStore, contract: DatasetContract, model_digest: str) -> tuple[int, ...] | None:
    """Return the holdout rows of a version in equally wide bins of probability; None without a baseline."""
    try:
        table = store.latest(contract.table("baseline").name)
        rows = store.scan(table, ["probability"], where={MODEL_DIGEST_COLUMN: model_digest})
    except NotFound:
        return None
    counts = histogram([])
    for batch in rows:
        counts = counts + histogram(batch.column("probability"))
    return tuple(counts.tolist()) if counts.sum() else None
