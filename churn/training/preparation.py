"""Prepares training rows: checked, encoded, and assigned to folds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..core.errors import NotEnoughData
from ..data.contract import DatasetContract
from ..data.training_set import TrainingData
from ..model.encoding import Encoded
from ..model.frame import Columns, FloatArray, IntArray
from ..model.model import ChurnModel, InputColumn, ModelSchema
from .boosting import FoldMatrices
from .folds import customer_codes, customer_folds

__all__ = ["Prepared", "model_schema", "prepare"]

_LEAST_OF_A_CATEGORY, _MOST_CATEGORIES = 2, 5_000


@dataclass(frozen=True)
class Prepared:
    """Training rows as the candidates take them.

    Attributes:
        model: A model that knows schema and categories and predicts nothing yet.
        encoded: The columns as numbers and codes.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        customer: Each row's customer as a number, shape `(n_rows,)`.
        fold: The fold of each row, shape `(n_rows,)`.
        matrices: The rows as XGBoost takes them.
        weight: How many rows each stands for, shape `(n_rows,)`; None where each stands for itself alone.
    """

    model: ChurnModel
    encoded: Encoded
    label: npt.NDArray[np.int8]
    customer: IntArray
    fold: IntArray
    matrices: FoldMatrices
    weight: FloatArray | None = None


def model_schema(contract: DatasetContract) -> ModelSchema:
    """Return what a model of this contract reads: its columns and features."""
    inputs = tuple(
        InputColumn(
            name=name,
            kind=column.kind,
            integer=column.type == "integer",
            nullable=column.nullable,
            description=column.description,
            actionable=column.actionable,
        )
        for name, column in contract.columns.items()
    )
    return ModelSchema(inputs=inputs, features=contract.features)


def prepare(data: TrainingData, contract: DatasetContract, folds: int, seed: int) -> Prepared:
    """Return the rows with their folds, encoded; what cannot be trained on is refused here.

    Raises:
        ContractError: a column is not there, or holds text in place of numbers.
        NotEnoughData: too few rows, one class, too few customers of a class, or no column that varies.
    """
    customer = customer_codes(data.entity)
    fold = customer_folds(customer, data.label, folds, seed)
    source = contract.feature_module.read_text(encoding="utf-8") if contract.feature_module else None
    schema = model_schema(contract)
    model = ChurnModel(schema=schema, categories={}, feature_source=source, functions=contract.functions)
    columns = model.complete(data.columns)
    model = replace(model, categories=_categories(columns, schema))
    encoded = model.encode(columns)
    if all(len(np.unique(values)) < 2 for values in encoded.values()):
        raise NotEnoughData("Every column of the training rows has one value only: there is nothing to learn from.")
    categorical = [name in model.categories for name in encoded]
    weight = None if data.weight is None or (data.weight == 1).all() else data.weight
    matrices = FoldMatrices.build(model.encoder.matrix(encoded), categorical, data.label, fold, weight)
    return Prepared(model, encoded, data.label, customer, fold, matrices, weight)


def _categories(columns: Columns, schema: ModelSchema) -> dict[str, tuple[str, ...]]:
    """Return the values of each categorical feature that are frequent enough; the others count as missing."""
    categories = {}
    for name, kind in schema.kinds.items():
        if kind == "categorical":
            counts = Counter(value for value in columns[name].tolist() if value is not None)
            often = [(-count, value) for value, count in counts.items() if count >= _LEAST_OF_A_CATEGORY]
            categories[name] = tuple(sorted(value for _, value in sorted(often)[:_MOST_CATEGORIES]))
    return categories
