"""Scoring record batches: Arrow in, Arrow out, each batch by itself; the same on a laptop and in a Spark task."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import StoreError
from ..data.tables import EVENT_TIME
from ..data.validation import QUARANTINE_SCHEMA
from ..model.frame import CodedColumns, Column, Kind
from ..model.scorer import Explain, Predictions
from .columns import coded_columns
from .predictions import DECISIONS, REASONS, scored_schema

__all__ = ["BatchScorer", "ScoredRows", "score_batch", "score_batches"]

_RULES = (
    "has a customer",
    "has a time",
    "has a value in some column that the model reads",
    "gets a probability from the model",
)
_FIT, _KEY, _TIME, _VALUES, _PROBABILITY = range(-1, 4)  # positions of the rule that a row breaks


class BatchScorer(Protocol):
    """What scores: a `churn.model.scorer.Scorer`, or one that was packaged earlier, with its own code."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The columns that it reads, and how each is computed on."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that customers may not lack."""

    def predict(self, customers: CodedColumns, *, explain: Explain = "all") -> Predictions:
        """Score a table in bulk; see `churn.model.scorer.Scorer.predict`."""


class ScoredRows(NamedTuple):
    """What became of a record batch's rows.

    Attributes:
        rows: The scored ones, columns as `scored_schema` names them.
        rejected: The others, as the quarantine holds them, each with the one rule that it breaks.
        unseen: Rows whose value training did not know, by column; they are scored as missing there.
    """

    rows: pa.RecordBatch
    rejected: pa.Table
    unseen: dict[str, int]


def score_batches(
    scorer: BatchScorer,
    batches: Iterable[pa.RecordBatch],
    *,
    entity: str,
    reasons: Explain = "all",
    source: str = "",
    threads: int = 1,
) -> Iterator[ScoredRows]:
    """Score record batches one after the other, in bounded memory and in their order.

    Args:
        scorer: The model.
        batches: Customer, event time and the columns that the model reads; others are ignored.
        entity: The column of the customer's key.
        reasons: Which customers get reasons.
        source: Where the rows come from, for the quarantine.
        threads: How many batches are scored at a time; the scorer itself should then use one thread.

    Raises:
        ContractError: a column that may not be missing is not there.
    """

    def score(batch: pa.RecordBatch) -> ScoredRows:
        return score_batch(scorer, batch, entity=entity, reasons=reasons, source=source)

    if threads == 1:
        yield from map(score, batches)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="score") as pool:
        waiting: deque[Future[ScoredRows]] = deque()
        for batch in batches:
            waiting.append(pool.submit(score, batch))
            # One more than there are threads, so that none waits while the next batch is read.
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def score_batch(
    scorer: BatchScorer, batch: pa.RecordBatch, *, entity: str, reasons: Explain = "all", source: str = ""
) -> ScoredRows:
    """Score one record batch; arguments and errors as for `score_batches`."""
    columns = coded_columns(batch, scorer.kinds)
    broken = _broken(batch, columns, entity)
    fit = np.flatnonzero(broken == _FIT)
    given = batch
    if len(fit) < batch.num_rows:
        given, columns = batch.take(pa.array(fit)), {name: values[fit] for name, values in columns.items()}
    predicted = scorer.predict(columns, explain=reasons)
    failed = ~np.isfinite(predicted.probability)
    broken[fit[failed]] = _PROBABILITY
    rows = _rows(given, predicted, entity)
    if failed.any():
        rows = rows.filter(pa.array(~failed))
    rejected = np.flatnonzero(broken != _FIT)
    if rows.num_rows + len(rejected) != batch.num_rows:
        raise StoreError(
            f"Of {batch.num_rows} rows {rows.num_rows} were scored and {len(rejected)} set aside: that does not add up."
        )
    return ScoredRows(rows, _quarantined(batch, rejected, broken[rejected], source), predicted.unseen)


def _broken(batch: pa.RecordBatch, columns: Mapping[str, Column], entity: str) -> npt.NDArray[np.int8]:
    """Return the position of the rule that each row breaks."""
    broken = np.full(batch.num_rows, _FIT, dtype=np.int8)
    known = np.zeros(batch.num_rows, dtype=bool)
    for values in columns.values():
        if not known.all():
            known |= values.codes >= 0 if isinstance(values, pd.Categorical) else ~np.isnan(values)
    broken[~known] = _VALUES
    for name, rule in ((EVENT_TIME, _TIME), (entity, _KEY)):
        if batch.column(name).null_count:
            broken[batch.column(name).is_null().to_numpy(zero_copy_only=False)] = rule
    return broken


def _rows(batch: pa.RecordBatch, predicted: Predictions, entity: str) -> pa.RecordBatch:
    schema, rows = scored_schema(entity), batch.num_rows
    reasons = [pa.array(values, pa.string()) for values in predicted.reasons[: len(REASONS)]]
    reasons += [pa.nulls(rows, pa.string())] * (len(REASONS) - len(reasons))
    arrays = [
        pc.cast(batch.column(entity), pa.string()),
        pc.cast(batch.column(EVENT_TIME), schema.field(EVENT_TIME).type),
        pa.array(predicted.probability),
        pa.DictionaryArray.from_arrays(pa.array(predicted.treat.astype(np.int8)), DECISIONS),
        pa.array(predicted.expected_value),
        pa.array(predicted.customer_value),
        *reasons,
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _quarantined(
    batch: pa.RecordBatch, rows: npt.NDArray[np.intp], rules: npt.NDArray[np.int8], source: str
) -> pa.Table:
    if not len(rows):
        return QUARANTINE_SCHEMA.empty_table()
    frame = batch.take(pa.array(rows)).to_pandas()
    lines = frame.to_json(orient="records", lines=True, date_format="iso", force_ascii=False).rstrip("\n").split("\n")
    entries = [
        {
            "row_digest": hashlib.sha256(line.encode()).hexdigest(),
            "rule": f"the row {_RULES[rule]}",
            "column": "the row",
            "value": "",
            "row": line,
            "source": source,
        }
        for line, rule in zip(lines, rules, strict=True)
    ]
    return pa.Table.from_pylist(entries, QUARANTINE_SCHEMA)
