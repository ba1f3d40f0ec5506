"""A pipeline's job: one that stays, made once, changed where the pipeline is another, and followed to its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from databricks.bundles.jobs import Job
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import JobSettings as SdkJobSettings

from adapters.databricks.code import Code
from adapters.databricks.jobs import find_jobs, job_name, job_payload, place_job, quartz
from adapters.databricks.progress import follow, has_ended, status_of
from adapters.databricks.secrets import forget, keep, read
from churn.core.errors import ConfigError, DataError, StoreError
from churn.core.progress import LOGGER, ProgressEvent
from churn.profile import DatabricksSettings, JobSettings

from .test_workspace import wheel
from .workspace import Workspace

STEPS = {"ingest": [], "build_features": ["ingest"], "train": ["build_features", "ingest"]}
CODE = Code(
    "/Volumes/main/churn/files/code/demo-1.0-py3-none-any.whl", "/Volumes/main/churn/files/code/r.txt", "/p.json"
)
CLUSTER = {"spark_version": "17.3.x-scala2.13", "node_type_id": "m5d.large", "num_workers": 1}


def settings(**jobs: Any) -> DatabricksSettings:
    return DatabricksSettings(jobs=JobSettings(poll_seconds=0.02, **jobs))


def payload(steps: Mapping[str, list[str]] = STEPS, name: str = "churn-training-telco", **jobs: Any) -> dict[str, Any]:
    return job_payload(settings(**jobs), "training", "telco", steps, CODE, name=name)


@pytest.mark.parametrize("jobs", [{}, {"cluster": CLUSTER}, {"run_as": "6f3c", "environment_version": "5"}])
def test_the_payload_is_one_that_the_sdk_and_the_bundles_know_whole(jobs: dict[str, Any]) -> None:
    made = payload(**jobs) | {"schedule": quartz("0 6 * * 1")}
    assert SdkJobSettings.from_dict(made).as_dict() == made
    assert Job.from_dict(made).as_dict() == made  # type: ignore[arg-type]


@pytest.mark.parametrize("jobs", [{}, {"cluster": CLUSTER}])
def test_a_job_holds_no_secret_and_nothing_of_a_single_run(jobs: dict[str, Any]) -> None:
    made = payload(**jobs)
    assert "environment_variables" not in made
    parameters = made["tasks"][0]["python_wheel_task"]["parameters"]
    assert dict(zip(parameters[::2], parameters[1::2], strict=True)) == {
        "--profile": CODE.profile,
        "--step": "{{task.name}}",
        "--snapshot": "{{job.parameters.snapshot}}",
        "--secret": "churn/{{job.parameters.secret}}",
        "--run": "{{job.run_id}}",
    }
    assert max(map(len, parameters)) < 256
    assert [one["default"] for one in made["parameters"]] == ["", ""]


def test_a_job_queues_runs_one_at_a_time_and_never_retries_a_step() -> None:
    made = payload()
    assert (made["queue"], made["max_concurrent_runs"]) == ({"enabled": True}, 1)
    assert all(task["max_retries"] == 0 and task["disable_auto_optimization"] for task in made["tasks"])
    assert [[one["task_key"] for one in task.get("depends_on", [])] for task in made["tasks"]] == [
        [],
        ["ingest"],
        ["build_features", "ingest"],
    ]
    assert made["environments"][0]["spec"]["dependencies"] == [f"-r {CODE.requirements}", CODE.wheel]
    assert made["tags"]["managed_by"] == "churn"


def test_a_cluster_is_given_access_to_unity_catalog_unless_it_says_how() -> None:
    assert payload(cluster=CLUSTER)["job_clusters"][0]["new_cluster"]["data_security_mode"] == "SINGLE_USER"
    standard = payload(cluster={**CLUSTER, "data_security_mode": "USER_ISOLATION"})
    assert standard["job_clusters"][0]["new_cluster"]["data_security_mode"] == "USER_ISOLATION"


@pytest.mark.parametrize(
    ("cluster", "message"),
    [({**CLUSTER, "nodes": 2}, "does not take nodes in `new_cluster`"), ({"num_workers": 1}, "needs a spark_version")],
)
def test_a_cluster_that_the_api_does_not_know_is_refused_before_it_is_asked_for(
    cluster: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        payload(cluster=cluster)


def test_a_profile_without_jobs_runs_none() -> None:
    with pytest.raises(ConfigError, match=r"`profile\.databricks\.jobs` is null"):
        job_payload(DatabricksSettings(), "training", "telco", STEPS, CODE)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 6 * * *", "0 0 6 * * ?"),
        ("*/15 6-18 * * 1-5", "0 */15 6-18 ? * MON-FRI"),
        ("30 5 1 * *", "0 30 5 1 * ?"),
        ("0 0 * * 0", "0 0 0 ? * SUN"),
        ("0 0 * * 7", "0 0 0 ? * SUN"),
        ("0 0 * 1,7 mon", "0 0 0 ? 1,7 mon"),
        ("0 0 * * 1,3/2", "0 0 0 ? * MON,WED/2"),
    ],
)
def test_a_cron_expression_is_written_as_quartz_takes_it(cron: str, expected: str) -> None:
    times = quartz(cron, "Europe/Berlin")
    assert times == {"quartz_cron_expression": expected, "timezone_id": "Europe/Berlin", "pause_status": "UNPAUSED"}


@pytest.mark.parametrize(
    ("cron", "message"),
    [("0 6 * *", "has 4 fields: five are minute"), ("0 0 1 * 1", "a day of the month and a day of the week")],
)
def test_a_schedule_that_databricks_cannot_keep_is_refused(cron: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quartz(cron)


def test_a_job_is_made_once_and_changed_only_where_it_differs(workspace: Workspace) -> None:
    client = workspace.client()
    first = place_job(client, settings(), payload())
    assert first.change == "created"
    assert place_job(client, settings(), payload()) == first._replace(change="unchanged")
    assert place_job(client, settings(), payload({"ingest": []})) == first._replace(change="updated")
    assert len(workspace.calls("POST /api/2.2/jobs/create")) == 1
    assert len(workspace.calls("POST /api/2.2/jobs/reset")) == 1
    assert [task.task_key for task in client.jobs.get(first.job_id).settings.tasks] == ["ingest"]  # type: ignore[union-attr]


def test_the_job_of_somebody_else_with_the_same_name_is_left_alone(workspace: Workspace) -> None:
    client = workspace.client()
    foreign = client.jobs.create(name="churn-training-telco", tags={"managed_by": "churn", "churn_project": "theirs"})
    own = place_job(client, settings(), payload())
    assert own.job_id != foreign.job_id
    assert [job.job_id for job in find_jobs(client, settings(), "churn-training-telco")] == [own.job_id]
    assert not client.jobs.get(foreign.job_id).settings.tasks  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize("lost", [1, 2])
def test_an_answer_that_is_lost_after_its_effect_leaves_one_job(workspace: Workspace, lost: int) -> None:
    workspace.faults.lose("POST /api/2.2/jobs/create", times=lost)
    placed = place_job(workspace.client(), settings(), payload())
    assert [job.job_id for job in workspace.client().jobs.list()] == [placed.job_id]


@pytest.mark.parametrize("status", [429, 503])
def test_a_workspace_under_load_is_asked_again(workspace: Workspace, status: int) -> None:
    workspace.faults.refuse("POST /api/2.2/jobs/create", status, times=2)
    assert place_job(workspace.client(), settings(), payload()).change == "created"


def test_names_are_those_that_the_platform_takes() -> None:
    assert job_name(settings(), "training", "telco simulated/x") == "churn-training-telco_simulated_x"


@pytest.fixture
def running(workspace: Workspace) -> WorkspaceClient:
    """A client of a workspace with the wheel whose step does what its parameters say."""
    workspace.catalog.add_volume("main.churn.files")
    for path, content in {CODE.wheel: wheel(code=TASK), CODE.requirements: b""}.items():
        place = workspace.files.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return workspace.client()


TASK = """
import sys, time
def main():
    step, told = sys.argv[sys.argv.index("--step") + 1], sys.argv[sys.argv.index("--snapshot") + 1]
    if step == told:
        time.sleep(60) if step == "ingest" else sys.exit("churn.core.errors.DataError: 7 rows have no key")
