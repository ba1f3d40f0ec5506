"""A run's record in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa

from churn.core.errors import StoreError
from churn.ports.studies import Trial
from churn.ports.tables import TableRef
from churn.ports.tracker import ExperimentTracker


@dataclass
class InMemoryTracker(ExperimentTracker):
    """What was logged lies open in the attributes."""

    run: str = "run-1"
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: dict[str, TableRef] = field(default_factory=dict)
    trials: dict[tuple[str, int], Trial] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    objectives: set[str] = field(default_factory=set)
    note: str = ""

    def run_id(self) -> str:
        return self.run

    def log_params(self, params: Mapping[str, object]) -> None:
        for name, value in params.items():
            if self.params.setdefault(name, str(value)) != str(value):
                raise StoreError(f"Changing param values is not allowed: {name!r} is {self.params[name]!r}.")

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise StoreError(f"The metric {name!r} is {value}: record finite numbers.")
        self.metrics.update(metrics)

    def log_dataset(self, ref: TableRef, sample: pa.Table, label: str) -> None:
        self.datasets[f"{ref.dataset}.{ref.name}"] = ref

    def log_trials(self, study: str, trials: Sequence[Trial], objective: str) -> None:
        for trial in trials:
            self.trials.setdefault((study, trial.number), trial)
            self.objectives.add(objective)

    def describe(self, text: str) -> None:
        self.note = text

    def log_file(self, name: str, content: str | bytes) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise StoreError(f"{name!r} is no name for a file of a run.")
        self.files[name] = content.encode() if isinstance(content, str) else content
