"""Scores record batches: Arrow in, Arrow out; the same on a laptop and in a Spark task."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import StoreError
from ..data.tables import EVENT_TIME
from ..data.validation import QUARANTINE_SCHEMA, quarantine_table
from ..model.frame import CodedColumns, Column, FloatArray, Kind, as_numbers, canonical_text
from ..model.one_row import RowScore
from ..model.reasons import Described
from ..model.scorer import LEAVE, TREAT, Explain, Predictions

__all__ = [
    "LoadedModel",
    "RowScorer",
    "ScoredRows",
    "coded_columns",
    "reason_columns",
    "score_batch",
    "score_batches",
    "scored_schema",
]

_RULES = (
    "has a customer",
    "has a time",
    "has a value in some column that the model reads",
    "gets a probability from the model",
)
_FIT, _KEY, _TIME, _VALUES, _PROBABILITY = range(-1, 4)  # positions of the rule that a row breaks
_DECISIONS = pa.array([LEAVE, TREAT], pa.string())


class RowScorer(Protocol):
    """What scores rows: a `churn.model.scorer.Scorer`, or one that was packaged earlier, with its own code."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The columns that it reads, and how each is computed on."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that customers may not lack."""

    def predict(self, customers: CodedColumns, *, explain: Explain = "all") -> Predictions:
        """Score customers; see `churn.model.scorer.Scorer.predict`."""

    def score_row(self, row: Mapping[str, object], *, explain: bool) -> RowScore | None:
        """Score one customer as `predict` does, or return None where only `predict` can; see `Scorer.score_row`."""


class LoadedModel(RowScorer, Protocol):
    """A registered version, checked and loaded with the code that it was packaged with.

    A method raises the errors of `churn.core.errors`, whatever code the package has.
    """

    @property
    def digest(self) -> str:
        """The digest of what it does."""

    @property
    def scoring(self) -> Mapping[str, Any]:
        """The economics and the reasons in its package, as JSON values of `churn.model.scorer.ScoringSettings`."""

    @property
    def described(self) -> Sequence[Described]:
        """The inputs and features in the model's order, with how to speak of them."""

    @property
    def categories(self) -> Mapping[str, Sequence[str]]:
        """The values that training knew of each categorical input and feature."""

    def use_threads(self, threads: int) -> None:
        """Let one call of `predict` take this many threads; the numbers stay the same."""

    def complete(self, columns: CodedColumns) -> CodedColumns:
        """Return every input and feature in the model's order."""

    def contributions(self, columns: CodedColumns) -> FloatArray:
        """Return what each input and feature adds to the log-odds, and last the bias; shape `(n_rows, n + 1)`."""


def reason_columns(top: int) -> list[str]:
    """Return the names of the columns that hold the reasons, strongest first."""
    return [f"reason_{rank}" for rank in range(1, top + 1)]


def scored_schema(entity: str, top_reasons: int) -> pa.Schema:
    """Return the columns that differ from row to row: customer, time, what the model computed, reasons."""
    return pa.schema(
        [
            (entity, pa.string()),
            (EVENT_TIME, pa.timestamp("us", tz="UTC")),
            ("probability", pa.float64()),
            ("decision", pa.dictionary(pa.int8(), pa.string())),
            ("expected_value", pa.float64()),
            ("customer_value", pa.float64()),
            *((name, pa.string()) for name in reason_columns(top_reasons)),
        ]
    )


class ScoredRows(NamedTuple):
    """What became of a record batch's rows.

    Attributes:
        rows: The scored ones, columns as `scored_schema` names them.
        rejected: The others, as the quarantine holds them, each with the one rule that it breaks.
        unseen: Rows whose value training did not know, by column; they are scored as missing there.
        missing: Rows without a value where training always had one, by column.
    """

    rows: pa.RecordBatch
    rejected: pa.Table
    unseen: dict[str, int]
    missing: dict[str, int]


