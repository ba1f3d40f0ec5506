"""Faults that a simulated year can be lived with; its tables come out as without them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ..core.errors import ConfigError, StoreError, nearest
from ..data.contract import DatasetContract
from ..monitoring.report import MonitoringReport
from ..settings import Settings
from .retraining_result import Retraining
from .workspace import Workspace
from .year_steps import Connect, YearSteps

__all__ = ["FAULTS", "FaultySteps", "arrivals", "faults_called"]

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "killed-step": "use cases are killed before or after one of their writes, and run again",
        "registry-gone": "the registry does not answer the first time",
        "feed-twice": "every delivery comes twice",
        "labels-twice": "rows whose outcome became known come twice in one delivery",
        "labels-contradictory": "some outcomes come wrong, and are corrected by the next delivery of the day",
    }
)
"""By the names that `run.py simulate --faults` takes."""

_WRITES = {"upsert", "replace", "replace_batch", "point_in_time_join", "append", "register", "set_alias"}
_WRONG = 50
"""One known outcome in so many is delivered wrong."""
T = TypeVar("T")


def faults_called(names: str) -> frozenset[str]:
    """Return the faults of a list such as `killed-step,feed-twice`, or all of them; raises ConfigError for others."""
    chosen = FAULTS if names == "all" else [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in FAULTS:
            raise ConfigError(
                f"There is no fault {name!r}{nearest(name, FAULTS) or '.'} --faults takes `all`, or some of "
                f"{', '.join(FAULTS)}, with commas."
            )
    return frozenset(chosen)


def arrivals(rows: pa.Table, contract: DatasetContract, faults: Collection[str]) -> Iterator[pa.Table]:
    """Yield the tables as which the rows of a day arrive, in order."""
    label = contract.label
    is_known = pc.is_valid(rows[label.column])
    if "labels-contradictory" in faults:
        wrong = pc.and_(is_known, pa.array([place % _WRONG == 0 for place in range(rows.num_rows)]))
        churned = pc.equal(rows[label.column], label.positive)
        outcomes = pc.unique(rows[label.column].filter(is_known)).to_pylist()
        negative = next((value for value in outcomes if value != label.positive), None)
        flipped = pc.if_else(wrong, pc.if_else(churned, pa.scalar(negative), label.positive), rows[label.column])
        yield rows.set_column(rows.column_names.index(label.column), label.column, flipped)
    if "feed-twice" in faults:
        yield rows
    yield pa.concat_tables([rows, rows.filter(is_known)]) if "labels-twice" in faults else rows


class Killed(BaseException):
    """A use case that ended in the middle."""


class FaultySteps(YearSteps):
    """The use cases of a month, each run again where a fault ended it."""

    def __init__(self, connect: Connect, settings: Settings, faults: Collection[str]) -> None:
        """Prepare the use cases; `connect` and `settings` as there, `faults` are some of `FAULTS`."""
        super().__init__(lambda clock: self._fragile(connect(clock)), settings)
        self._faults, self._armed = [name for name in ("killed-step", "registry-gone") if name in faults], ""
        self._kills, self._writes = 0, 0

    def begin(self, file: Path) -> None:
        """Do it, through faults."""
        act = super().begin
        self._through(lambda: act(file))

    def deliver(self, file: Path) -> None:
        """Do it, through faults."""
        act = super().deliver
        self._through(lambda: act(file))

    def contact(self) -> None:
        """Do it, through faults."""
        self._through(super().contact)

    def monitor(self) -> MonitoringReport:
        """Do it, through faults."""
        return self._through(super().monitor)

    def train(self) -> None:
        """Do it, through faults."""
        self._through(super().train)

    def retrain(self, report: MonitoringReport) -> Retraining:
        """Do it, through faults."""
        act = super().retrain
        return self._through(lambda: act(report))

    def _through(self, act: Callable[[], T]) -> T:
        for fault in self._faults:
            self._armed, self._writes = fault, 0
            try:
                return act()
            except (Killed, StoreError):
                self._kills += 1
            finally:
                self._armed = ""
        return act()

    def _fragile(self, workspace: Workspace) -> Workspace:
        def made(port: str) -> Callable[..., Any]:
            return lambda *values, **options: _Fragile(workspace.make[port](*values, **options), port, self._call)

        ports = {port: made(port) for port in ("tables", "registry", "ledger")}
        return replace(workspace, make={**workspace.make, **ports})

    def _call(self, port: str, name: str) -> None:
        """Let a call of a port fail, before it or after it."""
        if self._armed == "registry-gone" and port == "registry":
            raise StoreError("The registry does not answer.")
        if self._armed == "killed-step" and name in _WRITES:
            self._writes += 1
            if self._writes > (self.now.month - 1 + self._kills) % 5:
                raise Killed


class _Fragile:
    """A port that asks before and after each call whether it is to fail."""

    def __init__(self, port: Any, kind: str, call: Callable[[str, str], None]) -> None:
        self._port, self._kind, self._call = port, kind, call

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not callable(value):
            return value

        def call(*values: Any, **options: Any) -> Any:
            self._call(self._kind, name)
            answer = value(*values, **options)
            self._call(self._kind, name)
            return answer

        return call
