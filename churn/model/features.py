"""Feature functions: one definition for a table, one online row and Spark."""

from __future__ import annotations

import inspect
import math
import operator
import types
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ..core.errors import ContractError, nearest
from ..core.frozen import Frozen
from .frame import Column, FloatArray, Kind, canonical_text, n_rows, uncoded

__all__ = [
    "BUILT_IN",
    "FeatureFunction",
    "FeatureSpec",
    "check_features",
    "compute_features",
    "feature_of_one",
    "load_functions",
]

FeatureFunction = Callable[..., npt.NDArray[np.generic]]
"""Takes one array of shape `(n_rows,)` per input, then the spec's arguments by name; returns shape `(n_rows,)`.

A function must compute each row from that row alone: that is what makes a table and one online row agree.
"""
C = TypeVar("C", bound=Column)


class FeatureSpec(Frozen):
    """One feature: which function computes it, from which columns, and how to speak of it."""

    name: str
    compute: str = Field(
        description="A built-in function of churn/model/features.py, or one of the contract's feature_module."
    )
    inputs: tuple[str, ...] = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)
    kind: Kind = "numeric"
    description: str
    actionable: bool = Field(default=False, description="Whether the business can change it for a customer.")
    on_demand: bool = Field(default=False, description="Computed from the request or row at hand, never stored.")


def count_equal(*columns: npt.NDArray[np.object_] | pd.Categorical, value: str) -> FloatArray:
    """Count the columns that hold `value`; a missing value is not equal to anything."""
    text = canonical_text(value)
    count: FloatArray = np.sum([column == text for column in columns], axis=0, dtype=np.float64)
    return count


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide; missing where the denominator is zero."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)


def difference(left: FloatArray, right: FloatArray) -> FloatArray:
    """Subtract `right` from `left`."""
    return left - right


def above_average(current: FloatArray, total: FloatArray, periods: FloatArray) -> FloatArray:
    """How far the current value lies above its average over the periods so far; 0 before the first period ends."""
    return np.where(periods == 0, 0.0, current - ratio(total, periods))


BUILT_IN: Mapping[str, FeatureFunction] = {
    function.__name__: function for function in (count_equal, ratio, difference, above_average)
}


def _ratio_of_one(numerator: float, denominator: float) -> float:
    return math.nan if denominator == 0 else numerator / denominator


def _above_average_of_one(current: float, total: float, periods: float) -> float:
    return 0.0 if periods == 0 else current - _ratio_of_one(total, periods)


def _count_equal_of_one(*values: object, value: str) -> float:
    text = canonical_text(value)
    return float(sum(held == text for held in values))


_OF_ONE: Mapping[FeatureFunction, Callable[..., float]] = {
    count_equal: _count_equal_of_one,
    ratio: _ratio_of_one,
    difference: operator.sub,
    above_average: _above_average_of_one,
}
"""The built-in functions for one customer: numbers in place of arrays, in a hundredth of the time."""


def load_functions(module: Path | None) -> dict[str, FeatureFunction]:
    """Return the built-in functions and those of the user's own Python file, by name.

    Raises:
        ContractError: the file is not there or does not run as Python.
    """
    if module is None:
        return dict(BUILT_IN)
    try:
        source = module.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"The feature module {module} is not a Python file: correct `feature_module`.") from error
    # Not imported: Python would leave byte code beside the file, and read it back unchecked.
    loaded = types.ModuleType(f"feature_module_{module.stem}")
    try:
        exec(compile(source, str(module), "exec"), vars(loaded))
    except Exception as error:
        raise ContractError(f"The feature module {module} fails with {type(error).__name__}: {error}.") from error
    user_functions = {
        name: member
        for name, member in vars(loaded).items()
        if inspect.isfunction(member) and member.__module__ == loaded.__name__ and not name.startswith("_")
    }
    return {**BUILT_IN, **user_functions}


def check_features(
    specs: Sequence[FeatureSpec], kinds: Mapping[str, Kind], functions: Mapping[str, FeatureFunction]
) -> None:
    """Check that each feature has a function, known inputs and a name of its own.

    Raises:
        ContractError: naming the feature, the rule and the nearest valid name.
    """
    all_kinds = dict(kinds)
    for spec in specs:
        if spec.name in all_kinds:
            raise ContractError(f"The feature {spec.name!r} has the name of a column or another feature: rename it.")
        if spec.compute not in functions:
            hint = nearest(spec.compute, functions)
            raise ContractError(
                f"The feature {spec.name!r} is computed by {spec.compute!r}, which is neither built in "
                f"({', '.join(BUILT_IN)}) nor a function of the contract's feature_module{hint}"
            )
        for name in spec.inputs:
            if name not in all_kinds:
                raise ContractError(
                    f"The feature {spec.name!r} reads {name!r}, which no column is called{nearest(name, all_kinds)}"
                )
        all_kinds[spec.name] = spec.kind


def compute_features(
    specs: Sequence[FeatureSpec], columns: Mapping[str, C], functions: Mapping[str, FeatureFunction]
) -> dict[str, C | npt.NDArray[np.generic]]:
    """Return `columns` and every feature in the order of `specs`; a later feature may read an earlier one.

    Args:
        specs: The definitions, checked by `check_features`.
        columns: Arrays of shape `(n_rows,)`: float64 with NaN, or object with None; text may be coded.
        functions: What `load_functions` returned.

    Raises:
        ContractError: a function does not return one value a row.
    """
    computed: dict[str, C | npt.NDArray[np.generic]] = dict(columns)
    for spec in specs:
        function = functions[spec.compute]
        # What a user's own function asks of its text, only an array of it is sure to answer.
        arguments: list[Column] = [computed[name] for name in spec.inputs]
        inputs = arguments if function is count_equal else [uncoded(column) for column in arguments]
        values = np.asarray(function(*inputs, **spec.arguments))
        if values.shape != (n_rows(columns),):
            raise ContractError(
                f"The feature {spec.name!r} has shape {values.shape} for {n_rows(columns)} rows: "
                f"{spec.compute!r} must return one value for each row."
            )
        if spec.kind == "numeric":
            values = values.astype(np.float64)
            values = np.where(np.isfinite(values), values, np.nan)
        computed[spec.name] = values
    return computed


def feature_of_one(
    spec: FeatureSpec, functions: Mapping[str, FeatureFunction]
) -> Callable[[Mapping[str, Any]], float | str | None]:
    """Return what computes a feature of one customer, as `compute_features` does of many.

    It takes the values of the inputs by name: numbers as floats, NaN for missing; text, None for missing. A user's own
    function is given arrays of one value, and built-in ones the values themselves.

    Args:
        spec: The definition, checked by `check_features`.
        functions: What `load_functions` returned.
    """
    of_one, names, arguments = _OF_ONE.get(functions[spec.compute]), spec.inputs, spec.arguments
    if of_one is None or spec.kind != "numeric":
        return partial(_by_arrays, spec, functions)

    def computed(values: Mapping[str, Any]) -> float:
        number = of_one(*[values[name] for name in names], **arguments)
        return number if math.isfinite(number) else math.nan

    return computed


def _by_arrays(
    spec: FeatureSpec, functions: Mapping[str, FeatureFunction], values: Mapping[str, Any]
) -> float | str | None:
    columns: dict[str, npt.NDArray[np.generic]] = {
        name: np.array([values[name]], dtype=np.float64 if isinstance(values[name], float) else object)
        for name in spec.inputs
    }
    computed: float | str | None = compute_features([spec], columns, functions)[spec.name].tolist()[0]
    return computed
