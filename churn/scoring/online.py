"""Scoring the customers of one request: JSON values in, and out comes what a batch would say of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..model.frame import Kind, canonical_text
from ..model.scorer import LEAVE, TREAT
from ..ports.online import OnlineValue
from .rows import RowScorer

__all__ = ["OnlineScore", "score_rows", "spelled"]


class OnlineScore(NamedTuple):
    """What the model says of one customer; see `churn.model.scorer.Predictions`."""

    probability: float
    decision: str
    expected_value: float
    customer_value: float
    reasons: tuple[str, ...]


def spelled(name: str, value: object, kind: Kind) -> OnlineValue:
    """Return a JSON value as the model reads it; what is no finite number where one belongs is missing.

    Raises:
        DataError: it is a list or an object.
    """
    if value is None:
        return None
    if not isinstance(value, str | int | float):
        raise DataError(f"{name!r} is a list or an object: give a number, a text, true, false or null.")
    if kind == "categorical":
        return canonical_text(value) or None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def score_rows(
    model: RowScorer, rows: Sequence[Mapping[str, OnlineValue]], *, explain: bool
) -> tuple[list[OnlineScore], dict[str, int]]:
    """Score customers, each by their row alone.

    Args:
        model: The model.
        rows: For each customer the columns that the model reads, as `spelled` returns them; others are ignored, and
            one that is not there is missing.
        explain: Whether to give reasons, which take most of the time.

    Returns:
        A score for each row, and how many rows have a value that training did not know, by column.
    """
    columns: dict[str, npt.NDArray[np.generic]] = {
        name: np.array([row.get(name) for row in rows], dtype=np.float64 if kind == "numeric" else object)
        for name, kind in model.kinds.items()
    }
    predicted = model.predict(columns, explain="all" if explain else "none")
    reasons = zip(*predicted.reasons, strict=True) if predicted.reasons else ((),) * len(rows)
    scores = zip(
        predicted.probability.tolist(),
        (TREAT if treat else LEAVE for treat in predicted.treat.tolist()),
        predicted.expected_value.tolist(),
        predicted.customer_value.tolist(),
        (tuple(reason for reason in row if reason is not None) for row in reasons),
        strict=True,
    )
    return [*map(OnlineScore._make, scores)], predicted.unseen
