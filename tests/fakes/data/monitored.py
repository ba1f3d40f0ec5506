"""Predictions with features, outcomes and a baseline, in a store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from churn.core.estimate import Estimate
from churn.data.contract import DatasetContract
from churn.data.tables import EVENT_TIME
from churn.lifecycle.alerts import Alerted
from churn.lifecycle.monitoring import monitor
from churn.lifecycle.retraining_result import Attempt, Retraining
from churn.lifecycle.sampled import Samples, sampled
from churn.lifecycle.workspace import Workspace
from churn.model.frame import FloatArray
from churn.monitoring.alerts import Waiting
from churn.monitoring.report import Advice, MonitoringReport
from churn.ports.alerts import Notice
from churn.ports.tables import FeatureStore, TableRef
from churn.ports.windows import Predicted
from churn.settings import read_configuration
from tests.fakes.data.deciding import MODEL, office
from tests.fakes.data.findings import REGISTRATION
from tests.fakes.ports.files import InMemoryFiles
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.tables import MemoryFeatureStore
from tests.fakes.ports.windows import MemoryPredictionWindows

__all__ = [
    "ALERTED",
    "ATTEMPT",
    "CONTRACT",
    "DIGEST",
    "MODEL",
    "RETRAINING",
    "Customers",
    "Watched",
    "day",
    "predicted_of",
    "put_baseline",
    "put_labels",
    "put_window",
]

CONFIGS = Path(__file__).parents[3] / "configs"
TIME = pa.timestamp("us", tz="UTC")
DIGEST = "digest of 1"
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
    role: str | None = None,
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
        **({"role": [role] * customers.rows} if role else {}),
    }
    store.upsert(CONTRACT.table("predictions"), pa.table(predictions))
    if labelled is not None:
        put_labels(store, customers, at, labelled, outcome)


def put_labels(
    store: FeatureStore,
    customers: Customers,
    at: float,
    known: float,
    outcome: Sequence[int] | None = None,
    *,
    weight: Sequence[float] | None = None,
) -> None:
    """Store the outcomes of the customers of day `at`, known on another day."""
    labels = {
        "customer_id": [f"c{number:06}" for number in range(customers.rows)],
        EVENT_TIME: pa.array([day(at)] * customers.rows, TIME),
        "label": pa.array(customers.outcome if outcome is None else outcome, pa.int8()),
        "label_ts": pa.array([day(known)] * customers.rows, TIME),
        "split": ["train"] * customers.rows,
        **({} if weight is None else _weighed(weight)),
    }
    store.upsert(CONTRACT.table("labels"), pa.table(labels))


def _weighed(weight: Sequence[float]) -> dict[str, pa.Array]:
    groups = ["uncontrolled" if each == 0 else "control" if each > 1 else None for each in weight]
    return {"untreated_weight": pa.array(weight, pa.float64()), "campaign_group": pa.array(groups, pa.string())}


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


class Watched:
    """A data set whose first version is live, with everything that monitoring reads."""

    def __init__(self, *, now: float = 400, baseline: Customers | None = None, live: bool = True) -> None:
        self.now = now
        self.store = MemoryFeatureStore("toy")
        self.files = InMemoryFiles()
        self.office = office(1, *[1] * live)
        if baseline is not None:
            put_baseline(self.store, baseline)

    @property
    def workspace(self) -> Workspace:
        """Its ports."""
        return Workspace(
            contract=CONTRACT,
            model=MODEL,
            threads=1,
            clock=lambda: day(self.now),
            make={
                "tables": lambda: self.store,
                "files": lambda: self.files,
                "windows": lambda: MemoryPredictionWindows(self.store),
                "registry": lambda: self.office.registry,
                "ledger": lambda: self.office.ledger,
                "stages": lambda: self.office.stages,
                "prediction_log": lambda: InMemoryPredictionLog(
                    self.store, CONTRACT.table("predictions"), CONTRACT.entity_key
                ),
            },
        )

    def sampled(self, report: MonitoringReport, rows: int) -> Samples | None:
        """Return a sample of the newest window and of its baseline."""
        return sampled(self.workspace, report, rows, seed=1)

    def monitor(self, *overrides: str, dry: bool = False) -> MonitoringReport:
        """Run the use case as of `now`; without other settings on daily windows of event time alone."""
        few = ("monitoring.windows=[day]", "monitoring.clocks=[event]")
        settings = read_configuration(CONFIGS, overrides=[*few, *overrides]).settings
        return monitor(self.workspace, settings, dry=dry)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table of metrics."""
        return self.store.read(self.store.latest(table)).to_pylist()


def monitoring_report() -> MonitoringReport:
    """Return a report on four windows: two alike, one whose outcomes are by chance, one of other customers."""
    made = Watched(baseline=Customers(500, 1), now=47)
    for number in range(3):
        put_window(made.store, Customers(300, 10 + number), number, labelled=40)
    random = np.random.default_rng(0).permutation(Customers(300, 12).outcome)
    put_labels(made.store, Customers(300, 12), 2, 40, random.tolist())
    others = Customers(300, 14)
    others.contract[:] = "Two year"
    put_window(made.store, others, 46)
    return made.monitor()


ADVICE = Advice(state="retrain", sentence="Retrain: 2 of the last 3 windows show a loss.", new_outcomes=612)
ATTEMPT = Attempt(model=MODEL, at=day(47), advice=ADVICE, before=1, registration=REGISTRATION)
RETRAINING = Retraining(
    model=MODEL,
    at=day(47),
    advice=ADVICE,
    state="kept",
    sentence="Retraining does not help: kept version 1, for the gate refused version 2.",
    before=1,
    version=2,
    live=1,
    compared_on="newest",
    compared_rows=800,
    gains={"log_loss": Estimate(point=-0.01, lower=-0.02, upper=0.01, se=0.008)},
)
"""A retraining that the gate refused."""

NOTICE = Notice(
    notice_id="0a1b2c3d",
    event="opened",
    severity="critical",
    title="broken feed (batch)",
    dataset="toy",
    model=MODEL,
    version=1,
    kind="broken_feed",
    source="batch",
    window="2024-02-16",
    evidence=("monthly charges is 100 times what it was throughout.",),
    recommendation="Correct the source.",
    page="/reports/monitoring.html",
    at=day(47),
)
ALERTED = Alerted(
    notices=(NOTICE,), opened=(NOTICE,), waiting=(Waiting(channel="mail", notice=NOTICE, attempts=1, reason="No."),)
)
"""An alert that is open and that mail has not taken."""
