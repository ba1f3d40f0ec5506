"""The port of monitoring: what is counted of the predictions of a window, joined with their features and outcomes."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import pyarrow as pa

from ..core.frozen import Frozen
from .tables import TableRef

__all__ = [
    "CELLS",
    "COLUMNS",
    "GROUP",
    "LISTED",
    "LOGIT_LIMIT",
    "LOGIT_WIDTH",
    "TAILS",
    "Aggregates",
    "Asked",
    "Bins",
    "Clock",
    "Length",
    "Predicted",
    "PredictionWindows",
]

Clock = Literal["event", "scoring"]
"""Which time of a prediction puts it into a window: when its facts were true, or when it was scored."""
Length = Literal["day", "week", "month"]
"""How long a window is, in UTC; weeks begin on Monday."""
TAILS = (0.001, 0.005, 0.995, 0.999)
"""Quantiles that are edges of bins beside the evenly spaced ones."""
LOGIT_WIDTH, LOGIT_LIMIT = 0.1, 8.0
"""Predictions are counted in bins of log-odds, so many wide, up to this limit on either side."""

_TIME = pa.timestamp("us", tz="UTC")
_WINDOW = [("window", _TIME), ("model_version", pa.int64()), ("source", pa.string())]
_GROUP = [*_WINDOW, ("slice", pa.string()), ("value", pa.string())]
GROUP = tuple(name for name, _ in _GROUP)
"""The columns that identify a group; `slice` and `value` are empty for all rows, `window` is null for a baseline."""
LISTED = pa.schema([*_WINDOW, ("rows", pa.int64()), ("mature", pa.int64()), ("content", pa.string())])
"""Windows that there are: rows, how many have a known outcome that counts, a text that changes where the rows do."""
COLUMNS = pa.schema(
    [
        *_WINDOW,
        ("column", pa.string()),
        ("rows", pa.int64()),
        ("matched", pa.int64()),
        ("known", pa.int64()),
        ("distinct", pa.int64()),
        ("total", pa.float64()),
        ("squares", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("counts", pa.list_(pa.int64())),
    ]
)
"""One column of one window: rows; those with a row of features; those with a value; about how many values differ; sum,
sum of squares, smallest and greatest of numbers; values in each bin."""
CELLS = pa.schema(
    [
        *_GROUP,
        ("outcome", pa.int8()),
        ("weight", pa.float64()),
        ("treated", pa.bool_()),
        ("bin", pa.int32()),
        ("rows", pa.int64()),
        *((name, pa.float64()) for name in ("p", "pp", "log_p", "log_q", "entropy", "value_sum", "value_squares")),
    ]
)
"""Predictions of a group that share outcome (null: not known yet), its weight, decision and bin
`floor(logit(p) / LOGIT_WIDTH)`; sums over its rows of p, p², ln p, ln(1 - p), -(p·ln p + (1 - p)·ln(1 - p)), the
customer value, and its square. The weight is `untreated_weight` of the label, 1 without one; no sum contains it."""


class Bins(Frozen):
    """How the values of one column are counted.

    Attributes:
        name: The column.
        kind: Numbers are counted between edges, texts one by one.
        edges: Rising; a number belongs to the first edge that is not below it, and to one more bin above the last.
        texts: Values that are counted one by one; all others are counted in one more bin.
    """

    name: str
    kind: Literal["number", "text"]
    edges: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()


class Predicted(Frozen):
    """The predictions to look at, and what they are joined with by customer and event time.

    Attributes:
        model: Only predictions of this registered model.
        predictions: `churn_predictions`.
        features: `churn_features`; None where there is none.
        labels: `churn_labels`; None where there is none.
        known_by: Only outcomes that may be used by then are known (UTC).
    """

    model: str
    predictions: TableRef
    features: TableRef | None
    labels: TableRef | None
    known_by: dt.datetime


class Asked(NamedTuple):
    """Windows of one version: by which time, how long, whose predictions, and when they begin (UTC)."""

    clock: Clock
    length: Length
    version: int
    starts: Collection[dt.datetime]


class Aggregates(NamedTuple):
    """What was counted: `columns` as in `COLUMNS`, `cells` as in `CELLS`, in any order."""

    columns: pa.Table
    cells: pa.Table


class PredictionWindows(ABC):
    """Counts predictions by window, version and source in bounded memory.

    Within a window a row of a customer that a version and source scored more than once counts once, as it was scored
    last. A prediction without a `source` came from a batch. One without a probability, or without the time that puts it
    into a window, is left out, and so is a row that a client made up (`role` what_if).
    """

    @abstractmethod
    def layout(
        self, baseline: TableRef, digest: str, columns: Sequence[str], *, numbers: int, texts: int
    ) -> tuple[Bins, ...]:
        """Return how to count the columns of a version's baseline.

        Args:
            baseline: `churn_baseline`.
            digest: Of the version; only its rows are looked at.
            columns: The columns; those that the table lacks are left out.
            numbers: Bins of equally many rows for numbers, about, and smaller ones at both ends; of a column with no
                more values than that, one for each value. The last edge is the greatest value and the first is just
                below the smallest, so that what lies outside is counted apart.
            texts: The most values of a column that are counted one by one, the most frequent first.
        """

    @abstractmethod
    def baseline(self, baseline: TableRef, digest: str, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        """Count the rows of a version's baseline as one window, whose time is null and whose source is empty."""

    @abstractmethod
    def listed(self, predicted: Predicted, clock: Clock, length: Length) -> pa.Table:
        """Return the windows that hold predictions, as in `LISTED`, the oldest first."""

    @abstractmethod
    def aggregate(self, predicted: Predicted, asked: Asked, bins: Sequence[Bins], slices: Sequence[str]) -> Aggregates:
        """Count the predictions of some windows.

        A column that the table of features lacks is left out of `columns`, and a slice that it lacks out of `cells`.
        """
