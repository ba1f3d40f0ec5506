"""The deployment job in a workspace: made once, linked to its model, run by new versions, approved and repaired."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from databricks.bundles.jobs import Job
from databricks.sdk.service.jobs import JobSettings as SdkJobSettings

from adapters.databricks.code import Code
from adapters.databricks.deployment_job import DeploymentJob, await_ready
from adapters.databricks.deployment_payload import deployment_payload
from churn.core.errors import ConfigError, NotFound, StoreError
from churn.profile import DatabricksSettings, JobSettings
from churn.settings import load_contract, read_configuration
from cli.context import CONFIGS
from cli.main import main

from .workspace import Workspace

MODEL = "main.telco.churn_telco"
CONTRACT = load_contract(CONFIGS, "telco")
FOLDER = "/Volumes/main/churn/files/code"
CODE = Code(f"{FOLDER}/churn_lifecycle-1.0-py3-none-any.whl", f"{FOLDER}/requirements-1.txt", f"{FOLDER}/profile.json")
CLUSTER = {"spark_version": "17.3.x-scala2.13", "node_type_id": "m5d.large", "num_workers": 1}


def payload(**jobs: Any) -> dict[str, Any]:
    settings = DatabricksSettings(jobs=JobSettings(**jobs))
    return deployment_payload(settings, CONTRACT, MODEL, CODE, f"{FOLDER}/deployment-1.json")


@pytest.mark.parametrize(
    "jobs", [{}, {"cluster": CLUSTER}, {"run_as": "6f3c", "notify": ("ada@example.com",), "timeout_seconds": 600}]
)
def test_the_payload_is_one_that_the_sdk_and_the_bundles_know_whole(jobs: dict[str, Any]) -> None:
    made = payload(**jobs)
    assert SdkJobSettings.from_dict(made).as_dict() == made
    assert Job.from_dict(made).as_dict()["tasks"] == made["tasks"]


def test_the_tasks_are_those_that_databricks_wants_of_a_deployment_job() -> None:
    made = payload()
    assert [task["task_key"] for task in made["tasks"]] == ["Evaluation", "Approval_Check", "Deployment"]
    assert [one["name"] for one in made["parameters"]] == ["model_name", "model_version"]
    assert made["max_concurrent_runs"] == 1
    assert made["queue"] == {"enabled": True}
    assert made["timeout_seconds"] > 0
    for before, task in zip((None, "Evaluation", "Approval_Check"), made["tasks"], strict=True):
        assert (task["max_retries"], task["timeout_seconds"]) == (0, made["timeout_seconds"])
        assert task.get("depends_on") == ([{"task_key": before}] if before else None)
        assert task["python_wheel_task"] == {
            "package_name": "churn-lifecycle",
            "entry_point": "churn-deployment-task",
            "parameters": [
                task["task_key"].lower(),
                "--model_name={{job.parameters.model_name}}",
                "--model_version={{job.parameters.model_version}}",
                f"--job={FOLDER}/deployment-1.json",
                "--run={{workspace.url}}/jobs/{{job.id}}/runs/{{job.run_id}}",
            ],
        }


def test_who_is_told_and_as_whom_it_runs_are_settings() -> None:
    made = payload(run_as="6f3c", notify=("ada@example.com", "bob@example.com"))
    assert made["run_as"] == {"service_principal_name": "6f3c"}
    assert made["email_notifications"]["on_failure"] == ["ada@example.com", "bob@example.com"]
    assert "email_notifications" not in payload()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a laptop, in which the wheel is built once."""
    return tmp_path_factory.mktemp("laptop")


