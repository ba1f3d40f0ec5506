"""What a stack needs in a workspace: planned without a change, made once, found by its mark, removed by it alone."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from databricks.sdk.service import compute, jobs

from adapters.databricks.monitor import PlatformMonitor
from adapters.databricks.stack import destroy, owned, plan, setup
from adapters.databricks.workspace import tags_of
from churn.core.errors import StoreError
from churn.profile import DatabricksSettings, MonitorSettings
from churn.settings import load_contract
from cli.context import CONFIGS
from cli.main import main

from .serving_case import ServingCase
from .workspace import Workspace

TELCO, SAAS = load_contract(CONFIGS, "telco"), load_contract(CONFIGS, "saas")
WHERE = ("--stack", "databricks", "--dataset", "telco")
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def settings(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> DatabricksSettings:
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    return DatabricksSettings(retry_timeout_seconds=5)


def changes(workspace: Workspace) -> list[str]:
    return [f"{request.method} {request.path}" for request in workspace.requests if request.method in CHANGING]


def test_a_plan_names_what_is_missing_and_changes_nothing(workspace: Workspace, settings: DatabricksSettings) -> None:
    pieces = plan(settings, TELCO, files=True)
    assert [(piece.kind, piece.name, piece.change) for piece in pieces] == [
        ("schema", "main.telco", "make"),
        ("schema", "main.churn", "make"),
        ("volume", "main.churn.files", "make"),
        ("workspace folder", "/Shared/churn", "make"),
    ]
    assert [piece.kind for piece in plan(settings, TELCO, files=False)] == ["schema", "workspace folder"]
    assert changes(workspace) == []


def test_a_setup_makes_what_is_missing_with_its_mark_and_typed_again_nothing(
    workspace: Workspace, settings: DatabricksSettings
) -> None:
    assert {piece.change for piece in setup(settings, TELCO, files=True)} == {"make"}
    mark = {"managed_by": "churn", "churn_project": "churn"}
    assert workspace.catalog.schemas["main.telco"]["properties"] == mark
    assert "[managed_by=churn, churn_project=churn]" in workspace.catalog.volumes["main.churn.files"]["comment"]
    before = changes(workspace)
    again = setup(settings, TELCO, files=True)
    assert [piece.change for piece in again] == ["same", "same", "same", "not ours"]
    assert changes(workspace) == before


def test_what_was_changed_by_hand_is_shown_and_brought_back(workspace: Workspace, settings: DatabricksSettings) -> None:
    setup(settings, TELCO, files=True)
    workspace.catalog.schemas["main.telco"]["comment"] = "something else"
    [piece] = [piece for piece in plan(settings, TELCO, files=True) if piece.change == "change"]
    assert piece.differences() == {"comment": ("something else", TELCO.description)}
    setup(settings, TELCO, files=True)
    assert workspace.catalog.schemas["main.telco"]["comment"] == TELCO.description


@pytest.mark.parametrize(
    "route", ["POST /api/2.1/unity-catalog/schemas", "POST /api/2.1/unity-catalog/volumes", "POST .*/mkdirs"]
)
def test_an_answer_that_is_lost_makes_nothing_twice(
    workspace: Workspace, settings: DatabricksSettings, route: str
) -> None:
    workspace.faults.lose(route)
    setup(settings, TELCO, files=True)
    assert {piece.change for piece in plan(settings, TELCO, files=True)} == {"same", "not ours"}


def test_what_others_made_is_used_and_neither_changed_nor_removed(
    workspace: Workspace, settings: DatabricksSettings
) -> None:
    workspace.catalog.add_volume("main.churn.files")
    workspace.catalog.add_schema("main.saas")
    setup(settings, TELCO, files=True)
    assert "properties" not in workspace.catalog.schemas["main.churn"]
    assert [piece.name for piece in destroy(settings)] == ["main.telco"]
    assert sorted(workspace.catalog.schemas) == ["main.churn", "main.saas"]
    assert list(workspace.catalog.volumes) == ["main.churn.files"]


def test_only_what_carries_the_id_of_the_project_is_removed(workspace: Workspace, settings: DatabricksSettings) -> None:
    other = settings.model_copy(update={"project": "churn_other"})
    setup(settings, TELCO, files=True)
    setup(other, SAAS, files=False)
    client = workspace.client()
    spec = compute.Environment(environment_version="4")
    for owner in (settings, other):
        environments = [jobs.JobEnvironment(environment_key="default", spec=spec)]
        client.jobs.create(name="training", tags=tags_of(owner), environments=environments)
    client.jobs.create(name="somebody's")
    workspace.catalog.tables["main.telco.churn_features"] = {"full_name": "main.telco.churn_features"}
    found = owned(settings)
    assert [(each.kind, each.name) for each in found] == [
        ("job", "training"),
        ("schema", "main.telco"),
        ("schema", "main.churn"),
    ]
    assert found[1].holds == ("table main.telco.churn_features",)
    before = changes(workspace)
    owned(settings)
    assert changes(workspace) == before
    destroy(settings)
    assert [job["settings"]["name"] for job in workspace.jobs.jobs.values()] == ["training", "somebody's"]
    assert list(workspace.catalog.schemas) == ["main.saas"]
    assert owned(settings) == []


def test_endpoint_alert_and_lakebase_project_are_removed_by_their_marks_too(
    workspace: Workspace, settings: DatabricksSettings
) -> None:
    case, lakebase = ServingCase(workspace), "projects/online/branches/production/endpoints/primary"
    case.host.ensure(1, within=1)
    watched = settings.model_copy(update={"monitor": MonitorSettings(warehouse_id="0a1b")})
    PlatformMonitor(workspace.client(), watched, "gym", "main.gym").place_alert()
    workspace.lakebase.add_project("theirs")
    assert setup(settings, TELCO, files=False, lakebase=lakebase)[-1].change == "make"
    assert setup(settings, TELCO, files=False, lakebase=lakebase)[-1].change == "same"
    assert [(each.kind, each.name) for each in owned(settings)] == [
        ("endpoint", "churn_gym"),
        ("SQL alert", "churn-drift-gym"),
        ("Lakebase project", "projects/online"),
        ("schema", "main.telco"),
    ]
    destroy(settings)
    assert (workspace.serving.endpoints, workspace.monitors.alerts) == ({}, {})
    assert [name for name in workspace.lakebase.resources if name.count("/") == 1] == ["projects/theirs"]
    assert owned(settings) == []


def test_a_missing_privilege_and_a_missing_catalog_are_named(
    workspace: Workspace, settings: DatabricksSettings
) -> None:
    workspace.catalog.deny("CREATE SCHEMA", "main")
    with pytest.raises(StoreError, match=r"CREATE SCHEMA on Catalog 'main'\. Ask an administrator"):
        setup(settings, TELCO, files=True)
    with pytest.raises(StoreError, match="Catalog 'other' does not exist"):
        plan(settings.model_copy(update={"catalog": "other"}), TELCO, files=True)


def typed(*arguments: str, state: Path) -> int:
    return main([*arguments, "--set", f"profile.state={state}"])


def test_the_commands_plan_make_and_remove_only_with_yes(
    workspace: Workspace, settings: DatabricksSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--stack", "hybrid", "--dataset", "telco")
    assert typed("stack", "plan", *where, state=tmp_path) == 0
    assert "+ schema main.telco\n" in capsys.readouterr().out
    assert typed("stack", "setup", *where, state=tmp_path) == 0
    assert "+ schema main.telco: made" in capsys.readouterr().out
    assert typed("stack", "destroy", "--plan", *where, state=tmp_path) == 0
    assert "1 of the project (churn_project=churn) would be removed." in capsys.readouterr().out
    assert typed("stack", "destroy", *where, state=tmp_path) == 2
    assert "type it again with --yes" in capsys.readouterr().err
    assert "main.telco" in workspace.catalog.schemas
    assert typed("stack", "destroy", "--yes", *where, state=tmp_path) == 0
    assert "main.telco" not in workspace.catalog.schemas


JOBS = {
    "churn-deployment-job-telco",
    *(
        f"churn-{pipeline}-telco"
        for pipeline in ("features", "training", "deployment", "inference", "monitoring", "retraining")
    ),
}


def test_a_plan_compares_the_jobs_too_and_a_setup_makes_them_with_the_code_that_they_run(
    workspace: Workspace, settings: DatabricksSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("stack", "plan", *WHERE, state=tmp_path) == 0
    planned = capsys.readouterr().out.splitlines()
    assert {line.removeprefix("+ job ") for line in planned if line.startswith("+ job ")} == JOBS
    assert changes(workspace) == []
    assert typed("stack", "setup", *WHERE, state=tmp_path) == 0
    there = {job["settings"]["name"]: job["settings"] for job in workspace.jobs.jobs.values()}
    assert there.keys() == JOBS
    training = there["churn-training-telco"]
    tasks = {task["task_key"]: task for task in training["tasks"]}
    assert [need["task_key"] for need in tasks["train"]["depends_on"]] == ["build_training_set", "tune"]
    for line in training["environments"][0]["spec"]["dependencies"]:
        assert workspace.files.path(line.removeprefix("-r ")).is_file(), "what a job runs is in the volume"
    tasks["ingest"]["max_retries"], training["max_concurrent_runs"] = 3, 5
    capsys.readouterr()
    before = changes(workspace)
    assert typed("stack", "plan", *WHERE, state=tmp_path) == 0
    told = capsys.readouterr().out
    assert "~ job churn-training-telco\n" in told
    assert "tasks.ingest.max_retries: 3 → 0" in told
    assert "max_concurrent_runs: 5 → 1" in told
    assert "1 of 12 to be made or changed." in told
    assert changes(workspace) == before
    assert typed("stack", "setup", *WHERE, state=tmp_path) == 0
    again = [job["settings"] for job in workspace.jobs.jobs.values()]
    assert {job["name"]: job["max_concurrent_runs"] for job in again} == dict.fromkeys(JOBS, 1)


def test_a_destruction_that_is_interrupted_is_completed_by_the_same_command(
    workspace: Workspace, settings: DatabricksSettings
) -> None:
    case, lakebase = ServingCase(workspace), "projects/online/branches/production/endpoints/primary"
    case.host.ensure(1, within=1)
    setup(settings, TELCO, files=True, lakebase=lakebase)
    spec = compute.Environment(environment_version="4")
    environments = [jobs.JobEnvironment(environment_key="default", spec=spec)]
    workspace.client().jobs.create(name="training", tags=tags_of(settings), environments=environments)
    everything = [(each.kind, each.name) for each in owned(settings)]
    for route, gone in (
        ("DELETE /api/2.0/serving-endpoints/churn_gym", 1),
        ("DELETE /api/2.0/postgres/projects/online", 2),
        ("DELETE /api/2.1/unity-catalog/schemas/main.churn", 4),
    ):
        workspace.faults.refuse(route, 500)
        with pytest.raises(StoreError, match=r"could not remove the .*: the same command, typed again, goes on"):
            destroy(settings)
        assert [(each.kind, each.name) for each in owned(settings)] == everything[gone:], "what is left is found again"
    destroy(settings)
    assert owned(settings) == []


def test_a_stack_without_a_workspace_has_none_to_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("plan", "setup", "destroy"):
        assert typed("stack", action, "--stack", "local", state=tmp_path) == 2
        assert "The stack 'local' has no Databricks workspace" in capsys.readouterr().err


def test_the_stacks_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "list"]) == 0
    listed = capsys.readouterr().out
    assert {"databricks", "hybrid", "local"} <= {line[2:].split()[0] for line in listed.splitlines() if len(line) > 2}
    assert main(["stack", "show", "--stack", "databricks"]) == 0
    assert "/Volumes/main/churn/files" in capsys.readouterr().out


def test_a_chosen_stack_holds_until_another_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cli import context

    monkeypatch.setattr(context, "CHECKOUT", tmp_path)
    assert main(["stack", "use", "hybird"]) == 2
    assert "did you mean 'hybrid'?" in capsys.readouterr().err
    assert main(["stack", "use", "hybrid"]) == 0
    assert context.configuration_of(argparse.Namespace()).profile.name == "hybrid"
    assert context.configuration_of(argparse.Namespace(stack="local")).profile.name == "local"
