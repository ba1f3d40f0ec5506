"""The training set: rows with a mature outcome, the features known at their time, and the side each customer is on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import DataError, NotEnoughData
from ..model.features import compute_features
from ..model.frame import Columns, FloatArray, columns_of
from ..model.money import MoneySettings
from ..ports.tables import FeatureStore, TableRef
from .contract import DatasetContract
from .tables import ARRIVED_AT, EVENT_TIME, FEATURE_TIME, INGESTED_AT, LABEL, LABEL_TIME, SPLIT, TRUTH, WEIGHT, Side

__all__ = [
    "TrainingData",
    "TrainingSet",
    "bronze_to_features",
    "customer_values",
    "drawn_rows",
    "effective_rows",
    "read_side",
    "read_training_set",
    "require_outcomes",
]


@dataclass(frozen=True)
class TrainingSet:
    """Rows that were joined for training.

    Attributes:
        rows: Customer, event time, `feature_ts`, label, `label_ts`, split, where campaigns touched them how many rows
            each stands for and, for a simulation, the true probability.
        columns: Every input column and feature, arrays of shape `(n_rows,)`.
        entity: Name of the customer column in `rows`.
    """

    rows: pd.DataFrame
    columns: Columns
    entity: str

    def side(self, side: Side) -> TrainingSet:
        """Return the rows of one side of the split."""
        return self.where((self.rows[SPLIT] == side).to_numpy())

    def where(self, mask: npt.NDArray[np.bool_]) -> TrainingSet:
        """Return the rows where `mask`, of shape `(n_rows,)`, is true."""
        columns = {name: values[mask] for name, values in self.columns.items()}
        return TrainingSet(self.rows.loc[mask].reset_index(drop=True), columns, self.entity)

    @property
    def data(self) -> TrainingData:
        """The rows as a trainer takes them."""
        return TrainingData(
            columns=self.columns,
            label=self.rows[LABEL].to_numpy(dtype=np.int8),
            entity=self.rows[self.entity].to_numpy(dtype=object),
            weight=self.weight,
        )

    @property
    def weight(self) -> FloatArray | None:
        """How many rows each stands for, above 0, shape `(n_rows,)`; None where each stands for itself alone."""
        if WEIGHT not in self.rows or (self.rows[WEIGHT] == 1).all():
            return None
        return self.rows[WEIGHT].to_numpy(dtype=np.float64)

    @property
    def truth(self) -> FloatArray | None:
        """The true churn probabilities, shape `(n_rows,)`, where a simulation gives all of them."""
        if TRUTH not in self.rows or self.rows[TRUTH].isna().any():
            return None
        return self.rows[TRUTH].to_numpy(dtype=np.float64)


def bronze_to_features(bronze: pa.Table, contract: DatasetContract) -> pa.Table:
    """Return the rows of the feature table: key, times, every input, and the features that are stored; no label."""
    stored = bronze.drop_columns([name for name in bronze.column_names if name not in _stored(contract, bronze)])
    computed = compute_features(
        contract.stored_features, columns_of(stored.to_pandas(), contract.kinds), contract.functions
    )
    for spec in contract.stored_features:
        kind = pa.float64() if spec.kind == "numeric" else pa.string()
        stored = stored.append_column(spec.name, pa.array(computed[spec.name], type=kind, from_pandas=True))
    return stored


def read_training_set(table: pa.Table, contract: DatasetContract) -> TrainingSet:
    """Return the joined table as a training set, computing the features that are made on demand.

    Raises:
        NotEnoughData: the table has no rows, because no outcome is mature.
    """
    if table.num_rows == 0:
        raise NotEnoughData(
            f"No outcome of {contract.name!r} may be learned from yet: a label counts once its window of "
            f"{contract.label.window_days} days has closed and it is known by the cut-off. Bring older rows, or set a "
            "later training_set.cutoff."
        )
    frame = table.to_pandas()
    stored = {**contract.kinds, **{spec.name: spec.kind for spec in contract.stored_features}}
    on_demand = [spec for spec in contract.features if spec.on_demand]
    columns = compute_features(on_demand, columns_of(frame, stored), contract.functions)
    row_columns = [contract.entity_key, EVENT_TIME, FEATURE_TIME, LABEL, LABEL_TIME, SPLIT, TRUTH, WEIGHT]
    return TrainingSet(frame[[name for name in row_columns if name in frame]], columns, contract.entity_key)


def read_side(
    store: FeatureStore, ref: TableRef, contract: DatasetContract, side: Side, *, limit: int, seed: int
) -> tuple[TrainingSet, int]:
    """Return one side of a stored training set as `drawn_rows` draws it, and how many rows it has.

    Raises:
        NotEnoughData: the table has no rows, because no outcome is mature.
    """
    rows, available = drawn_rows(store, ref, contract, pc.field(SPLIT) == side, limit=limit, seed=seed)
    return read_training_set(rows, contract), available


def drawn_rows(
    store: FeatureStore, ref: TableRef, contract: DatasetContract, where: pc.Expression, *, limit: int, seed: int
) -> tuple[pa.Table, int]:
    """Return rows of a stored training set, by customer and time, and how many the table has; untreated rows alone.

    Of more than about `limit` rows only those of customers drawn at random are read, so that the memory does not grow
    with the table. The same table, limit and seed give the same rows.

    Args:
        store: The tables of the data set.
        ref: The joined table.
        contract: The data set's contract.
        where: Which rows, by customer, event time and split.
        limit: Rows at most, but for those of one customer.
        seed: Draws the same customers every time.
    """
    entity, weight = contract.entity_key, []
    if WEIGHT in store.scan(ref).schema.names:
        where, weight = where & (pc.field(WEIGHT) > 0), [WEIGHT]
    keys = _filtered(store.scan(ref, [entity, EVENT_TIME, SPLIT, *weight]), where)[entity]
    drawn = _drawn(keys, limit, seed)
    condition = where if drawn is None else where & pc.field(entity).isin(drawn)
    # Trees sample rows by position, and a store streams them in any order.
    rows = _filtered(store.scan(ref), condition).sort_by([(entity, "ascending"), (EVENT_TIME, "ascending")])
    return rows, len(keys)


def _filtered(rows: pa.RecordBatchReader, where: pc.Expression) -> pa.Table:
    parts = [pa.Table.from_batches([batch]).filter(where) for batch in rows]
    return pa.concat_tables([rows.schema.empty_table(), *parts])


def _drawn(keys: pa.ChunkedArray, limit: int, seed: int) -> pa.Array | None:
    """Return the customers to keep, None for all."""
    if len(keys) <= limit:
        return None
    customers = pc.unique(keys)
    customers = customers.take(pc.sort_indices(customers))
    count = max(1, int(limit / len(keys) * len(customers)))
    return customers.take(pa.array(np.random.default_rng(seed).permutation(len(customers))[:count]))


def _stored(contract: DatasetContract, bronze: pa.Table) -> set[str]:
    names = {contract.entity_key, EVENT_TIME, ARRIVED_AT, INGESTED_AT, *contract.columns}
    return names & set(bronze.column_names)


@dataclass(frozen=True)
class TrainingData:
    """Rows to learn from, best sorted by customer and time: XGBoost samples rows by position.

    Attributes:
        columns: Raw contract columns and features, arrays of shape `(n_rows,)`.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`.
        weight: How many rows each stands for, above 0, shape `(n_rows,)`; None where each stands for itself alone.

    Raises:
        DataError: the shapes differ, a label is neither 0 nor 1, a weight is not above 0, or a customer is missing.
    """

    columns: Columns
    label: npt.NDArray[np.int8]
    entity: npt.NDArray[np.object_]
    weight: FloatArray | None = None

    def __post_init__(self) -> None:
        rows = self.label.shape
        arrays = {**self.columns, "entity": self.entity, **({} if self.weight is None else {"weight": self.weight})}
        wrong = [name for name, values in arrays.items() if values.shape != rows]
        if wrong:
            raise DataError(f"{wrong[0]!r} does not have one value for each of the {len(self.label)} labels.")
        if not np.isin(self.label, (0, 1)).all():
            raise DataError("A training label is neither 0 nor 1: leave out rows whose outcome is not known.")
        if self.weight is not None and not (np.isfinite(self.weight) & (self.weight > 0)).all():
            raise DataError("A training weight is not a number above 0: leave out rows of contacted customers.")
        if any(customer is None for customer in self.entity):
            raise DataError("A training row has no customer: every row needs its key, so that folds part customers.")


def effective_rows(weight: FloatArray) -> float:
    """Return how many rows of equal weight count as much: `(sum w)² / sum w²` (Kish 1965, Survey Sampling)."""
    return float(np.sum(weight) ** 2 / np.sum(weight**2))


def customer_values(training: TrainingSet, contract: DatasetContract, money: MoneySettings) -> FloatArray:
    """Return what keeping each row's customer is worth, in the currency, shape `(n_rows,)`."""
    revenue = None if contract.monthly_revenue is None else training.columns[contract.monthly_revenue]
    monthly_revenue = None if revenue is None else revenue.astype(np.float64)
    return money.customer_value.values(len(training.rows), monthly_revenue)


def require_outcomes(label: npt.ArrayLike, entity: npt.ArrayLike, least: int, *, rows: str, remedy: str) -> None:
    """Refuse rows in which too few customers churned, or stayed, for what is to be learned or measured on them.

    Args:
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        entity: The customer of each row, shape `(n_rows,)`.
        least: The number of customers that must have churned, and must have stayed.
        rows: Which rows they are, such as `holdout`.
        remedy: For what they are needed, and what to do; the end of the message.

    Raises:
        NotEnoughData: fewer than `least` customers churned, or stayed.
    """
    for outcome, verb in ((1, "churned"), (0, "stayed")):
        customers = pd.Series(np.asarray(entity)[np.asarray(label) == outcome]).nunique()
        if customers < least:
            raise NotEnoughData(f"{customers} customers of the {rows} rows {verb}, and {least} are needed {remedy}")
