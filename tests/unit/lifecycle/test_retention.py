"""What a vacuum removes, and what it must keep."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from churn.data.tables import RetentionSettings
from churn.lifecycle.retention import vacuum
from churn.lifecycle.workspace import Workspace
from tests.fakes.data.answered import answered
from tests.fakes.data.case import NOW
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.tables import MemoryFeatureStore


class Remembering(MemoryFeatureStore):
    """Says what it was asked to keep."""

    asked: tuple[dt.datetime, dict[str, set[int]]]

    def vacuum(self, before: dt.datetime, keep: Mapping[str, Collection[int]] | None = None) -> dict[str, int]:
        self.asked = before, {table: set(versions) for table, versions in (keep or {}).items()}
        return {"churn_features": 1_000, "": 24}


def workspace_of(store: MemoryFeatureStore, registry: InMemoryModelRegistry) -> Workspace:
    log = InMemoryPredictionLog(store, CONTRACT.table("predictions"), CONTRACT.entity_key)
    make: dict[str, Any] = {"tables": lambda: store, "registry": lambda: registry, "prediction_log": lambda: log}
    return Workspace(contract=CONTRACT, model="churn_toy", threads=1, clock=lambda: NOW, make=make)


def test_versions_that_models_were_trained_on_are_kept_and_the_age_counts_from_the_clock(tmp_path: Path) -> None:
    store, registry = Remembering(CONTRACT.name), InMemoryModelRegistry({"run"})
    (tmp_path / "MLmodel").touch()
    for number in ("3", "x"):
        tags = {"data_table": "churn_training", "data_version": number}
        registry.register("churn_toy", tmp_path, description="", tags=tags, run_id="run")
    assert vacuum(workspace_of(store, registry), RetentionSettings(days=7)) == {"churn_features": 1_000, "": 24}
    assert store.asked == (NOW - dt.timedelta(days=7), {"churn_training": {3}})


@pytest.mark.parametrize(("days", "left"), [(7, "abc"), (6, "bc"), (None, "abc")])
def test_rows_of_the_endpoint_are_erased_when_they_are_old_and_those_of_batches_stay(
    days: int | None, left: str
) -> None:
    store = MemoryFeatureStore(CONTRACT.name)
    workspace = workspace_of(store, InMemoryModelRegistry(set()))
    writer = workspace.prediction_log.writer(max_bytes=100_000, when_full="drop_new", synced=False)
    writer.append([answered("a", scored_at=NOW - dt.timedelta(days=7))])
    workspace.prediction_log.move()
    writer.append([answered("b", scored_at=NOW)])
    long_ago = pa.array([dt.datetime(1999, 1, 1, tzinfo=dt.UTC)])
    batch = {"batch_id": ["b1"], "row_number": [0], "source": ["batch"], "customer_id": ["c"]}
    store.upsert(CONTRACT.table("predictions"), pa.table({**batch, "transaction_ts": long_ago, "scored_at": long_ago}))
    vacuum(workspace, RetentionSettings(endpoint_days=days))
    assert sorted(store.read(store.latest("churn_predictions"))["customer_id"].to_pylist()) == [*left]


def test_a_table_of_an_earlier_version_has_no_rows_of_the_endpoint() -> None:
    store = MemoryFeatureStore(CONTRACT.name)
    old = {"batch_id": ["b1"], "row_number": [0], "customer_id": ["a"], "transaction_ts": pa.array([NOW])}
    store.upsert(CONTRACT.table("predictions"), pa.table(old))
    vacuum(workspace_of(store, InMemoryModelRegistry(set())), RetentionSettings())
    assert store.latest("churn_predictions").rows == 1
