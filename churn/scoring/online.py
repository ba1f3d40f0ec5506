"""Scores the rows of one request: JSON values in, the scores of a batch out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..model.frame import Kind, canonical_text
from ..model.scorer import LEAVE, TREAT
from ..ports.online import OnlineValue
from .rows import RowScorer

__all__ = ["OnlineScore", "OnlineScores", "score_rows", "spelled"]

_ONE_BY_ONE = 32
"""A table of so many rows takes about as long as its rows one by one (`benchmarks/serving.py --kernel`)."""


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


class OnlineScores(NamedTuple):
    """What the model says of the customers of a request.

    Attributes:
        scores: One for each row.
        unseen: How many rows have a value that training did not know, by column.
        encode_seconds: How long it took to turn values into the numbers that the model computes on.
    """

    scores: list[OnlineScore]
    unseen: dict[str, int]
    encode_seconds: float


def score_rows(model: RowScorer, rows: Sequence[Mapping[str, OnlineValue]], *, explain: bool) -> OnlineScores:
    """Score customers, each by their row alone.

    Args:
        model: The model. It scores a few customers one by one, and more, or where it can do no other, as a table.
        rows: For each customer the columns that the model reads, as `spelled` returns them; others are ignored, and
            one that is not there is missing.
        explain: Whether to give reasons, which take most of the time.
    """
    if len(rows) > _ONE_BY_ONE:
        return _scored_as_a_table(model, rows, explain=explain)
    scores: list[OnlineScore] = []
    unseen: dict[str, int] = {}
    encode_seconds = 0.0
    for row in rows:
        score = model.score_row(row, explain=explain)
        if score is None:
            return _scored_as_a_table(model, rows, explain=explain)
        probability, treat, expected, customer_value, reasons, unknown, seconds = score
        scores.append(OnlineScore(probability, TREAT if treat else LEAVE, expected, customer_value, reasons))
        encode_seconds += seconds
        for name in unknown:
            unseen[name] = unseen.get(name, 0) + 1
    return OnlineScores(scores, unseen, encode_seconds)


def _scored_as_a_table(model: RowScorer, rows: Sequence[Mapping[str, OnlineValue]], *, explain: bool) -> OnlineScores:
    begun = perf_counter()
    columns: dict[str, npt.NDArray[np.generic]] = {
        name: np.array([row.get(name) for row in rows], dtype=np.float64 if kind == "numeric" else object)
        for name, kind in model.kinds.items()
    }
    encoded = perf_counter()
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
    return OnlineScores([*map(OnlineScore._make, scores)], predicted.unseen, encoded - begun)
