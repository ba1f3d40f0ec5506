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


def lived(user: Project, *more: str | Path, months: int = 1) -> dict[str, Any]:
    settings = [f"--set={setting}" for setting in (f"profile.state={user.state}", *SHORT)]
    ran = user.run("simulate", "--months", str(months), "--json", *settings, *more)
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


@pytest.mark.timeout(600)
def test_a_year_in_which_customers_change_retrains_and_the_gate_lets_the_new_version_live(user: Project) -> None:
    """Outcomes of this business are known within five weeks; few customers, so that margins are wide."""
    odds = {"kind": "changed_odds", "month": 7, "odds": 12, "only": {"billing_period": ["Annual"]}}
    settings = (
        f"simulation.events={json.dumps([{'kind': 'changed_odds', 'month': 1, 'odds': 3}, odds])}",
        "monitoring.min_outcomes=20",
        "monitoring.thresholds={scale: 0.9, missing: 0.9, unseen: 0.9}",  # shifts of so few are no broken feed
        "gate.margins={log_loss: 1, roc_auc: 1, profit_share: 9, slice_log_loss: 9}",
        "gate.min_slice_rows=10000",
    )
    chosen = [f"--set={text}" for text in settings]
    year = lived(user, "--dataset", "saas_simulated", "--policies", "never", *chosen, months=4)
    loop, never = year["policies"]
    assert (loop["promotions"], never["promotions"]) == (1, 0)
    assert [text for month in loop["months"] for text in month["happened"] if "version 2 is live" in text]
    assert never["against_loop"]["point"] < 0


def test_too_few_customers_to_train_on_are_said_in_words(user: Project) -> None:
    few = user.run("simulate", "--quiet", f"--set=profile.state={user.state}", "--set=simulation.customers=20")
    assert few.code == 2, few
    assert "customers" in few.paragraph
    assert list(user.temporary.iterdir()) == []