@pytest.fixture
def laptop(workspace: Workspace, state: Path, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    """A laptop that works with a workspace of this test's own."""
    workspace.catalog.add_volume("main.churn.files")
    workspace.catalog.add_schema("main.telco")
    workspace.lakebase.add_project("churn")
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_USE_DATABRICKS_SDK_MODEL_ARTIFACTS_REPO_FOR_UC"):
        monkeypatch.setenv(name, "")  # so that what the profile sets is gone after the test
    return Laptop(workspace, state)


class Laptop:
    """The stack `databricks` of a laptop, and the deployment job of `telco`."""

    def __init__(self, workspace: Workspace, state: Path, *overrides: str) -> None:
        own = (f"profile.state={state}", "dataset=telco", "profile.databricks.retry_timeout_seconds=5")
        self.settings, self.profile = read_configuration(CONFIGS, "databricks", None, (*own, *overrides))
        self.workspace = workspace

    @property
    def job(self) -> DeploymentJob:
        return DeploymentJob(self.profile, CONTRACT, "churn_telco")

    @property
    def linked(self) -> str:
        """The job that the registry says is linked."""
        return str(self.workspace.mlflow.models[MODEL]["deployment_job_id"])


def test_the_job_is_made_once_and_linked_as_text(laptop: Laptop) -> None:
    placed, link = laptop.job.create(laptop.settings)
    assert (placed.change, link.state, link.model, link.works) == ("created", "CONNECTED", MODEL, True)
    (asked,) = laptop.workspace.calls("POST /api/2.0/mlflow/unity-catalog/registered-models/create")
    assert asked.json["deployment_job_id"] == str(placed.job_id)
    again, link = laptop.job.create(laptop.settings)
    assert (again.job_id, again.change, link.works) == (placed.job_id, "unchanged", True)
    assert len(laptop.workspace.calls("POST /api/2.2/jobs/create")) == 1
    assert not laptop.workspace.calls("PATCH /api/2.0/mlflow/unity-catalog/registered-models/update")
    told = laptop.job.show()
    assert (told["name"], told["job_id"], told["runs"]) == ("churn-deployment-job-telco", placed.job_id, [])
    assert told["address"] == f"{laptop.workspace.url}/jobs/{placed.job_id}"


def test_a_setting_that_changes_changes_the_job_and_leaves_the_link(laptop: Laptop, state: Path) -> None:
    placed, _ = laptop.job.create(laptop.settings)
    other = Laptop(
        laptop.workspace, state, "approval.policy=manual", "profile.databricks.jobs.notify=[ada@example.com]"
    )
    changed, link = other.job.create(other.settings)
    assert (changed.job_id, changed.change, link.works) == (placed.job_id, "updated", True)
    assert laptop.linked == str(placed.job_id)


def test_a_model_that_is_there_already_keeps_its_description(laptop: Laptop) -> None:
    client = laptop.workspace.mlflow
    laptop.job.create(laptop.settings)
    client.models[MODEL] |= {"description": "Who leaves.", "deployment_job_id": ""}
    _, link = laptop.job.create(laptop.settings)
    assert link.works
    assert client.models[MODEL]["description"] == "Who leaves."


def test_unlinking_leaves_the_job_and_the_model(laptop: Laptop) -> None:
    placed, _ = laptop.job.create(laptop.settings)
    assert laptop.job.unlink().state == "NOT_SET_UP"
    assert laptop.linked == ""
    assert laptop.job.show()["job_id"] == placed.job_id
    assert laptop.job.unlink().state == "NOT_SET_UP"


def test_a_job_that_lost_its_parameters_is_shown_and_created_again(laptop: Laptop) -> None:
    placed, _ = laptop.job.create(laptop.settings)
    laptop.workspace.jobs.jobs[placed.job_id]["settings"]["parameters"] = []
    link = laptop.job.link()
    assert (link.state, link.works) == ("REQUIRED_PARAMETERS_CHANGED", False)
    assert "lost its parameters model_name and model_version" in link.meaning
    again, link = laptop.job.create(laptop.settings)
    assert (again.job_id, again.change, link.works) == (placed.job_id, "updated", True)


def test_a_job_that_is_gone_is_made_anew_and_linked(laptop: Laptop) -> None:
    placed, _ = laptop.job.create(laptop.settings)
    del laptop.workspace.jobs.jobs[placed.job_id]
    link = laptop.job.link()
    assert (link.state, link.works) == ("NOT_FOUND", False)
    assert "the linked job is gone, or its owner changed" in link.meaning
    again, link = laptop.job.create(laptop.settings)
    assert again.job_id != placed.job_id
    assert link.works
    assert laptop.linked == str(again.job_id)


def test_a_job_whose_owner_changed_is_told_and_linked_again(laptop: Laptop) -> None:
    placed, _ = laptop.job.create(laptop.settings)
    laptop.workspace.mlflow.models[MODEL]["disconnected"] = "NOT_FOUND"
    assert "its owner changed" in laptop.job.link().meaning
    again, link = laptop.job.create(laptop.settings)
    assert (again.job_id, again.change, link.works) == (placed.job_id, "unchanged", True)


def test_a_login_that_ends_while_a_run_is_waited_for_is_told_with_the_remedy(laptop: Laptop) -> None:
    laptop.job.create(laptop.settings)
    job = laptop.job
    laptop.workspace.expire(os.environ["DATABRICKS_TOKEN"])
    with pytest.raises(StoreError, match=r"Your login has ended: log in with `databricks auth login`"):
        job.wait(1)


@pytest.mark.parametrize("why", ["lost its parameters", "is gone, or its owner changed", "no job is linked"])
def test_a_run_that_will_never_begin_is_not_waited_for(laptop: Laptop, why: str) -> None:
    placed, _ = laptop.job.create(laptop.settings)
    if "parameters" in why:
        laptop.workspace.jobs.jobs[placed.job_id]["settings"]["parameters"] = []
    elif "owner" in why:
        laptop.workspace.mlflow.models[MODEL]["disconnected"] = "NOT_FOUND"
    else:
        laptop.job.unlink()
    told = rf"for version 1 of main\.telco\.churn_telco, and none will begin: .*{why}.*deployment-job create` links it"
    with pytest.raises(StoreError, match=told):
        laptop.job.wait(1)


def test_what_is_typed_makes_shows_and_unlinks_the_job(
    laptop: Laptop, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(*words: str) -> tuple[int, str]:
        options = ["--stack", "databricks", "--dataset", "telco", "--set", f"profile.state={state}"]
        code = main(["deployment-job", *words, *options])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    code, told = typed("show")
    assert (code, "is not there" in told, "deployment-job create --stack databricks" in told) == (2, True, True)
    code, told = typed("create")
    assert (code, f"{MODEL}: CONNECTED, a new version starts the job" in told) == (0, True)
    code, told = typed("show", "--json")
    assert (code, json.loads(told)["link"]["state"]) == (0, "CONNECTED")
    code, told = typed("repair", "--version", "3")
    assert (code, "never ran for version 3" in told) == (2, True)
    code, told = typed("unlink")
    assert (code, "new versions start no job" in told) == (0, True)
    assert typed("show")[0] == 2


@pytest.mark.parametrize(
    ("status", "polls", "message"),
    [("PENDING_REGISTRATION", 3, None), ("FAILED_REGISTRATION", 0, "delete it and train again"),
     ("PENDING_REGISTRATION", 9999, "is PENDING_REGISTRATION, and not READY")],
)  # fmt: skip
def test_a_version_that_is_not_ready_is_waited_for(
    laptop: Laptop, status: str, polls: int, message: str | None
) -> None:
    laptop.job.create(laptop.settings)
    version = {"name": MODEL, "version": "1", "status": status, "polls": polls, "tags": {}, "creation_timestamp": 1}
    laptop.workspace.mlflow.models[MODEL]["versions"][1] = {**version, "last_updated_timestamp": 1}
    wait = partial(await_ready, laptop.profile, MODEL, 1, within=0.5, every=0.01)
    if message is None:
        wait()
    else:
        with pytest.raises(StoreError, match=message):
            wait()
    await_ready(laptop.profile, MODEL, 2)  # one that is not there is not waited for


def test_a_model_that_starts_somebody_elses_job_is_told_and_taken_over(laptop: Laptop) -> None:
    laptop.job.create(laptop.settings)
    theirs = laptop.workspace.client().jobs.create(name="theirs")
    laptop.workspace.mlflow.models[MODEL]["deployment_job_id"] = str(theirs.job_id)
    link = laptop.job.link()
    assert not link.works
    assert f"job {theirs.job_id} is linked, which is not this project's" in link.meaning
    assert laptop.job.create(laptop.settings)[1].works


def test_a_model_of_another_owner_is_refused_with_the_privilege_and_leaves_one_job(laptop: Laptop) -> None:
    laptop.job.create(laptop.settings)
    laptop.job.unlink()
    laptop.workspace.catalog.deny("MANAGE", MODEL)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"link 'main\.telco\.churn_telco'.+MANAGE.+Ask its owner to run"):
            laptop.job.create(laptop.settings)
    assert len(laptop.workspace.jobs.jobs) == 1


@pytest.mark.parametrize(
    "route",
    [
        "POST /api/2.2/jobs/create",
        "POST /api/2.0/mlflow/unity-catalog/registered-models/create",
        "PATCH /api/2.0/mlflow/unity-catalog/registered-models/update",
    ],
)
def test_an_answer_that_is_lost_leaves_one_job_that_is_linked(laptop: Laptop, route: str) -> None:
    if "update" in route:
        laptop.job.create(laptop.settings)
        laptop.job.unlink()
    laptop.workspace.faults.lose(route)
    with suppress(StoreError):
        laptop.job.create(laptop.settings)
    placed, link = laptop.job.create(laptop.settings)
    assert link.works
    assert list(laptop.workspace.jobs.jobs) == [placed.job_id]


def test_without_a_job_there_is_nothing_to_unlink_or_repair(laptop: Laptop) -> None:
    with pytest.raises(NotFound, match=r"no registered model main\.telco\.churn_telco"):
        laptop.job.unlink()
    with pytest.raises(NotFound, match=r"deployment-job create"):
        laptop.job.repair(1)
    assert laptop.job.show()["job_id"] is None


def test_a_stack_without_jobs_makes_none(laptop: Laptop, state: Path) -> None:
    none = Laptop(laptop.workspace, state, "profile.databricks.jobs=null")
    with pytest.raises(ConfigError, match=r"`profile\.databricks\.jobs` is null"):
        none.job.create(none.settings)
