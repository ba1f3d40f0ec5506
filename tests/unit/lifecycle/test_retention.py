"""What a vacuum removes, and what it must keep."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from churn.data.tables import RetentionSettings
from churn.lifecycle.retention import vacuum
from churn.lifecycle.workspace import Workspace
from tests.fakes.data.case import NOW
from tests.fakes.data.customers import CONTRACT
from tests.fakes.ports.registry import InMemoryModelRegistry
from tests.fakes.ports.tables import MemoryFeatureStore


class Remembering(MemoryFeatureStore):
    """Says what it was asked to keep."""

    asked: tuple[dt.datetime, dict[str, set[int]]]

    def vacuum(self, before: dt.datetime, keep: Mapping[str, Collection[int]] | None = None) -> dict[str, int]:
        self.asked = before, {table: set(versions) for table, versions in (keep or {}).items()}
        return {"churn_features": 1_000, "": 24}


def test_versions_that_models_were_trained_on_are_kept_and_the_age_counts_from_the_clock(tmp_path: Path) -> None:
    store, registry = Remembering(CONTRACT.name), InMemoryModelRegistry({"run"})
    (tmp_path / "MLmodel").touch()
    for number in ("3", "x"):
        tags = {"data_table": "churn_training", "data_version": number}
        registry.register("churn_toy", tmp_path, description="", tags=tags, run_id="run")
    make: dict[str, Any] = {"tables": lambda: store, "registry": lambda: registry}
    workspace = Workspace(contract=CONTRACT, model="churn_toy", threads=1, clock=lambda: NOW, make=make)
    assert vacuum(workspace, RetentionSettings(days=7)) == {"churn_features": 1_000, "": 24}
    assert store.asked == (NOW - dt.timedelta(days=7), {"churn_training": {3}})
