"""Shape functions of the additive part, and churn rates by pairs of inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..core.frozen import Finite
from ..model.frame import Columns, FloatArray
from ..model.model import ChurnModel
from .slices import slice_masks

__all__ = ["RiskGrid", "RiskGridCell", "Shape", "risk_grid", "shapes_of"]

_MOST = 8
"""Features whose curves are kept, the strongest first."""
_POINTS = 41
_RUG = 60


class Shape(Finite):
    """What one feature adds to the log-odds of churn in the additive part of the model."""

    feature: str
    values: tuple[float, ...] | tuple[str, ...] = Field(description="Numbers that rise, or categories.")
    added: tuple[float, ...] = Field(description="Log-odds at each value.")
    density: tuple[float, ...] = Field(
        description="Of numbers: evenly spaced quantiles of the rows; of categories: the share of rows with each."
    )

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return not isinstance(self.values[0], str)


class RiskGridCell(Finite):
    """The rows with one value of each of two inputs."""

    rows: int
    observed: float = Field(description="The share that churned, 0 to 1.")
    predicted: float = Field(description="The mean churn probability, 0 to 1.")


class RiskGrid(Finite):
    """Churn by two inputs; numbers are cut into quarters. A cell without rows is None."""

    down: str
    across: str
    down_values: tuple[str, ...]
    across_values: tuple[str, ...]
    cells: tuple[tuple[RiskGridCell | None, ...], ...]


def shapes_of(model: ChurnModel, columns: Columns) -> tuple[Shape, ...]:
    """Return the curves of the strongest features of the additive part, none where the model has no such part.

    Args:
        model: The model.
        columns: A sample of rows, arrays of shape `(n_rows,)`; curves of numbers end at its 1st and 99th percentile.
    """
    if model.additive is None:
        return ()
    encoded = model.encode(columns)
    strength = {name: float(np.mean(np.abs(added))) for name, added in model.additive.terms(encoded)}
    ranked = sorted(strength, key=lambda name: (-strength[name], name))[:_MOST]
    shapes = (_shape(model, name, np.asarray(encoded[name])) for name in ranked if strength[name] > 0)
    return tuple(shape for shape in shapes if shape is not None)


def _shape(model: ChurnModel, name: str, values: npt.NDArray[np.generic]) -> Shape | None:
    assert model.additive is not None
    if name in model.additive.tables:
        table, codes = model.additive.tables[name], values.astype(np.int64)
        counts = np.bincount(np.where(codes < 0, len(table) - 1, codes), minlength=len(table))
        shown = [index for index in range(len(table)) if index < len(table) - 1 or counts[index]]
        words = (*model.categories[name], "not known")
        return Shape(
            feature=name,
            values=tuple(words[index] for index in shown),
            added=tuple(table[index] for index in shown),
            density=tuple((counts[shown] / len(values)).tolist()),
        )
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if len(np.unique(finite)) < 2:
        return None
    low, high = np.quantile(finite, [0.01, 0.99])
    low, high = (low, high) if low < high else (finite.min(), finite.max())
    points = np.linspace(low, high, _POINTS)
    return Shape(
        feature=name,
        values=tuple(points.tolist()),
        added=tuple(model.additive.curves[name](points).tolist()),
        density=tuple(np.quantile(finite, np.linspace(0.005, 0.995, _RUG)).tolist()),
    )


def risk_grid(
    columns: Mapping[str, npt.NDArray[np.generic]], label: FloatArray, probability: FloatArray
) -> RiskGrid | None:
    """Return churn by two columns; None where either of them has one value alone.

    Args:
        columns: Two columns by name, the one whose values are written below each other first, shape `(n_rows,)` each.
        label: 1 churned, 0 stayed, shape `(n_rows,)`.
        probability: Churn probabilities, 0 to 1, shape `(n_rows,)`.
    """
    masks = [[(value, mask) for _, value, mask in slice_masks({name: values})] for name, values in columns.items()]
    down, across = masks
    if min(len(down), len(across)) < 2:
        return None

    def cell(rows: npt.NDArray[np.bool_]) -> RiskGridCell | None:
        if not np.any(rows):
            return None
        return RiskGridCell(
            rows=int(np.sum(rows)), observed=float(np.mean(label[rows])), predicted=float(np.mean(probability[rows]))
        )

    names = tuple(columns)
    return RiskGrid(
        down=names[0],
        across=names[1],
        down_values=tuple(value for value, _ in down),
        across_values=tuple(value for value, _ in across),
        cells=tuple(tuple(cell(mask & other) for _, other in across) for _, mask in down),
    )
