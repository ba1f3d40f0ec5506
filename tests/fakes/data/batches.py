"""Tables of features to score, and a small scorer as if it had been registered."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.local.batch_engine import LocalBatchEngine
from churn.data.contract import DatasetContract
from churn.data.tables import EVENT_TIME
from churn.lifecycle.inference import run_batch
from churn.model.frame import CodedColumns, FloatArray, Kind
from churn.model.reasons import Described
from churn.model.scorer import Explain, Predictions, Scorer
from churn.ports.registry import ModelVersion
from churn.ports.tables import FeatureStore
from churn.scoring.baseline import write_baseline
from churn.scoring.batch import BatchSummary
from churn.scoring.settings import InferenceSettings
from tests.fakes.data.scorers import small_scorer
from tests.fakes.ports.tables import MemoryFeatureStore

TIME = pa.timestamp("us", tz="UTC")
NOW = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
VERSION = ModelVersion(name="churn_toy", version=3, run_id="r", description="a small model")
CONTRACT = DatasetContract.model_validate(
    {
        "name": "toy",
        "description": "Made-up customers.",
        "entity_key": "customer_id",
        "event_time": {"column": EVENT_TIME},
        "label": {"column": "churn", "positive": "Yes", "negative": "No", "window_days": 90},
        "columns": {
            "contract": {"type": "categorical", "allowed": ["Month-to-month", "Two year"], "description": "contract"},
            "tenure": {"type": "integer", "min": 0, "description": "months as a customer"},
            "monthly_charges": {"type": "number", "description": "monthly charges"},
            "total_charges": {"type": "number", "nullable": True, "description": "charges so far"},
        },
    }
)


def day(number: float) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


def feature_rows(customers: int, *, at: float = 0, **columns: Sequence[Any]) -> pa.Table:
    """Return rows of customers c000, c001, …; `columns` replace what they would have."""
    numbers = range(customers)
    given: dict[str, Any] = {
        "customer_id": [f"c{number:03}" for number in numbers],
        EVENT_TIME: pa.array([day(at)] * customers, TIME),
        "contract": [("Month-to-month", "Two year", None)[number % 3] for number in numbers],
        "tenure": pa.array([number % 70 for number in numbers], pa.int64()),
        "monthly_charges": [20.0 + number % 50 for number in numbers],
        "total_charges": [None if number % 7 == 0 else 10.0 * number for number in numbers],
    }
    return pa.table({**given, **columns})


@dataclass
class Registered:
    """A scorer with what a package says of it; remembers how many customers it was given."""

    scorer: Scorer = field(default_factory=lambda: small_scorer(boosted=True))
    digest: str = "d1"
    given: list[int] = field(default_factory=list)

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        return self.scorer.kinds

    @cached_property
    def needed(self) -> tuple[str, ...]:
        return self.scorer.needed

    @property
    def scoring(self) -> Mapping[str, Any]:
        return self.scorer.settings.model_dump(mode="json")

    @property
    def categories(self) -> Mapping[str, Sequence[str]]:
        return self.scorer.model.categories

    @property
    def described(self) -> Sequence[Described]:
        schema = self.scorer.model.schema
        return (*schema.inputs, *schema.features)

    def complete(self, columns: CodedColumns) -> CodedColumns:
        return self.scorer.model.complete(columns)

    def contributions(self, columns: CodedColumns) -> FloatArray:
        return self.scorer.model.contributions(columns)

    def predict(self, customers: CodedColumns, *, explain: Explain = "all") -> Predictions:
        self.given.append(len(next(iter(customers.values()))))
        return self.scorer.predict(customers, explain=explain)


def run(
    store: FeatureStore,
    folder: Path,
    scorer: Registered | None = None,
    *,
    version: ModelVersion = VERSION,
    part_rows: int = 65_536,
    table: str = "features",
    now: dt.datetime = NOW,
    contract: DatasetContract = CONTRACT,
    **settings: Any,
) -> BatchSummary:
    """Score the newest version of a table of the store as a pipeline would."""
    model = scorer or Registered()
    return run_batch(
        store,
        LocalBatchEngine(store, folder, model, part_rows=part_rows),
        version,
        model,
        contract=contract,
        features=store.latest(CONTRACT.table(table).name),  # type: ignore[arg-type]
        settings=InferenceSettings(**settings),
        now=now,
        progress=lambda done, total, message: None,
    )


def predictions(store: FeatureStore, summary: BatchSummary) -> list[dict[str, Any]]:
    """Return the rows of a batch, by customer."""
    rows = store.scan(summary.predictions, where={"batch_id": summary.batch_id}).read_all()
    return sorted(rows.to_pylist(), key=lambda row: str(row["customer_id"]))


def summary_of(customers: int = 30, *, judged_on: pa.Table | None = None, **changes: Any) -> BatchSummary:
    """Return what a small batch in memory came to, with a baseline of the rows that are given."""
    store, model = MemoryFeatureStore("toy"), Registered()
    store.upsert(CONTRACT.table("features"), feature_rows(customers))
    if judged_on is not None:
        rows = judged_on.append_column("split", pa.array(["holdout"] * judged_on.num_rows))
        training = store.replace(CONTRACT.table("training"), rows)
        write_baseline(
            store, CONTRACT, model, training, model_name="churn_toy", model_version=3, model_digest=model.digest
        )
    with tempfile.TemporaryDirectory() as name:
        return run(store, Path(name), model).model_copy(update={"seconds": 0.5, **changes})
