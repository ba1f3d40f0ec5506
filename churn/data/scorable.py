"""Prepares rows delivered for scoring: invalid values count as missing, and rows without an identity are set aside."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .contract import DatasetContract
from .ingest import RAW_LABEL
from .tables import EVENT_TIME

__all__ = ["identifies", "scorable"]


def identifies(column: str, contract: DatasetContract) -> bool:
    """Return whether a row that breaks a rule of the column is no customer at a time, and so cannot be scored."""
    return column in (contract.entity_key, EVENT_TIME, contract.event_time.column)


def scorable(frame: pd.DataFrame, contract: DatasetContract) -> pd.DataFrame:
    """Return conformed rows as they are stored where they were delivered to be scored.

    A number out of its range is missing. A category that the contract does not list stays: a model that does not know
    it takes it for missing, and counts it. The outcome of a row that breaks a rule is not kept, so that nothing learns
    from the row until it is delivered for training and keeps every rule.
    """
    values, broken = {}, np.zeros(len(frame), dtype=bool)
    for name, column in contract.columns.items():
        column_values = frame[name]
        present = column_values.notna()
        if column.kind == "categorical":
            valid = present if column.allowed is None else present & column_values.isin(column.allowed)
        else:
            low = -np.inf if column.min is None else column.min
            valid = present & column_values.between(low, np.inf if column.max is None else column.max)
            values[name] = column_values.where(valid)
        broken |= (~valid & (present | (not column.nullable))).to_numpy()
    outcome = frame[RAW_LABEL]
    known_outcome = outcome.isin([contract.label.positive, contract.label.negative]) & ~broken
    return frame.assign(**values, **{RAW_LABEL: outcome.where(known_outcome)})
