"""The deployment job run by the workspace: started by a new version, approved, repaired, cancelled, two at once.

Its tasks are processes of the wheel that know their payload alone; ZenML has no server, and none is asked for. Tables
lie on this machine, since those of Unity Catalog need Spark.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.databricks.deployment_job import DeploymentJob
from adapters.databricks.workspace import make_folder
from adapters.platform import job_workspace
from adapters.wiring import connect, now
from churn.core.errors import ConfigError
from churn.lifecycle.deployment_job import TASKS
from churn.lifecycle.features import build_features, ingest
from churn.lifecycle.year_steps import YearSteps
from churn.settings import load_contract, read_configuration
from cli.context import CONFIGS
from tests.e2e.project import DEPLOYABLE, SMALL

from .runs import Run
from .warm import Warm
from .workspace import Workspace

pytestmark = pytest.mark.timeout(900)

DATASET, NAME = "telco_simulated", "main.telco_simulated.churn_telco_simulated"
LAPTOP = ["gate_passed", "pending", "approved", "promotion_begun", "promoted", "deployed"]
"""What the pipeline of a laptop leaves in the ledger, as `test_deployment_tasks.py` finds it."""


class Case:
    """A workspace with the job of a data set, whose model gets a new version."""

    def __init__(self, workspace: Workspace, state: Path) -> None:
        own = (f"profile.state={state}", f"dataset={DATASET}", "approval.policy=manual")
        jobs = "profile.databricks.jobs={poll_seconds: 0.2, timeout_seconds: 600}"
        self.workspace = workspace
        self.settings, self.profile = read_configuration(
            CONFIGS, "hybrid", None, (*own, jobs, *SMALL, *DEPLOYABLE, "profile.databricks.retry_timeout_seconds=5")
        )
        self.contract = load_contract(CONFIGS, DATASET)
        make_folder(self.profile.workspace)
        self.job = DeploymentJob(self.profile, self.contract, "churn_telco_simulated")
        self.placed, self.link = self.job.create(self.settings)
        (profile,) = workspace.files.path("/Volumes/main/churn/files/code").glob("profile-*.json")
        profile.write_text(profile.read_text().replace("{state}", str(state)))

    def train(self) -> None:
        ports = job_workspace(self.contract, self.settings, self.profile)
        steps = YearSteps(lambda clock: replace(ports, clock=clock), self.settings)
        steps.now = now()
        build_features(steps.workspace, self.settings, ingest(steps.workspace, self.settings, purpose="training")[0])
        steps.train()

    @property
    def records(self) -> list[Any]:
        ledger = connect(self.contract, self.settings.model_name, self.profile).ledger
        return list(ledger.read())

    @property
    def aliases(self) -> dict[str, int]:
        found: dict[str, int] = self.workspace.mlflow.models[NAME]["aliases"]
        return found

    def start(self, version: str) -> int:
        given = {"model_name": NAME, "model_version": version}
        return self.workspace.client().jobs.run_now(self.placed.job_id, job_parameters=given).run_id

    def ended(self, run_id: int) -> Run:
        return self.workspace.jobs.wait(run_id, 600)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("case")
    with Workspace(folder / "workspace", warm=warm) as running, pytest.MonkeyPatch.context() as patch:
        running.catalog.add_volume("main.churn.files")
        running.catalog.add_schema(f"main.{DATASET}")
        for name, value in running.environment().items():
            patch.setenv(name, value)
        made = Case(running, folder / "state")
        made.train()
        yield made


def results(run: Run) -> list[str]:
    return [task.result for task in run.tasks]


def test_a_new_version_starts_the_job_which_waits_for_a_person(case: Case) -> None:
    (run,) = case.workspace.jobs.runs.values()
    assert run.parameters == {"model_name": NAME, "model_version": "1"}
    ended = case.job.wait(1)
    assert ended.state == "waiting", (ended, [task.output for task in run.tasks])
    assert ended.sentence.startswith("Version 1 of churn_telco_simulated waits for a person")
    assert results(run) == ["SUCCESS", "FAILED", "UPSTREAM_FAILED"]
    assert "Traceback" not in run.tasks[1].output
    assert [record.kind for record in case.records] == LAPTOP[:2]
    assert "Champion" not in case.aliases


def test_a_repair_that_loses_the_parameters_is_told_so(case: Case) -> None:
    (run,) = case.workspace.jobs.runs.values()
    case.workspace.client().jobs.repair_run(run.run_id, rerun_all_failed_tasks=True)
    assert results(case.ended(run.run_id)) == ["SUCCESS", "FAILED", "UPSTREAM_FAILED"]
    assert "without the parameter model_version" in run.tasks[1].error
    assert [record.kind for record in case.records] == LAPTOP[:2]
    run.parameters = {"model_name": NAME, "model_version": "1"}


def test_the_button_approves_and_the_version_goes_live_as_on_a_laptop(case: Case) -> None:
    run = case.ended(case.workspace.mlflow.approve(NAME, 1))
    assert results(run) == ["SUCCESS"] * 3, [task.output for task in run.tasks]
    assert [task.attempt for task in run.tasks] == [0, 2, 2]
    assert [record.kind for record in case.records] == LAPTOP
    approval = case.records[2]
    assert approval.who == "ada@example.com (tag Approval_Check)"
    assert f"/jobs/{case.placed.job_id}/runs/{run.run_id}" in approval.why
    assert approval.digests == case.records[0].digests
    assert case.aliases["Champion"] == 1
    assert case.workspace.mlflow.version(NAME, 1)["tags"]["Approval_Check"] == "Approved"
    assert case.job.wait(1).state == "live"


def test_of_two_runs_at_once_the_second_waits_and_neither_decides_twice(case: Case) -> None:
    first, second = case.start("1"), case.start("1")
    assert case.workspace.jobs.runs[second].life == "QUEUED"
    while case.workspace.jobs.runs[first].tasks[0].process is None:
        time.sleep(0.02)
    case.workspace.client().jobs.cancel_run(first)
    assert case.ended(first).result == "CANCELED"
    again = case.ended(second)
    assert results(again) == ["SUCCESS"] * 3, [task.output for task in again.tasks]
    assert "nothing to do" in again.tasks[2].output
    assert [record.kind for record in case.records] == LAPTOP


def test_a_version_that_is_not_there_fails_the_first_task_with_words_and_a_record(case: Case) -> None:
    run = case.ended(case.start("9"))
    assert results(run) == ["FAILED", "UPSTREAM_FAILED", "UPSTREAM_FAILED"]
    assert "churn_telco_simulated has no version 9; it has 1" in run.tasks[0].error
    assert (case.job.wait(9).state, "has no version 9" in case.job.wait(9).sentence) == ("failed", True)
    records = sorted((case.profile.state / "deployment-job").iterdir())
    assert "has no version 9" in records[-1].read_text()
    assert {path.stem.partition("-")[2] for path in records} == set(TASKS)


def test_a_repair_by_the_command_passes_the_parameters_again(case: Case) -> None:
    with pytest.raises(ConfigError, match="newest run of version 1 succeeded: there is nothing to repair"):
        case.job.repair(1)
    case.workspace.faults.lose("POST /api/2.2/jobs/runs/repair")
    case.job.repair(9)
    run = case.ended(max(case.workspace.jobs.runs))
    assert (run.parameters["model_version"], run.tasks[0].attempt) == ("9", 1)
    assert "has no version 9" in run.tasks[0].error, "and not that a parameter is missing"


def test_every_run_is_shown_with_its_version(case: Case) -> None:
    told = case.job.show()
    assert told["link"]["state"] == "CONNECTED"
    assert {(run["version"], run["result"]) for run in told["runs"]} == {
        ("1", "SUCCESS"),
        ("1", "CANCELED"),
        ("9", "FAILED"),
    }
