"""The baseline of a version: its holdout with the predictions at registration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import NotFound
from ..data.contract import DatasetContract
from ..data.tables import EVENT_TIME, LABEL, LABEL_TIME, SPLIT, WEIGHT
from ..evaluation.shift import BatchShift, shift_of, shift_of_counts
from ..model.frame import Column, Kind, uncoded
from ..model.reasons import Described
from ..ports.tables import FeatureStore, TableRef
from .batch import BINS, histogram
from .rows import RowScorer, coded_columns

__all__ = ["MODEL_DIGEST_COLUMN", "baseline_scores", "batch_shift", "write_baseline"]

MODEL_DIGEST_COLUMN = "model_digest"
"""The column that identifies a model's baseline."""
_SAMPLED = 100_000
"""Rows of each side that are compared, about."""
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
        inputs of the model, label, label_ts, untreated_weight where campaigns touched the table, probability, treated,
        expected_value, customer_value.
    """
    present = store.scan(training).schema
    taken = [name for name in scorer.kinds if name in present.names]
    outcome = [name for name in (LABEL, LABEL_TIME, WEIGHT) if name in present.names]
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


def batch_shift(
    store: FeatureStore,
    contract: DatasetContract,
    customers: pa.RecordBatchReader,
    scores: Sequence[int],
    mean: float | None,
    *,
    model_digest: str,
    kinds: Mapping[str, Kind],
    described: Sequence[Described],
) -> BatchShift | None:
    """Hold the customers of a batch against the baseline of their version; None without a baseline.

    Of more than about 100,000 rows every so-manieth is taken.

    Args:
        store: The tables of the data set.
        contract: Its contract.
        customers: The rows that are scored, with the columns of `kinds`.
        scores: Their number in equally wide bins of probability.
        mean: The mean of their probabilities; None where nobody was scored.
        model_digest: The version.
        kinds: The columns that the model reads.
        described: How one speaks of them.
    """
    try:
        table = store.latest(contract.table("baseline").name)
        present = store.scan(table).schema.names
        columns = [name for name in kinds if name in present]
        rows = store.scan(table, columns, where={MODEL_DIGEST_COLUMN: model_digest})
        before = _sampled(rows, kinds, max(1, table.rows // _SAMPLED))
    except NotFound:
        return None
    judged = baseline_scores(store, contract, model_digest)
    if judged is None or mean is None:
        return None
    predicted = store.scan(table, ["probability"], where={MODEL_DIGEST_COLUMN: model_digest})
    total = sum(float(pc.sum(batch.column(0)).as_py() or 0.0) for batch in predicted)
    step = max(1, sum(scores) // _SAMPLED)
    fifths = [f"{20 * place}% to {20 * place + 20}%" for place in range(5)]
    before_after = (np.reshape(counts, (5, BINS // 5)).sum(axis=1) for counts in (judged, scores))
    score = shift_of_counts("probability", "predicted churn probability", fifths, *before_after)
    words = {feature.name: feature.description for feature in described}
    return shift_of(before, _sampled(customers, kinds, step), score, (total / sum(judged), mean), words)


def _sampled(rows: pa.RecordBatchReader, kinds: Mapping[str, Kind], step: int) -> dict[str, Column]:
    """Return every `step`-th row, text as objects."""
    parts: dict[str, list[Column]] = {name: [] for name in kinds if name in rows.schema.names}
    for batch in rows:
        chosen = batch.take(pa.array(np.arange(0, batch.num_rows, step)))
        for name, values in coded_columns(chosen, {name: kinds[name] for name in parts}).items():
            parts[name].append(uncoded(values))
    return {name: np.concatenate(values) for name, values in parts.items() if values}
