"""Studies that are killed, and studies that several processes work on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from adapters.local.studies import DatabaseStudies, sqlite_url
from tests.fakes.ports.studies import InMemoryStudies
from tests.forks import Python
from tests.unit.training.test_search import outcomes, search

SEARCH = """
import sys
from tests.adapters.local.test_tuning_processes import storage
from tests.unit.training.test_search import search

search(storage(sys.argv[1]))
"""
HANG_AFTER_FOUR_TRIALS = """
import sys, time
import churn.training.search
from tests.adapters.local.test_tuning_processes import storage
from tests.unit.training.test_search import search

def hang(*_, **__):
    print("hanging", flush=True)
    time.sleep(600)

def on_trial(trial):
    if trial.number == 3:
        churn.training.search.fit_folds = hang

search(storage(sys.argv[1]), on_trial=on_trial)
"""


def storage(path: Path | str) -> Any:
    """Return the studies in a file, of which a trial counts as failed three seconds after its last sign of life."""
    opened = DatabaseStudies(sqlite_url(Path(path))).storage()
    opened.heartbeat_interval, opened.grace_period = 1, 3
    return opened


def test_a_killed_study_resumes_without_losing_or_changing_a_trial(tmp_path: Path) -> None:
    path = tmp_path / "killed" / "studies.db"
    with Python(HANG_AFTER_FOUR_TRIALS, str(path)) as child:
        assert child.stdout.readline() == "hanging\n"
        child.kill()
    time.sleep(4)
    resumed = search(storage(path))
    uninterrupted = search(InMemoryStudies().storage())
    assert outcomes(resumed) == outcomes(uninterrupted)
    assert resumed.boosting == uninterrupted.boosting
    assert [trial.state for trial in resumed.trials].count("FAIL") == 1
    assert resumed.trials[4].state == "FAIL"


def test_two_processes_share_a_study(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    children = [Python(SEARCH, str(path)) for _ in range(2)]
    for child in children:
        child.communicate()
        assert child.returncode == 0
    result = search(storage(path))
    assert 8 <= len(outcomes(result)) <= 9
    assert result.best is not None
    assert result.best.value == min(trial.value for trial in result.trials if trial.value is not None)
