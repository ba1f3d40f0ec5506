"""A scorer of four columns that explains itself, its contract, and a table of its customers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa

from churn.data.contract import DatasetContract
from churn.model.scorer import ScoringSettings
from churn.scoring.rows import LoadedModel
from tests.fakes.data.batches import Registered
from tests.fakes.data.scorers import small_scorer
from tests.fakes.ports.tables import MemoryFeatureStore

CONTRACT = DatasetContract.model_validate(
    {
        "name": "phones",
        "description": "Subscribers of telephones.",
        "entity_key": "customer_id",
        "event_time": {"column": "transaction_ts"},
        "label": {"column": "churn", "positive": "Yes", "negative": "No", "window_days": 90},
        "columns": {
            "contract": {
                "type": "categorical",
                "allowed": ["Month-to-month", "One year", "Two year"],
                "description": "length of the contract",
                "actionable": True,
            },
            "internet": {"type": "categorical", "description": "internet connection"},
            "tenure": {"type": "integer", "min": 0, "description": "months as a customer"},
            "monthly_charges": {
                "type": "number", "min": 0, "max": 100, "description": "monthly charges", "actionable": True
            },
            "total_charges": {"type": "number", "nullable": True, "description": "charges so far"},
        },
    }
)  # fmt: skip
JANUARY, MARCH = dt.datetime(2025, 1, 1, tzinfo=dt.UTC), dt.datetime(2025, 3, 1, tzinfo=dt.UTC)


def explaining_scorer(settings: ScoringSettings | None = None) -> LoadedModel:
    """Log-odds -1, plus 0.9 without a term or -0.5 for two years, 0.7 less 0.02 a month, 0.1 for each unit of rise."""
    return Registered(small_scorer(settings))


def customer(**changes: Any) -> dict[str, np.ndarray]:
    """Return one customer's columns: without a term, ten months, a price of 50 that was 48 on average."""
    values = {"contract": "Month-to-month", "tenure": 10.0, "monthly_charges": 50.0, "total_charges": 480.0} | changes
    return {
        name: np.array([value], dtype=object if name == "contract" else np.float64) for name, value in values.items()
    }


def phone_store() -> MemoryFeatureStore:
    """Return a table of customers: `ann` in January and, arriving in March, in February; others in January."""
    rows = [
        ("ann", JANUARY, JANUARY, "Month-to-month", "fibre", 10, 50.0, 480.0),
        ("ann", JANUARY + dt.timedelta(days=31), MARCH, "Two year", "fibre", 11, 40.0, 520.0),
        ("bob", JANUARY, None, "One year", "fibre", 30, 20.0, None),
        ("anna", JANUARY, JANUARY, "Two year", "none", 60, 90.0, 5400.0),
    ]
    time = pa.timestamp("us", tz="UTC")
    names = ["customer_id", "transaction_ts", "arrived_at", *CONTRACT.columns]
    types = [pa.string(), time, time, pa.string(), pa.string(), pa.int64(), pa.float64(), pa.float64()]
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), types, strict=True)]
    store = MemoryFeatureStore()
    store.replace(CONTRACT.table("features"), pa.table(dict(zip(names, columns, strict=True))))
    return store
