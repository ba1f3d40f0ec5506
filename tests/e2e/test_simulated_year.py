"""`run.py simulate` on real stores: a short year, the same with every fault, and what is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.project import Project

SHORT = (
    "simulation.customers=400",
    "simulation.months=6",
    "model.candidates=[additive]",
    "model.folds=3",
    "gate.resamples=100",
    "gate.min_churners=10",
    "gate.max_ece=0.3",
)
SAME = ("bronze_customers", "churn_features", "churn_labels", "churn_training", "churn_baseline", "churn_predictions")


@pytest.fixture(scope="module")
def user(new_user: Callable[..., Project]) -> Project:
    return new_user("year", fresh=True)


def test_a_year_with_every_fault_leaves_the_tables_of_one_without(user: Project) -> None:
    settings = [f"--set={setting}" for setting in (f"profile.state={user.state}", *SHORT)]
    kept: dict[str, Path] = {name: user.work / name for name in ("whole", "faulty")}
    line = ["simulate", "--months", "2", "--json", *settings, "--keep"]
    whole = json.loads(user.run(*line, kept["whole"]).out)
    faulty = json.loads(user.run(*line, kept["faulty"], "--faults").out)
    assert whole["exit"] in {0, 3}
    assert Path(whole["page"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [policy["name"] for policy in whole["policies"]] == ["loop", "never", "monthly", "demo"]
    assert (whole["faults"], len(faulty["faults"])) == ([], 5)
    for name in ("policies", "optimum", "control_cost", "goals"):
        assert faulty[name] == whole[name], name
    first, second = (user.with_state(kept[name] / "start").tables("telco_simulated") for name in kept)
    assert set(first) == set(second)
    for table in (*SAME, "churn_contacts"):
        assert first[table].content_id == second[table].content_id, table
    for table in ("profile_metrics", "drift_metrics", "decisions"):
        assert first[table].rows == second[table].rows, table
    assert list(user.temporary.iterdir()) == []


def test_what_cannot_be_lived_is_said_in_words(user: Project) -> None:
    few = user.run("simulate", f"--set=profile.state={user.state}", "--set=simulation.customers=20")
    assert "customers" in few.err
    assert few.code == 2
    for line, says in (
        (["--months", "0"], "--months 0 is no year"),
        (["--faults", "flood"], "There is no fault 'flood'"),
        (["--keep", str(user.work)], "is there already"),
        (["--dataset", "telco"], "are not simulated"),
    ):
        assert says in user.run("simulate", f"--set=profile.state={user.state}", *line).paragraph
