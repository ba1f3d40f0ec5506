"""Two models of known quality on the same made-up rows: the less a model's view of the risk is blurred, the better."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churn.gate.comparison import PairedRows, VersionScores
from churn.model.model import sigmoid

__all__ = ["paired_rows"]

_MEAN, _SPREAD = -1.3, 1.5


def paired_rows(
    rows: int = 1200,
    *,
    champion: float = 0.5,
    challenger: float = 0.5,
    seed: int = 0,
    rows_each: int = 1,
    base: int | None = None,
) -> PairedRows:
    """Draw rows from known risks; `champion` and `challenger` are the spread of each model's blur, in log-odds.

    Each customer has `rows_each` rows of the same risk. `region` parts the customers into four equal groups, and
    `months` is a number.
    """
    random = np.random.default_rng(seed)
    customers = -(-rows // rows_each)
    customer = np.repeat(np.arange(customers), rows_each)[:rows]
    risk = random.normal(_MEAN, _SPREAD, customers)

    def seen(blur: float) -> VersionScores:
        # Shrunk towards the mean, so that every model is calibrated: E[risk | view] = view.
        blurred = (risk + random.normal(0, blur, customers) - _MEAN) * _SPREAD**2 / (_SPREAD**2 + blur**2) + _MEAN
        return VersionScores(sigmoid(blurred)[customer], 0.35)

    old, new = seen(champion), seen(challenger)
    return PairedRows(
        label=(random.random(rows) < sigmoid(risk)[customer]).astype(np.int8),
        entity=np.array([f"c{number:06d}" for number in customer]),
        event_time=pd.Series(pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")),
        value=np.full(rows, 200.0),
        champion=old,
        challenger=new,
        slices={
            "region": np.array(["east", "north", "south", "west"])[random.integers(0, 4, customers)][customer],
            "months": random.integers(0, 60, customers).astype(np.float64)[customer],
        },
        base=base,
    )
