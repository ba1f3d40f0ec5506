"""Studies that are killed, and studies that several processes work on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.training.test_search import outcomes, search

ROOT = Path(__file__).parents[3]

SEARCH = """
import sys
from pathlib import Path
from tests.unit.training.test_search import search

search(Path(sys.argv[1]))
"""
HANG_AFTER_FOUR_TRIALS = """
import sys, time
from pathlib import Path
import churn.training.trials
from tests.unit.training.test_search import search

def hang(*_, **__):
    print("hanging", flush=True)
    time.sleep(600)

def on_trial(trial):
    if trial.number == 3:
        churn.training.trials.fit_folds = hang

search(Path(sys.argv[1]), on_trial=on_trial)
"""


def start(script: str, journal: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(journal)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)


def test_a_killed_study_resumes_without_losing_or_changing_a_trial(tmp_path: Path) -> None:
    journal = tmp_path / "killed" / "journal.log"
    with start(HANG_AFTER_FOUR_TRIALS, journal) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "hanging\n"
        child.kill()
    with journal.open("ab") as file:
        file.write(b'{"cut short')
    resumed = search(journal)
    uninterrupted = search(tmp_path / "uninterrupted" / "journal.log")
    assert outcomes(resumed) == outcomes(uninterrupted)
    assert resumed.boosting == uninterrupted.boosting
    assert [trial.state for trial in resumed.trials].count("FAIL") == 1
    assert resumed.trials[4].state == "FAIL"


def test_two_processes_share_a_study(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    children = [start(SEARCH, journal) for _ in range(2)]
    for child in children:
        child.communicate()
        assert child.returncode == 0
    result = search(journal)
    assert 8 <= len(outcomes(result)) <= 9
    assert result.best is not None
    assert result.best.value == min(trial.value for trial in result.trials if trial.value is not None)
