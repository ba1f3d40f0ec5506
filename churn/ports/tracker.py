"""The port of the experiment tracker: the record of a run and of the trials nested in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import pyarrow as pa

from ..core.frozen import Frozen
from .tables import TableRef

__all__ = ["ExperimentTracker", "Trial"]


class Trial(Frozen):
    """One finished trial.

    Attributes:
        number: Position in the study; 0 is usually the fixed configuration.
        state: `COMPLETE`, `PRUNED` (given up because it was behind) or `FAIL` (its process died).
        value: Mean out-of-fold objective, None where it was not finished.
        params: The parameters of the trees that the trial tried.
        seconds: Wall time.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, float | int]
    seconds: float

    @classmethod
    def of(cls, told: Any) -> Self:
        """Return a trial from Optuna's record of it, an `optuna.trial.FrozenTrial`."""
        return cls(
            number=told.number,
            state=told.state.name,
            value=told.value if told.state.name == "COMPLETE" else None,
            params=told.params,
            seconds=told.duration.total_seconds() if told.duration is not None else 0.0,
        )


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
    def log_trials(self, study: str, trials: Sequence[Trial]) -> None:
        """Record each trial as a run nested in this one; a trial that is recorded already is left alone."""

    @abstractmethod
    def log_file(self, name: str, content: str | bytes) -> None:
        """Store a file under `name` (folders allowed) with the run."""
