"""The loopback workspace answers the real SDK as a workspace does, and refuses what a workspace refuses."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.errors import (
    AlreadyExists,
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceDoesNotExist,
    Unauthenticated,
)
from databricks.sdk.service import compute, jobs
from databricks.sdk.service.catalog import PermissionsChange, Privilege, VolumeType
from databricks.sdk.service.sql import StatementState

from .workspace import Workspace

TASK = """
import os, sys
def main():
    print("args", *sys.argv[1:])
    print("colour", os.environ.get("COLOUR"), "secret", os.environ.get("SECRET"))
    if "fail" in sys.argv:
        raise SystemExit("no luck")
    if "sleep" in sys.argv:
        import time; time.sleep(60)
"""


def wheel(version: str = "1.0", code: str = TASK) -> bytes:
    """A wheel with the console script `step`."""
    folder, content = f"demo-{version}.dist-info", io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("demo_task.py", code)
        archive.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n")
        archive.writestr(f"{folder}/entry_points.txt", "[console_scripts]\nstep = demo_task:main\n")
    return content.getvalue()


def task(key: str, *parameters: str, after: tuple[str, ...] = (), **more: Any) -> jobs.Task:
    work = jobs.PythonWheelTask(package_name="demo", entry_point="step", parameters=list(parameters))
    needs = [jobs.TaskDependency(task_key=name) for name in after]
    return jobs.Task(task_key=key, python_wheel_task=work, depends_on=needs, environment_key="default", **more)


ENVIRONMENT = [
    jobs.JobEnvironment(
        environment_key="default",
        spec=compute.Environment(
            environment_version="4", dependencies=["/Volumes/main/churn/files/demo-1.0-py3-none-any.whl"]
        ),
    )
]


@pytest.fixture
def client(workspace: Workspace) -> WorkspaceClient:
    workspace.catalog.add_volume("main.churn.files")
    made = workspace.client()
    made.files.upload("/Volumes/main/churn/files/demo-1.0-py3-none-any.whl", io.BytesIO(wheel()), overwrite=True)
    return made


def test_a_token_that_has_expired_or_is_none_is_refused(workspace: Workspace) -> None:
    token = workspace.token()
    client = WorkspaceClient(host=workspace.url, token=token, auth_type="pat")
    assert client.current_user.me().user_name == "ada@example.com"
    workspace.expire(token)
    with pytest.raises(Unauthenticated, match="expired"):
        client.current_user.me()
    with pytest.raises(Unauthenticated, match="not sent"):
        WorkspaceClient(host=workspace.url, token="dapi0", auth_type="pat").current_user.me()


def test_a_service_principal_fetches_tokens_of_its_own(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in workspace.service_principal("ci").items():
        monkeypatch.setenv(name, value)
    client = WorkspaceClient()
    assert (client.config.auth_type, client.current_user.me().user_name) == ("oauth-m2m", "ci")


def test_files_are_written_read_listed_page_by_page_and_deleted(client: WorkspaceClient) -> None:
    root = "/Volumes/main/churn/files/deep"
    for name in "abcde":
        client.files.upload(f"{root}/{name}.txt", io.BytesIO(name.encode()), overwrite=False)
    with pytest.raises(AlreadyExists):
        client.files.upload(f"{root}/a.txt", io.BytesIO(b"x"), overwrite=False)
    assert [entry.name for entry in client.files.list_directory_contents(root)] == [f"{n}.txt" for n in "abcde"]
    assert client.files.download(f"{root}/c.txt").contents.read() == b"c"
    assert client.files.get_metadata(f"{root}/c.txt").content_length == 1
    with pytest.raises(BadRequest, match="not empty"):
        client.files.delete_directory(root)
    for name in "abcde":
        client.files.delete(f"{root}/{name}.txt")
    client.files.delete_directory(root)
    for missing in (
        lambda: client.files.get_directory_metadata(root),
        lambda: client.files.download(f"{root}/c.txt"),
        lambda: client.files.get_metadata("/Volumes/main/churn/other/x"),
    ):
        with pytest.raises(NotFound):
            missing()


def test_a_large_file_goes_up_in_parts(
    workspace: Workspace, client: WorkspaceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "files_ext_multipart_upload_min_stream_size", 1000)
    content = bytes(range(256)) * 20
    client.files.upload("/Volumes/main/churn/files/large.bin", io.BytesIO(content), part_size=1500)
    assert client.files.download("/Volumes/main/churn/files/large.bin").contents.read() == content
    assert workspace.files.unfinished_uploads == 0
    assert workspace.calls("POST /api/2.0/fs/create-upload-part-urls")


def test_schemas_volumes_and_grants_are_made_once_and_refused_by_name(workspace: Workspace) -> None:
    client = workspace.client()
    client.schemas.create("telco", "main", comment="customers")
    with pytest.raises(BadRequest, match="already exists"):
        client.schemas.create("telco", "main")
    with pytest.raises(NotFound, match="Catalog 'other' does not exist"):
        client.schemas.create("telco", "other")
    with pytest.raises(NotFound, match=r"Schema 'main\.nobody' does not exist"):
        client.volumes.create("main", "nobody", "files", VolumeType.MANAGED)
    client.volumes.create("main", "telco", "files", VolumeType.MANAGED)
    change = PermissionsChange(principal="team", add=[Privilege.READ_VOLUME])
    client.grants.update("volume", "main.telco.files", changes=[change])
    granted = client.grants.get("volume", "main.telco.files").privilege_assignments
    assert granted is not None
    assert [each.principal for each in granted] == ["team"]
    workspace.catalog.deny("CREATE SCHEMA", "main")
    with pytest.raises(PermissionDenied, match="CREATE SCHEMA on Catalog 'main'"):
        client.schemas.create("saas", "main")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "x", "colour": "red"}, "Cannot find field: colour"),
        ({"name": "x", "tasks": [{"task_key": "a", "wheel": {}}]}, r"Cannot find field: tasks\[0\]\.wheel"),
        ({"name": 7}, "name must be str"),
        ({"name": "x", "tasks": [{"task_key": "a", "run_if": "SOMETIMES"}]}, "must be one of ALL_DONE"),
        ({"name": "x", "tasks": [{"task_key": "a b"}]}, "Invalid task key"),
        (
            {"name": "x", "tasks": [{"task_key": "a", "depends_on": [{"task_key": "b"}]}]},
            "depends on a task that there is not",
        ),
        ({"name": "x", "tasks": [{"task_key": "a", "environment_key": "e"}]}, "Environment key 'e' is not defined"),
        (
            {"name": "x", "environments": [{"environment_key": "e", "spec": {"client": "1"}}]},
            "environment_version is missing",
        ),
    ],
)
def test_a_job_that_the_sdk_does_not_know_is_refused(workspace: Workspace, body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        workspace.client().api_client.do("POST", "/api/2.2/jobs/create", body=body)
    assert workspace.jobs.jobs == {}


def test_a_job_runs_its_wheel_in_order_with_its_parameters_and_nothing_of_this_process(
    workspace: Workspace, client: WorkspaceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of this process")
    spec = jobs.JobEnvironmentVariablesSpec(variables={"COLOUR": "red"})
    variables = [jobs.JobEnvironmentVariables(environment_variables_key="own", spec=spec)]
    made = client.jobs.create(
        name="training",
        environments=ENVIRONMENT,
        environment_variables=variables,
        parameters=[jobs.JobParameterDefinition(name="day", default="mon")],
        tasks=[
            task(
                "second", "{{job.parameters.day}}", "{{job.run_id}}", after=("first",), environment_variables_key="own"
            ),
            task("first", "x"),
        ],
    )
    assert made.job_id is not None
    assert [job.job_id for job in client.jobs.list(name="training")] == [made.job_id]
    run = client.jobs.run_now(made.job_id, idempotency_token="once", job_parameters={"day": "tue"}).result()
    assert run.state is not None
    assert run.state.result_state == jobs.RunResultState.SUCCESS
    by_key = {each.task_key: each for each in run.tasks or []}
    out = client.jobs.get_run_output(by_key["second"].run_id or 0).logs or ""
    assert f"args tue {run.run_id}" in out
    assert "colour red secret None" in out
    again = client.jobs.run_now(made.job_id, idempotency_token="once")
    assert again.run_id == run.run_id
    assert (by_key["first"].end_time or 0) <= (by_key["second"].start_time or 0)


def test_a_failed_task_fails_the_run_what_follows_never_starts_and_a_repair_runs_them_again(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    parameters = [jobs.JobParameterDefinition(name="mood", default="fail")]
    tasks = [task("first", "{{job.parameters.mood}}"), task("second", after=("first",))]
    made = client.jobs.create(name="x", environments=ENVIRONMENT, parameters=parameters, tasks=tasks)
    run_id = client.jobs.run_now(made.job_id or 0).run_id
    run = workspace.jobs.wait(run_id)
    assert (run.life, run.result) == ("INTERNAL_ERROR", "FAILED")
    assert [each.result for each in run.tasks] == ["FAILED", "UPSTREAM_FAILED"]
    assert client.jobs.get_run_output(run.tasks[0].run_id).error == "no luck"
    client.jobs.repair_run(run_id, rerun_all_failed_tasks=True, job_parameters={"mood": "good"})
    assert workspace.jobs.wait(run_id).result == "SUCCESS"
    assert [each.attempt for each in run.tasks] == [1, 1]


def test_a_run_is_cancelled_and_another_one_waits_or_is_skipped(workspace: Workspace, client: WorkspaceClient) -> None:
    queued = jobs.QueueSettings(enabled=True)
    made = client.jobs.create(name="x", environments=ENVIRONMENT, tasks=[task("a", "sleep")], queue=queued)
    first = client.jobs.run_now(made.job_id or 0).run_id
    second = client.jobs.run_now(made.job_id or 0).run_id
    skipped = client.jobs.run_now(made.job_id or 0, queue=jobs.QueueSettings(enabled=False)).run_id
    assert (workspace.jobs.runs[second].life, workspace.jobs.runs[skipped].life) == ("QUEUED", "SKIPPED")
    while workspace.jobs.runs[first].tasks[0].process is None:
        time.sleep(0.02)
    client.jobs.cancel_run(second)
    client.jobs.cancel_run(first)
    for run_id in (first, second):
        assert workspace.jobs.wait(run_id, 20).result == "CANCELED"
    client.jobs.delete(made.job_id or 0)
    with pytest.raises(ResourceDoesNotExist):
        client.jobs.get(made.job_id or 0)


def test_a_library_that_is_not_there_fails_the_task(workspace: Workspace, client: WorkspaceClient) -> None:
    for line, message in (
        ("/Volumes/main/churn/files/none.whl", "none.whl does not exist"),
        ("no-such-package==1", "no-such-package"),
    ):
        spec = compute.Environment(environment_version="4", dependencies=[line])
        environment = [jobs.JobEnvironment(environment_key="default", spec=spec)]
        made = client.jobs.create(name="x", environments=environment, tasks=[task("a")])
        run = workspace.jobs.wait(client.jobs.run_now(made.job_id or 0).run_id)
        assert message in run.tasks[0].message


def test_statements_are_recorded_and_fail_with_http_200(workspace: Workspace) -> None:
    client = workspace.client()
    workspace.statements.fail("FROBNICATE", "[PARSE_SYNTAX_ERROR]")
    answer = client.statement_execution.execute_statement("SELECT 1", "w1")
    failed = client.statement_execution.execute_statement("FROBNICATE", "w1")
    assert [each.sql for each in workspace.statements.executed] == ["SELECT 1", "FROBNICATE"]
    assert answer.status is not None
    assert failed.status is not None
    assert (answer.status.state, failed.status.state) == (StatementState.SUCCEEDED, StatementState.FAILED)


def test_faults_are_told_to_the_client_and_an_answer_can_be_lost_after_its_effect(workspace: Workspace) -> None:
    client = workspace.client()
    workspace.faults.refuse("POST /api/2.1/unity-catalog/schemas", 429, times=2)
    client.schemas.create("a", "main")
    assert len(workspace.calls("POST /api/2.1/unity-catalog/schemas")) == 1, "what is refused has no effect"
    workspace.faults.lose("POST /api/2.1/unity-catalog/schemas")
    with pytest.raises(BadRequest, match="already exists"):
        client.schemas.create("b", "main")  # the SDK asks again, and finds its own work
    assert "main.b" in workspace.catalog.schemas
    workspace.faults.drop("GET /api/2.1/unity-catalog/schemas/.*")
    assert client.schemas.get("main.b").name == "b"


def test_what_it_does_not_know_is_recorded_and_refused(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="No API found"):
        workspace.client().clusters.get("c1")
    assert workspace.requests[-1].path == "/api/2.1/clusters/get"


def test_files_of_the_workspace_need_their_folder(workspace: Workspace, tmp_path: Path) -> None:
    client = workspace.client()
    with pytest.raises(ResourceDoesNotExist, match="parent folder"):
        client.workspace.upload("/Shared/churn/x.whl", io.BytesIO(b"x"), format=None)
    client.workspace.mkdirs("/Shared/churn")
    client.workspace.upload("/Shared/churn/x.whl", io.BytesIO(b"x"), overwrite=True)
    assert client.workspace.get_status("/Shared/churn/x.whl").path == "/Shared/churn/x.whl"
    assert client.workspace.download("/Shared/churn/x.whl").read() == b"x"
    client.workspace.delete("/Shared/churn", recursive=True)
    with pytest.raises(ResourceDoesNotExist):
        client.workspace.get_status("/Shared/churn")
