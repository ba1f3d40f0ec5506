"""The processes of a simulated year: they work side by side, and end with the year however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest

from adapters.year import InTurn, year_processes
from churn.core.errors import ConfigError, StoreError
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(60)


def prepared() -> None:
    os.environ["PREPARED_YEAR"] = "yes"


def meet(folder: Path, number: int) -> tuple[int, str | None]:
    """Return this process and what it was prepared with, when as many as `number` processes are here."""
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < number:
        time.sleep(0.01)
    return os.getpid(), os.environ.get("PREPARED_YEAR")


def refused() -> None:
    raise ConfigError("no such scenario")


def test_processes_work_side_by_side_each_prepared_once(tmp_path: Path) -> None:
    with year_processes(2, prepared) as processes:
        both = [processes.submit(meet, tmp_path, 2) for _ in range(2)]
        (first, told), (second, _) = (future.result() for future in both)
        assert len({first, second, os.getpid()}) == 3
        assert told == "yes"
        with pytest.raises(ConfigError, match="no such scenario"):
            processes.submit(refused).result()
    assert "PREPARED_YEAR" not in os.environ
    assert active_children() == []


def test_in_turn_is_this_process(tmp_path: Path) -> None:
    assert InTurn().submit(meet, tmp_path, 1).result() == (os.getpid(), None)
    with pytest.raises(ConfigError, match="no such scenario"):
        InTurn().submit(refused)


def broken_off(error: BaseException, folder: Path) -> None:
    with year_processes(2, prepared) as processes:
        processes.submit(meet, folder, 1).result()
        for _ in range(3):
            processes.submit(meet, folder, 99)
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConfigError("no")])
def test_what_ends_the_year_ends_its_processes(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        broken_off(error, tmp_path)
    assert active_children() == []


def killed() -> None:
    with year_processes(1, prepared) as processes:
        processes.submit(signal.raise_signal, signal.SIGKILL).result()


def test_a_process_that_is_killed_is_said_in_words() -> None:
    with pytest.raises(StoreError, match=r"ended from outside.*simulation\.customers.*resources\.threads=1"):
        killed()
    assert active_children() == []


def test_processes_do_not_outlive_a_year_that_was_killed(tmp_path: Path) -> None:
    year = subprocess.Popen(
        [sys.executable, __file__, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,  # of what it left, as it was killed
    )
    try:
        while not (started := list(tmp_path.iterdir())):
            time.sleep(0.05)
    finally:
        year.kill()
        year.wait(10)
    (worker,) = (int(path.name) for path in started)
    while Path(f"/proc/{worker}/status").exists() and "zombie" not in Path(f"/proc/{worker}/status").read_text():
        time.sleep(0.05)


if __name__ == "__main__":
    with year_processes(1, prepared) as running:
        running.submit(partial(meet, Path(sys.argv[1]), 99)).result()
