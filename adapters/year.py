"""Where the states of a simulated year are, and the processes that live its branches side by side."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.core.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from churn.data.contract import DatasetContract
    from churn.lifecycle.workspace import Workspace
    from churn.lifecycle.year_steps import Connect, YearSteps
    from churn.profile import Profile
    from churn.settings import Settings

__all__ = ["InTurn", "YearStores", "year_processes"]


@dataclass(frozen=True)
class YearStores:
    """The states of a year: folders below `folder`, each with stores of its own.

    Attributes:
        contract: The data set.
        profile: The machine; each state moves it to its own folder.
        folder: Of all states.
        runs: Returns what runs the use cases, given the ports of a state, the settings and the profile.
    """

    contract: DatasetContract
    profile: Profile
    folder: Path
    runs: Callable[[Connect, Settings, Profile], YearSteps]

    def steps(self, name: str, settings: Settings) -> YearSteps:
        """Return what runs the use cases on the state of this name."""
        place = self.profile.moved(self.folder / name)
        place.state.mkdir(parents=True, exist_ok=True)
        return self.runs(partial(_ports, self.contract, settings.model_name, place), settings, place)

    def fork(self, name: str, into: str) -> None:
        """Copy the state of the first name to the second."""
        shutil.copytree(self.folder / name, self.folder / into)

    def written(self, name: str, rows: pa.Table) -> Path:
        """Write a table to be delivered, of this name, and return where it is."""
        import pyarrow.parquet

        path = self.folder / "incoming" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(rows, path)
        return path


def _ports(contract: DatasetContract, model: str, profile: Profile, clock: Callable[[], dt.datetime]) -> Workspace:
    from .local.no_stages import NoStages
    from .wiring import connect

    workspace = connect(contract, model, profile)
    ports = {"stages": NoStages, "identity": lambda: "the simulated year"}
    return replace(workspace, clock=clock, make={**workspace.make, **ports})


class InTurn(Executor):
    """Runs in this process, at once, what is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it, and return what it returned; what it raises is raised here."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def year_processes(number: int, prepare: Callable[[], None]) -> Iterator[Executor]:
    """Yield what runs functions in processes, which end with the block and with this process, however it ends.

    Args:
        number: Processes at most; each is started when it is needed.
        prepare: Called in each before all else.

    Raises:
        StoreError: a process was ended from outside.
    """
    with _Processes(number, multiprocessing.get_context("spawn"), _begin, (prepare,)) as processes:
        try:
            yield processes
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise StoreError(
                    "A process of the simulated year was ended from outside, often for lack of memory: simulate fewer "
                    "customers (simulation.customers), or one branch at a time (--set profile.resources.threads=1)."
                ) from error
            raise


class _Processes(ProcessPoolExecutor):
    """Its processes leave Ctrl-C to this one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it in a process; one that is started for it ignores Ctrl-C, as its parent does for that moment."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.signal(signal.SIGINT, before)


def _begin(prepare: Callable[[], None]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