def score_batches(
    model: RowScorer,
    batches: Iterable[pa.RecordBatch],
    *,
    entity: str,
    explain: Explain = "all",
    source: str = "",
    threads: int = 1,
) -> Iterator[ScoredRows]:
    """Score record batches one after the other, in bounded memory and in their order.

    Args:
        model: The model.
        batches: Customer, event time and the columns that the model reads; others are ignored.
        entity: The column of the customer's key.
        explain: Which customers get reasons.
        source: Where the rows come from, for the quarantine.
        threads: How many batches are scored at a time; the model itself should then use one thread.

    Raises:
        ContractError: a column that may not be missing is not there.
    """

    def score(batch: pa.RecordBatch) -> ScoredRows:
        return score_batch(model, batch, entity=entity, explain=explain, source=source)

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
    model: RowScorer, batch: pa.RecordBatch, *, entity: str, explain: Explain = "all", source: str = ""
) -> ScoredRows:
    """Score one record batch; arguments and errors as for `score_batches`."""
    columns = coded_columns(batch, model.kinds)
    broken = _broken(batch, columns, entity)
    fit = np.flatnonzero(broken == _FIT)
    valid = batch
    if len(fit) < batch.num_rows:
        valid, columns = batch.take(pa.array(fit)), {name: values[fit] for name, values in columns.items()}
    predicted = model.predict(columns, explain=explain)
    failed = ~np.isfinite(predicted.probability)
    broken[fit[failed]] = _PROBABILITY
    rows = _rows(valid, predicted, entity)
    if failed.any():
        rows = rows.filter(pa.array(~failed))
    rejected = np.flatnonzero(broken != _FIT)
    if rows.num_rows + len(rejected) != batch.num_rows:
        raise StoreError(
            f"Of {batch.num_rows} rows {rows.num_rows} were scored and {len(rejected)} set aside: that does not add up."
        )
    missing = {name: int(_is_missing(columns[name]).sum()) for name in model.needed}
    return ScoredRows(
        rows,
        _quarantined(batch, rejected, broken[rejected], source),
        predicted.unseen,
        {name: count for name, count in missing.items() if count},
    )


def _is_missing(values: Column) -> npt.NDArray[np.bool_]:
    return values.codes < 0 if isinstance(values, pd.Categorical) else np.isnan(values)


def _broken(batch: pa.RecordBatch, columns: Mapping[str, Column], entity: str) -> npt.NDArray[np.int8]:
    """Return the position of the rule that each row breaks."""
    broken = np.full(batch.num_rows, _FIT, dtype=np.int8)
    has_value = np.zeros(batch.num_rows, dtype=bool)
    for values in columns.values():
        if not has_value.all():
            has_value |= ~_is_missing(values)
    broken[~has_value] = _VALUES
    for name, rule in ((EVENT_TIME, _TIME), (entity, _KEY)):
        if batch.column(name).null_count:
            broken[batch.column(name).is_null().to_numpy(zero_copy_only=False)] = rule
    return broken


def _rows(batch: pa.RecordBatch, predicted: Predictions, entity: str) -> pa.RecordBatch:
    schema = scored_schema(entity, len(predicted.reasons))
    arrays = [
        pc.cast(batch.column(entity), pa.string()),
        pc.cast(batch.column(EVENT_TIME), schema.field(EVENT_TIME).type),
        pa.array(predicted.probability),
        pa.DictionaryArray.from_arrays(pa.array(predicted.treat.astype(np.int8)), _DECISIONS),
        pa.array(predicted.expected_value),
        pa.array(predicted.customer_value),
        *(pa.array(values, pa.string()) for values in predicted.reasons),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _quarantined(
    batch: pa.RecordBatch, rows: npt.NDArray[np.intp], rules: npt.NDArray[np.int8], source: str
) -> pa.Table:
    if not len(rows):
        return QUARANTINE_SCHEMA.empty_table()
    frame = batch.take(pa.array(rows)).to_pandas()
    lines = frame.to_json(orient="records", lines=True, date_format="iso", force_ascii=False).rstrip("\n").split("\n")
    entries = ((line, "the row", _RULES[rule], "") for line, rule in zip(lines, rules, strict=True))
    return quarantine_table(entries, source)


def coded_columns(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> dict[str, Column]:
    """Return those of the named columns that the batch has, as `churn.model.frame.columns_of` would spell them.

    Args:
        batch: Text may be plain or dictionary-encoded; whatever type a column has, it is read as its kind.
        kinds: How each column is computed on.
    """
    present = set(batch.schema.names)
    return {
        name: _numbers(batch.column(name)) if kind == "numeric" else _texts(batch.column(name))
        for name, kind in kinds.items()
        if name in present
    }


def _numbers(values: pa.Array) -> FloatArray:
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return as_numbers(values.to_pandas())
    numbers: FloatArray = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _texts(values: pa.Array) -> pd.Categorical:
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    codes_of: dict[str, int] = {}
    # Two spellings of one value become one; the last entry is the code of a value that is missing.
    codes: npt.NDArray[np.int32] = np.array(
        [*(_code(value, codes_of) for value in coded.dictionary.to_pylist()), -1], np.int32
    )
    positions = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = pd.Index(list(codes_of), dtype=object)
    return pd.Categorical.from_codes(codes[positions], dtype=pd.CategoricalDtype(categories))


def _code(value: str | float | None, codes_of: dict[str, int]) -> int:
    text = "" if pd.isna(value) else canonical_text(value)
    return codes_of.setdefault(text, len(codes_of)) if text else -1
