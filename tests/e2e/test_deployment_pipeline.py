"""The deployment pipeline as a user types it: the first champion, a better one, an equal one, a person who decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from churn.data.contract import DatasetContract
from churn.ports.ledger import Decision
from churn.ports.registry import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION
from tests.e2e.project import DEPLOYABLE, ROOT, Project, Ran

pytestmark = pytest.mark.timeout(300)

MODEL, DATASET = "churn_telco_simulated", "telco_simulated"
LEFT_OUT = {"contract", "tenure", "internet_service", "payment_method", "total_charges"}
"""Columns without which churn is hard to see."""
STEPS = ["evaluation", "approval_check", "promotion", "release"]


@pytest.fixture(scope="module")
def project(new_user: Callable[..., Project]) -> Project:
    return new_user("deploying")


def trained(project: Project, *settings: str, **options: Any) -> Ran:
    return project.train(*DEPLOYABLE, *settings, **options).succeeded()


def deployed(project: Project, *settings: str, **options: Any) -> Ran:
    return project.run(*project.arguments("deployment", *DEPLOYABLE, *settings, **options))


def state_of(project: Project) -> str:
    return f"--set=profile.state={project.state}"


@pytest.fixture(scope="module")
def short_sighted(project: Project) -> Path:
    """The contract of the same dataset as it was when less was known of the customers."""
    shipped = DatasetContract.load(ROOT / "configs" / "datasets" / "telco_simulated.yaml")
    contract = shipped.model_dump(mode="json", exclude_none=True, exclude={"feature_digest"})
    contract["columns"] = {name: each for name, each in contract["columns"].items() if name not in LEFT_OUT}
    contract["features"] = [each for each in contract["features"] if not LEFT_OUT & set(each["inputs"])]
    contract["slices"] = [name for name in contract["slices"] if name not in LEFT_OUT]
    path = project.work / "telco.yaml"
    path.write_text(json.dumps(contract, default=str))
    return path


@pytest.fixture(scope="module")
def failed(project: Project, short_sighted: Path) -> Ran:
    """A first deployment whose features cannot go online."""
    trained(project, dataset=short_sighted)
    nowhere = project.work / "no-folder"
    nowhere.touch()
    return deployed(project, f"profile.online.address={nowhere}", dataset=short_sighted)


@pytest.fixture(scope="module")
def first(project: Project, failed: Ran, short_sighted: Path) -> Ran:
    return deployed(project, dataset=short_sighted)


@pytest.fixture(scope="module")
def second(project: Project, first: Ran) -> Ran:
    """A recipe that knows more, under a policy that asks a person."""
    trained(project)
    return deployed(project, "approval.policy=manual")


@pytest.fixture(scope="module")
def approved(project: Project, second: Ran) -> Ran:
    return project.run("approve", "--version", "2", "--reason", "it earns more", "--as", "mary", state_of(project))


@pytest.fixture(scope="module")
def third(project: Project, approved: Ran) -> Ran:
    """The next run after the approval."""
    return deployed(project, "approval.policy=manual")


@pytest.fixture(scope="module")
def again(project: Project, third: Ran) -> Ran:
    return deployed(project)


@pytest.fixture(scope="module")
def equal(project: Project, again: Ran) -> Ran:
    """The same recipe and data with another seed."""
    trained(project, "seed=7")
    return deployed(project, "seed=7")


@pytest.fixture(scope="module")
def back(project: Project, equal: Ran) -> Ran:
    return project.run("rollback", "--reason", "complaints", "--as", "joe", state_of(project))


@pytest.fixture(scope="module")
def records(project: Project, back: Ran) -> list[Decision]:
    from adapters.local.decision_ledger import LocalDecisionLedger

    return LocalDecisionLedger(project.state / "tables", DATASET).read()


@pytest.fixture(scope="module")
def zenml(project: Project, back: Ran) -> dict[str, Any]:
    return project.zenml()


def alias(project: Project, name: str) -> int | None:
    version = project.registry.by_alias(MODEL, name)
    return None if version is None else version.version


def test_where_the_release_fails_what_was_live_before_is_live_again_and_the_command_fails(failed: Ran) -> None:
    assert failed.code == 2
    told = f"{MODEL} version 1 was promoted and taken back: no version is live, as before. The publication failed: "
    assert told in failed.err


def test_without_a_champion_the_first_that_clears_its_own_bars_goes_live(first: Ran) -> None:
    first.succeeded()
    assert list(first.steps) == STEPS
    assert "Version 1 passes the gate: all 16 checks passed." in first.out
    assert f"{MODEL} version 1 is @Champion." in first.out


def test_a_better_recipe_waits_for_a_person_and_nothing_moves(second: Ran) -> None:
    assert second.code == 4, second.out + second.err
    assert "recipe" in second.out
    assert "Version 2 passes the gate" in second.out
    assert f"{MODEL} version 2 is not promoted." in second.out
    assert "python run.py approve --version 2" in second.out


def test_after_the_approval_the_next_run_goes_on_without_another_gate(approved: Ran, third: Ran) -> None:
    approved.succeeded()
    third.succeeded()
    assert "18 checks, judged on " in third.out
    assert "refitted" not in third.out
    assert f"{MODEL} version 2 is @Champion, version 1 is @PreviousChampion." in third.out


def test_the_champion_has_nothing_to_prove(again: Ran) -> None:
    again.succeeded()
    assert f"{MODEL} version 2 is @Champion already: nothing to do." in again.out


def test_an_equal_model_is_refused_and_the_exit_code_says_so(equal: Ran) -> None:
    assert (equal.code, equal.err) == (3, "")
    assert "Version 3 is refused" in equal.out
    assert "recipe: " in equal.out
    assert f"{MODEL} version 3 is not promoted." in equal.out


def test_the_page_of_a_training_run_holds_a_new_version_against_the_one_that_is_live(
    project: Project, equal: Ran
) -> None:
    pages = [page.read_text(encoding="utf-8") for page in sorted((project.state / "reports").glob("training-*.html"))]
    assert ["Beside the champion" in page for page in pages] == [False, True, True]
    assert all("challenger better by (90% interval)" in page for page in pages[1:])


def test_a_rollback_brings_the_version_back_that_was_live(project: Project, back: Ran) -> None:
    back.succeeded()
    assert (alias(project, CHAMPION), alias(project, CHALLENGER)) == (1, 3)
    assert alias(project, PREVIOUS_CHAMPION) is None, "before version 1 nothing was live"


def test_the_versions_carry_the_verdict_of_every_check(project: Project, back: Ran) -> None:
    tags = {version.version: version.tags for version in project.registry.versions(MODEL)}
    assert {number: each["Approval_Check"] for number, each in tags.items()} == {
        1: "Approved",
        2: "Rejected",
        3: "Rejected",
    }
    assert (tags[2]["gate"], tags[3]["gate"]) == ("passed", "refused")
    assert {"registered_by", "recipe_digest", "trained_until"} <= set(tags[1])


def test_the_ledger_tells_who_decided_what(records: list[Decision]) -> None:
    told = [(record.kind, record.version) for record in records]
    assert told == [
        ("gate_passed", 1), ("approved", 1), ("promotion_begun", 1), ("promoted", 1), ("withdrawn", 1),
        ("gate_passed", 1), ("approved", 1), ("promotion_begun", 1), ("promoted", 1), ("deployed", 1),
        ("gate_passed", 2), ("pending", 2), ("approved", 2), ("promotion_begun", 2), ("promoted", 2), ("deployed", 2),
        ("gate_refused", 3), ("rejected", 3),
        ("rollback_begun", 1), ("rolled_back", 1),
    ]  # fmt: skip
    people = {record.who: record.why for record in records if record.who in {"mary", "joe"}}
    assert (people["mary"], people["joe"]) == ("it earns more", "complaints")


def test_the_audit_finds_nothing_until_somebody_moves_an_alias_by_hand(project: Project, back: Ran) -> None:
    project.run("audit", state_of(project)).succeeded()
    project.registry.set_alias(MODEL, CHAMPION, 3)
    try:
        found = project.run("audit", state_of(project))
        refused = deployed(project)
    finally:
        project.registry.set_alias(MODEL, CHAMPION, 1)
    assert found.code == 2
    assert "@Champion" in found.out
    assert "was moved without a decision" in refused.paragraph
    assert alias(project, CHAMPION) == 1


def test_the_dashboard_shows_every_step_and_which_version_is_live(zenml: dict[str, Any]) -> None:
    runs = [run for run in zenml["runs"] if list(run["steps"]) == STEPS]
    failed, *runs = runs
    assert (failed["status"], failed["tags"]) == ("failed", ["failed: publication", "passed: v1"])
    assert {run["status"] for run in runs} == {"completed"}
    assert all(pictures == ["markdown", "html"] for run in runs for pictures in run["outputs"].values())
    assert [run["tags"] for run in runs][:4] == [
        ["champion v1", "passed: v1"],
        ["champion v1", "passed: v2", "waits: v2"],
        ["champion v2", "passed: v2"],
        ["champion v2", "passed: v2"],
    ]
    live, verdict = runs[4]["tags"]
    assert (live, verdict.partition(":")[0]) == ("champion v2", "refused")
    stages = {name: version["stage"] for name, version in zenml["models"][MODEL].items()}
    assert stages == {"v1": "production", "v2": "archived", "v3": "staging"}


def test_the_registry_says_what_each_gate_found_and_which_version_is_live(project: Project, back: Ran) -> None:
    descriptions = {version.version: version.description for version in project.registry.versions(MODEL)}
    assert "version 1 passes the gate" in descriptions[1]
    assert "version 3 is refused" in descriptions[3]
    assert all(text.count("**Gate of ") == 1 for text in descriptions.values())
    assert "**Live: version 1.** Version 1 is @Champion again" in project.mlflow.get_registered_model(MODEL).description
    for version in project.registry.versions(MODEL):
        assert version.run_id is not None
        assert "gate.html" in {file.path for file in project.mlflow.list_artifacts(version.run_id)}


def test_the_report_of_the_gate_is_one_page(second: Ran) -> None:
    page = Path(second.report).read_text(encoding="utf-8")
    assert "Version 2 passes the gate" in page
    assert "cannot be told apart on" in page
    assert 'src="http' not in page


def test_there_is_no_deployment_before_a_training(project: Project, tmp_path: Path) -> None:
    refused = deployed(project.with_state(tmp_path / "state"))
    assert "python run.py --pipeline training" in refused.paragraph
    assert not list(tmp_path.glob("state/logs/*")), "it is refused before a run is made"