"""


def started(client: WorkspaceClient, snapshot: str, only: list[str] | None = None) -> int:
    made = payload()
    for task in made["tasks"]:
        task["python_wheel_task"] |= {"package_name": "demo", "entry_point": "step"}
    job = place_job(client, settings(), made)
    return client.jobs.run_now(job.job_id, job_parameters={"snapshot": snapshot, "secret": "s"}, only=only).run_id


def test_a_run_is_shown_task_by_task_with_links(running: WorkspaceClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        follow(running, settings(), started(running, "none"))
    events: list[ProgressEvent] = [record.event for record in caplog.records]  # type: ignore[attr-defined]
    assert [(event.kind, event.stage) for event in events if event.kind != "advanced"] == [
        (kind, step) for step in STEPS for kind in ("started", "finished")
    ]
    links = [event.message for event in events if event.kind == "advanced"]
    assert len(set(links)) == 3
    assert all("/run/" in link for link in links)


def test_steps_that_are_cached_are_not_started(running: WorkspaceClient) -> None:
    run = started(running, "none", only=["train"])
    follow(running, settings(), run)
    assert [task.task_key for task in running.jobs.get_run(run).tasks or ()] == ["train"]


def test_what_a_step_refuses_is_told_here_as_it_is_on_the_laptop(running: WorkspaceClient) -> None:
    with pytest.raises(DataError, match=r"^7 rows have no key \(step build_features on Databricks: http.+/run/\d+\)$"):
        follow(running, settings(), started(running, "build_features"))


def test_a_run_that_is_cancelled_is_told_as_such(running: WorkspaceClient) -> None:
    run = started(running, "ingest")
    running.jobs.cancel_run(run)
    with pytest.raises(StoreError, match=r"The run on Databricks was cancelled .+ see http"):
        follow(running, settings(), run)
    state = running.jobs.get_run(run).state
    assert (status_of(state), has_ended(state)) == ("stopped", True)


def test_a_library_that_cannot_be_installed_is_a_fault_of_the_run(
    running: WorkspaceClient, workspace: Workspace
) -> None:
    workspace.files.path(CODE.requirements).write_text("no-such-package==1.0\n")
    with pytest.raises(StoreError, match=r"The step ingest failed on Databricks .+no-such-package.+ see http"):
        follow(running, settings(), started(running, "none"))


def test_a_secret_is_kept_in_the_scope_until_its_run_is_over(workspace: Workspace) -> None:
    client, asked = workspace.client(), settings(run_as="6f3c", timeout_seconds=60)
    keep(client, asked, "run-1", "{}")
    keep(client, asked, "schedule-1", "{}")
    for key in ("run-1", "schedule-1"):
        workspace.secrets.age("churn", key, 3600)
    keep(client, asked, "run-2", '{"A": "é"}')
    assert set(workspace.secrets.values["churn"]) == {"schedule-1", "run-2"}
    assert workspace.secrets.readers["churn"] == {"6f3c": "READ"}
    assert read(client, "churn/run-2") == '{"A": "é"}'
    forget(client, asked, "run-2")
    forget(client, asked, "run-2")
    assert set(workspace.secrets.values["churn"]) == {"schedule-1"}
