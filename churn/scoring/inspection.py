"""Inspection of a served model: its inputs, and the contribution of each value to a prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.frozen import Frozen
from ..data.contract import DatasetContract
from ..model.frame import uncoded
from ..model.money import MoneySettings, optimal_threshold
from ..ports.online import OnlineValue
from .rows import LoadedModel

__all__ = [
    "Contribution",
    "ModelDescription",
    "ModelFeature",
    "ModelInput",
    "RowContributions",
    "contributions_of",
    "describe",
]


class ModelFeature(Frozen):
    """A feature that the model computes from its inputs.

    Attributes:
        name: Its name in contributions.
        description: A few words, such as 'price above the average so far'.
    """

    name: str
    description: str


class ModelInput(ModelFeature):
    """A column that the model reads, and which values it may have.

    Attributes:
        type: How its values are read.
        nullable: Whether a row may lack it.
        actionable: Whether the business can change it for a customer.
        values: The values of a categorical column that training knew, or that the contract allows.
        min: The smallest number that the contract allows; None where it says nothing.
        max: The largest.
    """

    type: Literal["categorical", "integer", "number"]
    nullable: bool
    actionable: bool
    values: tuple[str, ...] | None = None
    min: float | None = None
    max: float | None = None


class ModelDescription(Frozen):
    """What a model reads.

    Attributes:
        key: The column of the customer's key.
        currency: Of every amount of money.
        window_days: Churn is predicted within so many days.
        inputs: The columns that it reads, in its order.
        features: What it computes from them.
    """

    key: str
    currency: str
    window_days: int
    inputs: tuple[ModelInput, ...]
    features: tuple[ModelFeature, ...]


class Contribution(NamedTuple):
    """What a value added to the log-odds of churn.

    Attributes:
        name: The input or feature.
        value: The customer's value; None where it is missing.
        added: Log-odds; 0.69 doubles the odds.
    """

    name: str
    value: OnlineValue
    added: float


class RowContributions(NamedTuple):
    """How a prediction came about.

    Attributes:
        base: The log-odds that the model starts from; with what all parts added, those of the probability.
        parts: One for each input and feature, in the model's order.
        threshold: The probability from which an offer to this customer pays; 1 or more: never.
    """

    base: float
    parts: tuple[Contribution, ...]
    threshold: float


def describe(model: LoadedModel, contract: DatasetContract) -> ModelDescription:
    """Return what a model reads, as far as it and the contract know."""
    described = {column.name: column for column in model.described}
    inputs = []
    for name, kind in model.kinds.items():
        column = contract.columns.get(name)
        categories = model.categories.get(name, ()) if column is None or column.allowed is None else column.allowed
        inputs.append(
            ModelInput(
                name=name,
                description=described[name].description,
                type=kind if kind == "categorical" else "number" if column is None else column.type,
                nullable=name not in model.needed,
                actionable=described[name].actionable,
                values=tuple(categories) if kind == "categorical" else None,
                min=column and column.min,
                max=column and column.max,
            )
        )
    features = [column for name, column in described.items() if name not in model.kinds]
    return ModelDescription(
        key=contract.entity_key,
        currency=MoneySettings.model_validate(model.scoring["money"]).currency,
        window_days=contract.label.window_days,
        inputs=tuple(inputs),
        features=tuple(ModelFeature(name=column.name, description=column.description) for column in features),
    )


def contributions_of(
    model: LoadedModel, rows: Sequence[Mapping[str, OnlineValue]], customer_values: Sequence[float]
) -> list[RowContributions]:
    """Return how the predictions of customers came about.

    Args:
        model: The model.
        rows: As for `churn.scoring.online.score_rows`.
        customer_values: What keeping each is worth.
    """
    columns: dict[str, npt.NDArray[np.generic]] = {
        name: np.array([row.get(name) for row in rows], dtype=np.float64 if kind == "numeric" else object)
        for name, kind in model.kinds.items()
    }
    values = {name: _plain(uncoded(column)) for name, column in model.complete(columns).items()}
    added = model.contributions(columns).tolist()
    thresholds = optimal_threshold(customer_values, MoneySettings.model_validate(model.scoring["money"])).tolist()
    return [
        RowContributions(
            base=parts[-1],
            parts=tuple(
                Contribution(name, column[row], part)
                for (name, column), part in zip(values.items(), parts[:-1], strict=True)
            ),
            threshold=thresholds[row],
        )
        for row, parts in enumerate(added)
    ]


def _plain(values: npt.NDArray[np.generic]) -> list[OnlineValue]:
    """Return values as JSON has them; NaN is None."""
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values.tolist()]
