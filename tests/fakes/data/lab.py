"""A data set whose models are really trained, judged and promoted, in memory."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa

from churn.data.contract import DatasetContract
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import labels_of
from churn.data.training_set import bronze_to_features
from churn.lifecycle.retraining import retrain
from churn.lifecycle.retraining_result import Judged
from churn.lifecycle.workspace import Workspace
from churn.model.frame import columns_of
from churn.monitoring.report import Advice, MonitoringReport
from churn.ports.registry import MODEL_DIGEST
from tests.fakes.data.case import CONTRACT, MODEL, SPLIT, raw_rows, settings
from tests.fakes.ports.ledger import InMemoryLedger
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.stages import InMemoryStages
from tests.fakes.ports.studies import InMemoryStudies
from tests.fakes.ports.tables import MemoryFeatureStore
from tests.fakes.ports.tracker import InMemoryTracker

__all__ = ["QUICK", "RETRAIN", "START", "Lab"]

START = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
QUICK = (
    *("tuning.mode=off", "model.candidates=[additive]", "model.folds=3", "serving.deploy=never"),
    *("gate.min_churners=20", "evaluation.min_per_class=5", "money.incentive_cost=40"),
)
RETRAIN = Advice(state="retrain", sentence="Retrain: 2 of the last 3 windows show a loss.", new_outcomes=600)


class Lab:
    """Tables with outcomes, and everything that a training and a gate need, in memory."""

    def __init__(self, frame: pd.DataFrame, contract: DatasetContract = CONTRACT) -> None:
        self.contract = contract
        self.now, self.runs = START, 0
        self.store = MemoryFeatureStore("toy")
        self.deliver(frame)
        self.registry = InMemoryModelRegistry({f"run-{number}" for number in range(20)})
        self.packages: dict[str, SimpleNamespace] = {}
        ledger, stages, studies = InMemoryLedger(), InMemoryStages(), InMemoryStudies()
        self.workspace = Workspace(
            contract=contract,
            model=MODEL,
            threads=1,
            clock=lambda: self.now,
            make={
                "tables": lambda: self.store,
                "registry": lambda: self.registry,
                "ledger": lambda: ledger,
                "stages": lambda: stages,
                "studies": lambda: studies,
                "package": self._package,
                "load": lambda version, into: self.packages[version.tags[MODEL_DIGEST]],
                "verify": lambda version, into: None,
                "identity": lambda: "ada",
                "code_version": lambda: "abc",
            },
        )

    def deliver(self, frame: pd.DataFrame) -> None:
        """Take rows in, in place of those there are."""
        bronze = to_bronze(conform(Source("made-up", pa.Table.from_pandas(frame)), self.contract).frame, self.contract)
        self.store.replace(self.contract.table("bronze"), bronze)
        self.store.replace(self.contract.table("features"), bronze_to_features(bronze, self.contract))
        self.store.replace(self.contract.table("labels"), labels_of(bronze, self.contract, SPLIT))

    def retrain(self, advice: Advice = RETRAIN, *overrides: str, at: dt.datetime | None = None) -> Judged:
        report = MonitoringReport(
            dataset="toy", model=MODEL, live=None, currency="USD", at=at or self.now, length="day", measured=0,
            unchanged=0, advice=advice,
        )  # fmt: skip
        self.now += dt.timedelta(minutes=1)
        self.runs += 1
        self.workspace.__dict__["tracker"] = InMemoryTracker(run=f"run-{self.runs}")
        return retrain(self.workspace, settings(*QUICK, *overrides), report)

    def recorded(self) -> list[dict[str, Any]]:
        return self.store.read(self.store.latest("retrainings")).to_pylist()

    def _package(self, scorer: Any, folder: Path, *, metadata: Any, card: str, **_: Any) -> tuple[Path, str]:
        folder.mkdir()
        (folder / "MLmodel").write_text("flavors: {}\n")
        digest = f"{abs(hash(str(scorer.model.probability(_probe(scorer)).tolist()))):064d}"
        self.packages[digest] = SimpleNamespace(
            metadata=metadata,
            inputs=tuple(column.name for column in scorer.model.schema.inputs),
            card=card,
            size=1_000_000,
            score=scorer.score,
            thresholds=scorer.model.thresholds,
            model_folder=None,
        )
        return folder, digest


def _probe(scorer: Any) -> Any:
    return scorer.model.complete(columns_of(raw_rows(50, 9), CONTRACT.kinds))
