"""Reason codes: the largest contributions to a prediction, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.errors import ModelError
from .frame import CodedColumns, Column, FloatArray, uncoded

__all__ = ["SMALLEST", "Described", "global_importance", "ranked_reasons", "reasons_of_one", "values_in_words"]

SMALLEST = 0.005
"""A contribution in log-odds counts as a reason above this; up to here it would print as 0.00."""


class Described(Protocol):
    """A column or feature that one can speak of: an input column of the model's schema, or a `FeatureSpec`."""

    @property
    def name(self) -> str:
        """Its name in the columns."""

    @property
    def description(self) -> str:
        """A few words, such as 'months as a customer'."""

    @property
    def actionable(self) -> bool:
        """Whether the business can change it for a customer."""


def ranked_reasons(
    contributions: FloatArray,
    columns: CodedColumns,
    features: Sequence[Described],
    *,
    top: int = 3,
    actionable_only: bool = False,
) -> list[npt.NDArray[np.object_]]:
    """Return what raises each customer's risk in words, such as `length of the contract: Month-to-month (+0.92)`.

    The number is what the value adds to the customer's log-odds of churn against the average customer: +0.69 doubles
    the odds. Reasons come strongest first; of two as strong, the one whose feature is first in the model.

    Args:
        contributions: Log-odds, shape `(n_rows, n_features)` or `(n_rows, n_features + 1)` with the bias last.
        columns: The values behind the contributions, for every feature an array of shape `(n_rows,)`.
        features: The features in the order of the contributions.
        top: At most this many reasons a customer.
        actionable_only: Only features that the business can change.

    Returns:
        For each rank an array of shape `(n_rows,)`, None where fewer contributions are above `SMALLEST`; `top` arrays,
        or as many as the model has features.

    Raises:
        ModelError: the contributions do not have one column a feature.
    """
    named = _without_bias(contributions, features)
    rows = np.arange(len(named))
    strength = named.astype(np.float64)
    if actionable_only:
        strength[:, [not feature.actionable for feature in features]] = -np.inf
    ranked: list[npt.NDArray[np.object_]] = []
    for _ in range(min(top, len(features))):
        # argmax takes the first of equals, which is what makes the order the same in every run.
        strongest = strength.argmax(axis=1)
        counts = strength[rows, strongest] > SMALLEST
        ranked.append(_words(np.where(counts, strongest, -1), named, columns, features))
        strength[rows, strongest] = -np.inf
    return ranked


def reasons_of_one(
    contributions: Sequence[float], values: Sequence[object], features: Sequence[Described], *, top: int
) -> tuple[str, ...]:
    """Return what `ranked_reasons` does for one customer.

    Args:
        contributions: Log-odds, one a feature.
        values: The value behind each; NaN or None where it is missing.
        features: The features in the same order: those that may be named.
        top: At most this many.
    """
    risks = sorted([(-amount, index) for index, amount in enumerate(contributions) if amount > SMALLEST])[:top]
    return tuple(
        # The rounding of `np.round`, which is not that of Python's own.
        f"{features[index].description}: {_text_of_one(values[index])} ({round(-risk * 100) / 100:+.2f})"
        for risk, index in risks
    )


def global_importance(contributions: FloatArray, names: Sequence[str]) -> dict[str, float]:
    """Return each feature's mean absolute contribution in log-odds, the greatest first, ties by name.

    Args:
        contributions: Log-odds, shape `(n_rows, n_features)` or `(n_rows, n_features + 1)` with the bias last.
        names: The features in the order of the contributions.

    Raises:
        ModelError: the contributions do not have one column a feature, or there are no rows.
    """
    named = _without_bias(contributions, names)
    if not len(named):
        raise ModelError("Importance is a mean over customers and there are none: pass at least one row.")
    means = np.abs(named).mean(axis=0)
    return dict(sorted(zip(names, means.tolist(), strict=True), key=lambda item: (-item[1], item[0])))


def values_in_words(columns: CodedColumns, features: Sequence[Described], row: int) -> list[str]:
    """Return one customer's features in words with their values, such as `length of the contract: Two year`."""
    return [f"{feature.description}: {_texts(columns[feature.name][[row]])[0]}" for feature in features]


def _without_bias(contributions: FloatArray, features: Sequence[object]) -> FloatArray:
    shape = contributions.shape
    if len(shape) != 2 or shape[1] - len(features) not in {0, 1}:
        raise ModelError(
            f"The contributions have shape {shape} for {len(features)} features: "
            "they need a row for each customer and a column for each feature, then one for the bias."
        )
    return contributions[:, : len(features)]


def _words(
    chosen: npt.NDArray[np.intp], contributions: FloatArray, columns: CodedColumns, features: Sequence[Described]
) -> npt.NDArray[np.object_]:
    """Return the chosen feature of each row in words, shape `(n_rows,)`; None where -1 is chosen."""
    words = np.full(len(chosen), None, dtype=object)
    for index, feature in enumerate(features):
        rows = np.flatnonzero(chosen == index)
        if len(rows):
            values = _texts(columns[feature.name][rows])
            amounts = _amounts(contributions[rows, index])
            words[rows] = f"{feature.description}: " + values + " (" + amounts + ")"
    return words


def _texts(values: Column) -> npt.NDArray[np.object_]:
    codes, uniques = pd.factorize(uncoded(values), use_na_sentinel=True)
    return np.array([*(_text(value) for value in uniques), "not known"], dtype=object)[codes]


def _text_of_one(value: object) -> str:
    return "not known" if value is None or value != value else _text(value)  # noqa: PLR0124 - NaN


def _text(value: object) -> str:
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value) + 0.0  # a negative zero is a zero
    if 0 < abs(number) < 0.01:
        return f"{number:.2g}"
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def _amounts(contributions: FloatArray) -> npt.NDArray[np.object_]:
    codes, uniques = pd.factorize(np.round(contributions, 2))
    return np.array([f"{amount:+.2f}" for amount in uniques], dtype=object)[codes]
