"""`run.py simulate` on real stores: a short year, the same with every fault, and what is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import Project

SHORT = (
    "simulation.customers=400",
    "simulation.months=6",
    "model.candidates=[additive]",
    "model.folds=3",
    "gate.resamples=200",
    "gate.min_churners=10",
    "gate.max_ece=0.3",
)
SAME = ("bronze_customers", "churn_features", "churn_labels", "churn_training", "churn_baseline", "churn_predictions")


@pytest.fixture(scope="module")
def user(new_user: Callable[..., Project]) -> Project:
    return new_user("year", fresh=True)


def lived(user: Project, *more: str | Path) -> dict[str, Any]:
    settings = [f"--set={setting}" for setting in (f"profile.state={user.state}", *SHORT)]
    ran = user.run("simulate", "--months", "1", "--json", *settings, *more)
    assert ran.code in {0, 3}, ran
    year: dict[str, Any] = json.loads(ran.out)
    return year


@pytest.mark.timeout(600)
def test_a_year_with_every_fault_leaves_the_tables_of_one_without(user: Project) -> None:
    kept = {name: user.work / name for name in ("whole", "faulty")}
    whole, faulty = lived(user, "--keep", kept["whole"]), lived(user, "--keep", kept["faulty"], "--faults")
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


def test_too_few_customers_to_train_on_are_said_in_words(user: Project) -> None:
    few = user.run("simulate", "--quiet", f"--set=profile.state={user.state}", "--set=simulation.customers=20")
    assert few.code == 2, few
    assert "customers" in few.paragraph
    assert list(user.temporary.iterdir()) == []
