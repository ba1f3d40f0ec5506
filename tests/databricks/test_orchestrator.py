"""Pipelines run as Databricks jobs from end to end: a real ZenML server, and tasks that know nothing but the job."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

from .warm import Warm
from .workspace import Workspace
from .zenml_server import zenml_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

JOB = "churn-small-telco_simulated"
PIPELINE = '''
"""A pipeline that does what it is told."""
import os, time
from zenml import pipeline, step
from zenml.enums import ExecutionMode
from churn.core.errors import DataError
from churn.data.contract import DatasetContract
from churn.settings import Settings

@step
def first(settings: Settings, contract: DatasetContract) -> int:
    return 7

@step(enable_cache=False)
def second(number: int, mood: str) -> str:
    print("the number is", number, "and the password has", len(os.environ["CHURN_ONLINE_PASSWORD"]), "letters")
    if mood == "fail":
        raise DataError(f"{number} rows have no key: correct them.")
    if mood == "sleep":
        time.sleep(300)
    return str(number)

@pipeline(name="small", execution_mode=ExecutionMode.FAIL_FAST)
def small(settings: Settings, contract: DatasetContract, mood: str = "well") -> None:
    second(first(settings, contract), mood)
'''

SCRIPT = """
import json, os, sys, threading, time
from pathlib import Path
from adapters import wiring
from adapters.local.zenml import ensure_stack
from churn.settings import load_contract, read_configuration
from cli.context import CONFIGS
from cli.environment import prepare

prepare(debug=False)
folder, scenario = sys.argv[1:]
asked = [f"profile.state={folder}/state", "profile.databricks.jobs.poll_seconds=0.2", f"data={folder}/mine.csv"]
asked.append("profile.alerts={webhook_variable: HOOK, token_variable: HOOK_TOKEN, mail_user: ada}")
settings, profile = read_configuration(CONFIGS, "databricks", overrides=asked)
contract = load_contract(CONFIGS, "telco_simulated")
wiring.activate(profile)
os.environ["ZENML_ACTIVE_STACK_ID"] = ensure_stack(profile)
settings, contract, components = wiring.handed_over(profile, "small", settings, contract)
from zenml.client import Client
from zenml.config.schedule import Schedule
from zenml.utils import source_utils
source_utils.set_custom_source_root(str(CONFIGS.parent))
from pipelines.small import small

def told(run):
    run = Client().get_pipeline_run(run.id)
    steps = {name: step.status.value for name, step in run.steps.items()}
    return {"status": run.status.value, "steps": steps, "job_run": run.orchestrator_run_id,
            "links": sorted(set(map(str, run.run_metadata.values()))), "id": str(run.id)}

def newest():
    return Client().list_pipeline_runs(sort_by="desc:created").items[0]

def run(mood, **options):
    try:
        ended = small.with_options(settings=components, **options)(settings, contract, mood=mood)
        return told(ended) if ended else None
    except Exception as error:
        return {**told(newest()), "error": f"{type(error).__name__}: {error}"}

if scenario == "runs":
    out = {"well": run("well"), "fail": run("fail"), "again": run("well")}
elif scenario == "stop":
    thread = threading.Thread(target=lambda: out.update(stopped=run("sleep")))
    out = {}
    thread.start()
    while "second" not in (steps := newest().steps) or steps["second"].status.value != "running":
        time.sleep(0.5)
    orchestrator = Client().active_stack.orchestrator
    out["asked"] = orchestrator.fetch_status(newest(), include_steps=True)[1]
    orchestrator.stop_run(newest())
    thread.join()
elif scenario == "schedule":
    run("well", schedule=Schedule(name="nightly", cron_expression="0 6 * * *"))
    out = {"schedules": [each.name for each in Client().list_schedules().items]}
elif scenario == "changed":
    out = {"runs": [told(run) for run in Client().list_pipeline_runs(sort_by="created").items]}
    Client().update_schedule("nightly", cron_expression="30 7 * * 1")
