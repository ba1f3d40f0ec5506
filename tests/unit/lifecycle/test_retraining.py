"""Retraining as a use case: what is trained when, what the gate makes of it, and what is recorded."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import NotEnoughData
from churn.data.ingest import Source, conform, to_bronze
from churn.data.labels import labels_of
from churn.data.training_set import bronze_to_features
from churn.lifecycle.monitoring import last_training
from churn.lifecycle.retraining import Judged, retrain
from churn.lifecycle.workspace import Workspace
from churn.monitoring.report import Advice, MonitoringReport
from churn.ports.registry import MODEL_DIGEST
from tests.fakes.data.case import CONTRACT, MODEL, SPLIT, raw_rows, settings
from tests.fakes.ports.ledger import InMemoryLedger
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.stages import InMemoryStages
from tests.fakes.ports.studies import InMemoryStudies
from tests.fakes.ports.tables import MemoryFeatureStore
from tests.fakes.ports.tracker import InMemoryTracker

pytestmark = pytest.mark.slow

START = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
QUICK = (
    *("tuning.mode=off", "model.candidates=[additive]", "model.folds=3", "serving.deploy=never"),
    *("gate.min_churners=20", "evaluation.min_per_class=5", "money.incentive_cost=40"),
)
RETRAIN = Advice(state="retrain", sentence="Retrain: 2 of the last 3 windows show a loss.", new_outcomes=600)


class Lab:
    """Tables with outcomes, and everything that a training and a gate need, in memory."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.now, self.runs = START, 0
        self.store = MemoryFeatureStore("toy")
        self.deliver(frame)
        self.registry = InMemoryModelRegistry({f"run-{number}" for number in range(20)})
        self.packages: dict[str, SimpleNamespace] = {}
        ledger, stages, studies = InMemoryLedger(), InMemoryStages(), InMemoryStudies()
        self.workspace = Workspace(
            contract=CONTRACT,
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
        bronze = to_bronze(conform(Source("made-up", pa.Table.from_pandas(frame)), CONTRACT).frame, CONTRACT)
        self.store.replace(CONTRACT.table("bronze"), bronze)
        self.store.replace(CONTRACT.table("features"), bronze_to_features(bronze, CONTRACT))
        self.store.replace(CONTRACT.table("labels"), labels_of(bronze, CONTRACT, SPLIT))

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
    from churn.model.frame import columns_of

    return scorer.model.complete(columns_of(raw_rows(50, 9), CONTRACT.kinds))


@pytest.fixture(scope="module")
def lab() -> Lab:
    """A lab whose version 1 was trained and is live."""
    made = Lab(raw_rows(1500))
    first = made.retrain().retraining
    assert (first.state, first.version, first.before, first.live) == ("promoted", 1, None, 1)
    return made


@pytest.mark.parametrize("state", ["no_reason", "broken_feed", "not_persistent", "cooling_down", "too_few_outcomes"])
def test_nothing_is_trained_where_monitoring_does_not_call_for_it(lab: Lab, state: str) -> None:
    rows = len(lab.recorded())
    outcome = lab.retrain(Advice(state=state, sentence="Not yet.")).retraining  # type: ignore[arg-type]
    assert (outcome.state, outcome.sentence, outcome.live, outcome.acts) == ("not_called_for", "Not yet.", 1, False)
    assert (len(lab.recorded()), len(lab.registry.versions(MODEL))) == (rows, 1)


def test_a_training_that_ended_meanwhile_is_not_repeated(lab: Lab) -> None:
    outcome = lab.retrain(at=START - dt.timedelta(days=1)).retraining
    assert outcome.state == "not_called_for"
    assert "another training ended at 2024-06-01" in outcome.sentence


def test_the_same_outcomes_give_the_same_model_and_this_is_recorded_and_cools_down(lab: Lab) -> None:
    lab.now += dt.timedelta(days=40)
    outcome = lab.retrain().retraining
    assert (outcome.state, outcome.version, outcome.live, outcome.acts) == ("same_model", 1, 1, True)
    assert outcome.sentence.startswith("Retraining does not help")
    row = lab.recorded()[-1]
    assert (row["state"], row["version"], row["before"], row["new_outcomes"]) == ("same_model", 1, 1, 600)
    assert row["reason"] == RETRAIN.sentence
    assert last_training(lab.workspace) == (lab.now, lab.now)


def test_a_model_that_is_not_better_leaves_the_champion_live_with_the_figures_on_record(lab: Lab) -> None:
    lab.now += dt.timedelta(days=40)
    frame = raw_rows(1500)
    random = np.random.default_rng(3).permutation(frame["churn"].to_numpy())
    customers = pd.util.hash_array(frame["customer_id"].to_numpy(dtype=object)) % 3 > 0
    lab.deliver(frame.assign(churn=np.where(customers, random, frame["churn"])))
    judged = lab.retrain()
    outcome = judged.retraining
    assert (outcome.state, outcome.before, outcome.live) == ("kept", 1, 1)
    assert judged.report is not None
    assert outcome.gate_report == judged.report.digest
    assert outcome.sentence.startswith(
        f"Retraining does not help: kept version 1, for the gate refused version {outcome.version}"
    )
    row = lab.recorded()[-1]
    assert row["state"] == "kept"
    assert row["log_loss_gain_lower"] <= row["log_loss_gain"] <= row["log_loss_gain_upper"]
    assert row["compared_rows"] > 0


def test_what_passes_the_gate_waits_where_a_person_approves() -> None:
    made = Lab(raw_rows(1500))
    outcome = made.retrain(RETRAIN, "approval.policy=manual").retraining
    assert (outcome.state, outcome.version, outcome.live) == ("waiting", 1, None)
    assert "waits for approval" in outcome.sentence


def test_a_cut_off_in_the_settings_does_not_keep_newer_outcomes_out() -> None:
    made = Lab(raw_rows(1500))
    assert made.retrain(RETRAIN, "training_set.cutoff=2020-01-01").retraining.version == 1


def test_too_few_outcomes_train_nothing() -> None:
    made = Lab(raw_rows(60))
    with pytest.raises(NotEnoughData, match="customers"):
        made.retrain()
    assert made.registry.versions(MODEL) == []
