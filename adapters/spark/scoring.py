"""Scoring on Spark: each worker runs the packaged model on the record batches that it is handed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from churn.data.validation import QUARANTINE_SCHEMA
from churn.model.scorer import Explain
from churn.scoring.rows import ScoredRows, score_batch, scored_schema

from .frames import plain, spark_schema
from .shipping import ShippedPackage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["MISSING", "REJECTED", "SCORED", "UNSEEN", "rows_in", "scored", "unscored_in"]

SCORED, REJECTED, UNSEEN, MISSING = "scored", "rejected", "unseen", "missing"
_COUNTS = pa.map_(pa.string(), pa.int64())


def scored(
    customers: DataFrame,
    package: ShippedPackage,
    *,
    entity: str,
    top_reasons: int,
    explain: Explain = "all",
    source: str = "",
) -> DataFrame:
    """Score customers; `rows_in` and `unscored_in` read what became of them.

    Args:
        customers: Customer, event time and the columns that the model reads; others are ignored.
        package: The model.
        entity: The column of the customer's key.
        top_reasons: How many reasons a customer gets at most, by the settings in the package.
        explain: Which customers get reasons.
        source: Where the rows come from, for the quarantine.

    Returns:
        Rows that hold one of four: `scored`, a struct of the columns that `scored_schema` names; `rejected`, a struct
        of those of the quarantine; `unseen` and `missing`, the rows of a record batch whose value training did not
        know, and those without one where training always had one, by column.
    """

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer = package.scorer()
        scorer.use_threads(1)  # Spark runs a task for each core
        for batch in batches:
            scored = score_batch(scorer, batch, entity=entity, explain=explain, source=source)
            yield from _packed(scored, _schema(entity, top_reasons))

    return customers.mapInArrow(score, spark_schema(_schema(entity, top_reasons)))


def rows_in(batch: pa.RecordBatch, entity: str, top_reasons: int) -> pa.RecordBatch:
    """Return the rows that a record batch of the frame holds in `scored`, as `scored_schema` has them."""
    schema = scored_schema(entity, top_reasons)
    rows = batch.column(SCORED).drop_null().cast(pa.struct(plain(schema)))
    columns = [_coded(values, field.type) for values, field in zip(rows.flatten(), schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def unscored_in(batch: pa.RecordBatch) -> tuple[pa.Table, dict[str, int], dict[str, int]]:
    """Return what a record batch of the frame holds beside `scored`: quarantine rows, `unseen` and `missing` counts."""
    rejected = batch.column(REJECTED).drop_null().cast(pa.struct(QUARANTINE_SCHEMA))
    unseen, missing = _counts(batch.column(UNSEEN)), _counts(batch.column(MISSING))
    return pa.Table.from_arrays(rejected.flatten(), schema=QUARANTINE_SCHEMA), unseen, missing


def _counts(maps: pa.Array) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for entries in maps.drop_null().to_pylist():
        counts.update(dict(entries))
    return dict(counts)


def _packed(scored: ScoredRows, schema: pa.Schema) -> list[pa.RecordBatch]:
    rows = pa.Table.from_batches([scored.rows]).cast(plain(scored.rows.schema))
    parts = (
        _as_struct(rows, schema.field(SCORED)),
        _as_struct(scored.rejected, schema.field(REJECTED)),
        pa.table({UNSEEN: pa.array([list(scored.unseen.items())] if scored.unseen else [], _COUNTS)}),
        pa.table({MISSING: pa.array([list(scored.missing.items())] if scored.missing else [], _COUNTS)}),
    )
    whole = pa.concat_tables(parts, promote_options="default").select(schema.names)
    batches: list[pa.RecordBatch] = whole.cast(schema).to_batches()
    return batches


def _as_struct(rows: pa.Table, field: pa.Field) -> pa.Table:
    return pa.table({field.name: rows.combine_chunks().to_struct_array().cast(field.type)})


def _schema(entity: str, top_reasons: int) -> pa.Schema:
    return pa.schema(
        [
            (SCORED, pa.struct(plain(scored_schema(entity, top_reasons)))),
            (REJECTED, pa.struct(QUARANTINE_SCHEMA)),
            (UNSEEN, _COUNTS),
            (MISSING, _COUNTS),
        ]
    )


def _coded(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return values
    coded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.cast(kind.index_type), coded.dictionary)
