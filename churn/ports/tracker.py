"""The port of the experiment tracker: the record of a run and of the trials nested in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import pyarrow as pa

from .studies import Trial
from .tables import TableRef

__all__ = ["ExperimentTracker"]


class ExperimentTracker(ABC):
    """Where a training run leaves its record: one run, its trials nested in it."""

    @abstractmethod
    def run_id(self) -> str:
        """Return the id of the run that is open."""

    @abstractmethod
    def log_params(self, params: Mapping[str, object]) -> None:
        """Record the settings of the run; recording the same again changes nothing."""

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record finite numbers under their names."""

    @abstractmethod
    def log_dataset(self, ref: TableRef, sample: pa.Table, label: str) -> None:
        """Record a table as an input of the run, with its digest and version; `sample` gives the schema."""

    @abstractmethod
    def log_trials(self, study: str, trials: Sequence[Trial], objective: str) -> None:
        """Record each trial as a run nested in this one; a trial that is recorded already is left alone.

        Its value is a metric of the name `objective`.
        """

    @abstractmethod
    def log_file(self, name: str, content: str | bytes) -> None:
        """Store a file under `name` (folders allowed) with the run."""

    @abstractmethod
    def describe(self, text: str) -> None:
        """Say in Markdown what came out of the run, in place of what was said before."""