else:
    Client().delete_schedule("nightly")
    out = {}
print(json.dumps(out))
"""


PASSWORDS = {
    "CHURN_ONLINE_PASSWORD": "of-the-online-store-7Qx",
    "CHURN_STUDIES_PASSWORD": "of-the-studies-3Lm",
    "CHURN_SMTP_PASSWORD": "of-the-mail-server-9Kd",
    "HOOK": "https://hooks.example.com/T0/B0/s3cr3t-5Wz",
    "HOOK_TOKEN": "of-the-webhook-2Rf",
}
"""What the profile names a variable for: tasks need it, and nobody else."""


class Stack:
    """A checkout with one more pipeline, a workspace and a ZenML server, and a user who types."""

    def __init__(self, folder: Path, warm: Warm, workspace: Workspace, zenml: dict[str, str]) -> None:
        self.folder, self.warm, self.workspace, self.zenml = folder, warm, workspace, zenml
        ignored = shutil.ignore_patterns(
            ".*", "docs", "tests", "benchmarks", "build", "dist", "__pycache__", "*.egg-info"
        )
        self.checkout = Path(shutil.copytree(ROOT, folder / "checkout", ignore=ignored))
        (self.checkout / "pipelines" / "small.py").write_text(PIPELINE)
        (folder / "script.py").write_text(SCRIPT)
        (folder / "mine.csv").write_text("id\n1\n")
        (folder / "home").mkdir()
        self.printed = ""

    def __call__(self, scenario: str) -> dict[str, Any]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(self.checkout),
            **PASSWORDS,
            **self.zenml,
            **self.workspace.environment(),
        }
        line = [str(self.folder / "script.py"), str(self.folder), scenario]
        started = self.warm.start(line, environment, self.folder, task=False)
        out, err = started.communicate()
        assert started.returncode == 0, out + err
        self.printed += out + err
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        return {job["settings"]["name"]: job for job in self.workspace.jobs.jobs.values()}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "zenml").mkdir()
    with Workspace(folder / "workspace", warm=warm) as workspace, zenml_server(folder / "zenml") as zenml:
        workspace.catalog.add_volume("main.churn.files")
        yield Stack(folder, warm, workspace, zenml)


@pytest.fixture(scope="module")
def ran(stack: Stack) -> dict[str, Any]:
    """What came of three runs, while answers get lost after their effect and the workspace is under load."""
    faults = stack.workspace.faults
    faults.lose("POST /api/2.2/jobs/create")
    faults.lose("POST /api/2.2/jobs/run-now")
    faults.refuse("GET /api/2.2/jobs/runs/get", 503, times=3, after=2)
    return stack("runs")


@pytest.fixture(scope="module")
def fired(stack: Stack, ran: dict[str, Any]) -> dict[str, Any]:
    """What is there after a schedule has started its job twice."""
    assert stack("schedule") == {"schedules": ["nightly"]}
    for _ in range(2):
        run = stack.workspace.jobs.fire(stack.jobs["churn-schedule-nightly"]["job_id"])
        stack.workspace.jobs.wait(run.run_id)
        assert run.result == "SUCCESS", [task.output for task in run.tasks]
    return stack("changed")


def test_each_step_ran_as_a_task_of_one_job_that_stays(stack: Stack, ran: dict[str, Any]) -> None:
    assert ran["well"]["status"] == "completed"
    assert ran["well"]["steps"] == {"first": "completed", "second": "completed"}
    assert list(stack.jobs)[:1] == [JOB]
    runs = [str(run.run_id) for run in stack.workspace.jobs.runs.values()]
    started = [len(run.tasks) for run in stack.workspace.jobs.runs.values() if run.job["settings"]["name"] == JOB]
    assert started[:3] == [2, 1, 1], "a lost answer starts no second run"
    assert ran["well"]["job_run"] == runs[0]
    assert any(link.endswith((f"/runs/{runs[0]}", f"/run/{runs[0]}")) for link in ran["well"]["links"])


def test_a_cached_step_is_no_task(stack: Stack, ran: dict[str, Any]) -> None:
    assert ran["again"]["steps"] == {"first": "cached", "second": "completed"}
    assert [[task.key for task in run.tasks] for run in stack.workspace.jobs.runs.values()][:3] == [
        ["first", "second"],
        ["second"],
        ["second"],
    ]


def test_a_step_that_fails_says_why_on_this_machine_and_the_next_run_goes_on(ran: dict[str, Any]) -> None:
    assert re.match(
        r"DataError: 7 rows have no key: correct them\. \(step second on Databricks: http", ran["fail"]["error"]
    )
    assert ran["fail"]["status"] == "failed"
    assert ran["fail"]["steps"] == {"first": "cached", "second": "failed"}
    assert ran["again"]["status"] == "completed"


def test_a_run_is_stopped_in_both_places(stack: Stack, ran: dict[str, Any]) -> None:
    told = stack("stop")
    assert told["asked"] == {"second": "running"}
    assert "was cancelled" in told["stopped"]["error"]
    assert told["stopped"]["status"] == "stopped"
    assert told["stopped"]["steps"]["second"] in {"stopped", "failed"}
    assert list(stack.workspace.jobs.runs.values())[-1].result == "CANCELED"


def test_a_schedule_starts_a_run_of_its_own_each_time(stack: Stack, ran: dict[str, Any], fired: dict[str, Any]) -> None:
    scheduled = fired["runs"][-2:]
    assert [run["status"] for run in scheduled] == ["completed", "completed"]
    assert len({run["job_run"] for run in scheduled}) == 2


def test_a_schedule_is_changed_and_deleted_with_its_job(stack: Stack, fired: dict[str, Any]) -> None:
    times = stack.jobs["churn-schedule-nightly"]["settings"]["schedule"]
    assert times["quartz_cron_expression"] == "0 30 7 ? * MON"
    stack("delete")
    assert list(stack.jobs) == [JOB]


def test_no_secret_and_no_path_of_this_machine_is_left_anywhere(
    stack: Stack, ran: dict[str, Any], fired: dict[str, Any]
) -> None:
    puts = stack.workspace.calls("POST /api/2.0/secrets/put")
    kept = [json.loads(put.json["string_value"]) for put in puts]
    secrets = {value for one in kept for name, value in one.items() if re.search("TOKEN|PASSWORD", name)} | {
        stack.zenml["ZENML_STORE_PASSWORD"]
    }
    for value in PASSWORDS.values():
        assert any(value in passed.values() for passed in kept), "tasks need it"
    secrets |= {*stack.workspace.tokens, *PASSWORDS.values()}
    assert len(secrets) > len(kept)
    assert not [key for values in stack.workspace.secrets.values.values() for key in values if key.startswith("run-")]

    sent = {f"{one.method} {one.path}": one.body for one in stack.workspace.requests if one not in puts}
    login = stack.folder / "home" / ".config" / "zenml" / "credentials.yaml"  # ZenML's own, of the user who types
    files = {str(path): path.read_bytes() for path in stack.folder.rglob("*") if path.is_file() and path != login}
    outputs = {task.key: task.output.encode() for run in stack.workspace.jobs.runs.values() for task in run.tasks}
    places = {**sent, **files, **outputs, "printed": stack.printed.encode()}
    found = {place for place, content in places.items() for secret in secrets if secret.encode() in content}
    assert found == set()

    jobs = json.dumps(list(stack.jobs.values()))
    profiles = [content.decode() for place, content in files.items() if "/code/profile-" in place]
    database = next(path for path in (stack.folder / "zenml").rglob("*.db"))
    with sqlite3.connect(database) as store:
        received = [json.dumps(row) for row in store.execute("SELECT config FROM step_configuration")]
    assert profiles
    assert received
    for text in (jobs, *profiles, *received):
        assert not [path for path in (str(stack.folder), str(ROOT), str(Path.home()) + "/") if path in text]
