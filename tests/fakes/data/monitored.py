"""Predictions with features, outcomes and a baseline, in a store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from churn.data.contract import DatasetContract
from churn.data.tables import EVENT_TIME
from churn.model.frame import FloatArray
from churn.ports.tables import FeatureStore, TableRef
from churn.ports.windows import Predicted

__all__ = ["CONTRACT", "MODEL", "Customers", "day", "predicted_of", "put_baseline", "put_labels", "put_window"]

TIME = pa.timestamp("us", tz="UTC")
MODEL, DIGEST = "churn_toy", "d1"
CONTRACT = DatasetContract.model_validate(
    {
        "name": "toy",
        "description": "Made-up customers.",
        "entity_key": "customer_id",
        "event_time": {"column": EVENT_TIME},
        "label": {"column": "churn", "positive": "Yes", "negative": "No", "window_days": 30},
        "columns": {
            "contract": {"type": "categorical", "description": "contract"},
            "charges": {"type": "number", "nullable": True, "description": "monthly charges"},
        },
        "slices": ["contract"],
    }
)


def day(number: float) -> dt.datetime:
    """Return a day of 2024; 0 is the first of January, a Monday."""
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


class Customers:
    """Customers drawn from one distribution, with calibrated probabilities and outcomes that follow them."""

    def __init__(self, rows: int, seed: int = 0, *, shift: float = 0.0) -> None:
        random = np.random.default_rng(seed)
        self.rows = rows
        self.charges = np.round(20 + 80 * random.beta(2, 3, rows), 2)
        self.contract = np.where(random.uniform(size=rows) < 0.6, "Month-to-month", "Two year").astype(object)
        logit = -2.6 + 0.03 * self.charges + 0.8 * (self.contract == "Month-to-month") + random.normal(0, 1.1, rows)
        self.probability: FloatArray = 1 / (1 + np.exp(-logit))
        self.outcome = (random.uniform(size=rows) < 1 / (1 + np.exp(-logit - shift))).astype(np.int8)
        self.value = np.full(rows, 200.0)

    @property
    def columns(self) -> dict[str, Any]:
        """The inputs."""
        return {"contract": list(self.contract), "charges": pa.array(self.charges, from_pandas=True)}


def put_baseline(store: FeatureStore, customers: Customers, *, digest: str = DIGEST, version: int = 1) -> TableRef:
    """Store what a version predicted of its holdout."""
    table = pa.table(
        {
            "model_digest": [digest] * customers.rows,
            "model_name": [MODEL] * customers.rows,
            "model_version": pa.array([version] * customers.rows, pa.int64()),
            "customer_id": [f"b{number:06}" for number in range(customers.rows)],
            EVENT_TIME: pa.array([day(-60)] * customers.rows, TIME),
            **customers.columns,
            "label": pa.array(customers.outcome),
            "label_ts": pa.array([day(-20)] * customers.rows, TIME),
            "probability": customers.probability,
            "expected_value": np.zeros(customers.rows),
            "customer_value": customers.value,
            "treated": customers.probability > 0.2,
        }
    )
    return store.upsert(CONTRACT.table("baseline"), table)


def put_window(
    store: FeatureStore,
    customers: Customers,
    at: float,
    *,
    scored_at: float | None = None,
    version: int = 1,
    batch: str | None = None,
    source: str | None = None,
    labelled: float | None = None,
    outcome: Sequence[int] | None = None,
    features: bool = True,
    changed: Mapping[str, Any] | None = None,
) -> None:
    """Store customers of day `at` with their predictions; `labelled` is the day on which their outcomes are known."""
    keys = {
        "customer_id": [f"c{number:06}" for number in range(customers.rows)],
        EVENT_TIME: pa.array([day(at)] * customers.rows, TIME),
    }
    if features:
        store.upsert(CONTRACT.table("features"), pa.table({**keys, **customers.columns, **(changed or {})}))
    predictions = {
        "batch_id": [batch or f"at {at} by {version}"] * customers.rows,
        "row_number": np.zeros(customers.rows, dtype=np.int64),
        **keys,
        "probability": customers.probability,
        "expected_value": np.zeros(customers.rows),
        "customer_value": customers.value,
        "decision": np.where(customers.probability > 0.2, "treat", "leave"),
        "model_name": [MODEL] * customers.rows,
        "model_version": pa.array([version] * customers.rows, pa.int64()),
        "scored_at": pa.array([day(at + 1 if scored_at is None else scored_at)] * customers.rows, TIME),
        **({"source": [source] * customers.rows} if source else {}),
    }
    store.upsert(CONTRACT.table("predictions"), pa.table(predictions))
    if labelled is not None:
        put_labels(store, customers, at, labelled, outcome)


def put_labels(
    store: FeatureStore, customers: Customers, at: float, known: float, outcome: Sequence[int] | None = None
) -> None:
    """Store the outcomes of the customers of day `at`, known on another day."""
    labels = {
        "customer_id": [f"c{number:06}" for number in range(customers.rows)],
        EVENT_TIME: pa.array([day(at)] * customers.rows, TIME),
        "label": pa.array(customers.outcome if outcome is None else outcome, pa.int8()),
        "label_ts": pa.array([day(known)] * customers.rows, TIME),
        "split": ["train"] * customers.rows,
    }
    store.upsert(CONTRACT.table("labels"), pa.table(labels))


def predicted_of(
    store: FeatureStore, known_by: float = 400, *, features: bool = True, labels: bool = True
) -> Predicted:
    """Return the newest predictions with what they are joined with."""
    return Predicted(
        model=MODEL,
        predictions=store.latest("churn_predictions"),
        features=store.latest("churn_features") if features else None,
        labels=store.latest("churn_labels") if labels else None,
        known_by=day(known_by),
    )
