"""The tasks of the deployment job as processes of their own without ZenML: they end as the laptop's pipeline does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.local.decision_ledger import LocalDecisionLedger
from churn.lifecycle.deployment_job import TASKS
from tests.e2e.project import DEPLOYABLE, ROOT, SMALL, Callers, Project, Ran

from .warm import WITHOUT_ZENML, Warm

pytestmark = pytest.mark.timeout(600)

MODEL, DATASET = "churn_telco_simulated", "telco_simulated"
SETTINGS = (*DEPLOYABLE, "approval.policy=manual")
NO_ZENML = """
import sys
assert "zenml" not in sys.modules
sys.modules["zenml"] = None  # whoever imports it fails
from cli.deployment_task import command
command()
"""
WAITS = "Version 1 of churn_telco_simulated waits for a person"


class Both(NamedTuple):
    """One training, deployed by the pipeline of a laptop and by the tasks of a job."""

    laptop: Project
    job: Project
    ended: dict[str, Ran]
    start: Callable[..., Ran]


def task(warm: Warm, program: Path, project: Project, name: str, version: int | str = 1, model: str = MODEL) -> Ran:
    settings = [f"--set={setting}" for setting in (f"profile.state={project.state}", *SMALL, *SETTINGS)]
    command = [str(program), name.lower(), f"--model_name={model}", f"--model_version={version}", *settings]
    started = warm.start(command, {**project.environment, "PYTHONPATH": str(ROOT)}, project.work, task=False)
    out, err = started.communicate()
    assert started.returncode is not None
    return Ran(started.returncode, out, err)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    callers, folder = Callers(), tmp_path_factory.mktemp("both")
    laptop = Project.in_folder(folder, proxy=callers.address)
    laptop.train(*SETTINGS).succeeded()
    job = laptop.with_state(folder / "of-the-job")
    shutil.copytree(laptop.state, job.state)
    job.registry.delete_alias(MODEL, "Challenger")  # a new version starts the job before the alias moves
    deploy = laptop.arguments("deployment", *SETTINGS)
    assert laptop.run(*deploy).code == 4
    state = f"--set=profile.state={laptop.state}"
    laptop.run("approve", "--version", "1", "--reason", "good", state).succeeded()
    laptop.run(*deploy).succeeded()
    (folder / "task.py").write_text(NO_ZENML)
    with Warm(libraries=WITHOUT_ZENML) as warm:
        start = partial(task, warm, folder / "task.py")
        ended = {"Evaluation": start(job, "Evaluation"), "waits": start(job, "Approval_Check")}
        ended["too early"] = start(job, "Deployment")
        job.registry.set_tags(MODEL, 1, {"Approval_Check": "Approved"})
        ended |= {name: start(job, name) for name in TASKS[1:]}
        yield Both(laptop, job, ended, start)
    callers.close()


def records(project: Project) -> list[Any]:
    return LocalDecisionLedger(project.state / "tables", DATASET).read()


def test_every_task_runs_without_zenml(both: Both) -> None:
    for name in TASKS:
        assert both.ended[name].code == 0, both.ended[name]
        assert "Traceback" not in both.ended[name].err


def test_the_check_fails_with_the_remedy_as_its_last_line_until_a_person_approves(both: Both) -> None:
    waits = both.ended["waits"]
    assert waits.code == 1
    assert waits.err.strip().splitlines()[-1].startswith(WAITS)
    assert "Traceback" not in waits.err
    assert both.ended["too early"].code == 1
    assert "is not promoted" in both.ended["too early"].err


def test_the_ledger_is_that_of_the_pipeline(both: Both) -> None:
    def told(project: Project) -> list[Any]:
        numbers = [
            {name: value for name, value in each.numbers.items() if name != "latency"} for each in records(project)
        ]
        return [
            (each.kind, each.version, each.champion, each.verdicts, each.digests["model"], measured)
            for each, measured in zip(records(project), numbers, strict=True)
        ]

    assert told(both.job) == told(both.laptop)
    assert [each.kind for each in records(both.job)] == [
        *("gate_passed", "pending", "approved", "promotion_begun", "promoted", "deployed")
    ]


def test_the_aliases_and_tags_are_those_of_the_pipeline(both: Both) -> None:
    shown = []
    for project in (both.laptop, both.job):
        (version,) = project.registry.versions(MODEL)
        shown.append((set(version.aliases) - {"Challenger"}, version.tags["gate"], version.tags["Approval_Check"]))
    assert shown[0] == shown[1] == ({"Champion"}, "passed", "Approved")


def test_the_approval_by_tag_passes_the_audit(both: Both) -> None:
    assert both.job.run("audit", f"--set=profile.state={both.job.state}").succeeded()
    approval = next(each for each in records(both.job) if each.kind == "approved")
    assert approval.who.endswith("(tag Approval_Check)")


def test_each_task_leaves_a_record_and_the_page_of_the_version(both: Both) -> None:
    told = [json.loads(path.read_text()) for path in sorted((both.job.state / "deployment-job").iterdir())]
    assert [(each["task"], each["passed"]) for each in told] == [
        *(("Evaluation", True), ("Approval_Check", False), ("Deployment", False)),
        *(("Approval_Check", True), ("Deployment", True)),
    ]
    page = both.job.state / "reports" / f"deployment-{DATASET}-v1.html"
    assert "live now" in page.read_text()


@pytest.mark.parametrize(
    ("version", "model", "message"),
    [("7", MODEL, "has no version 7"), ("", MODEL, "without the parameter model_version"), ("1", "other", "other")],
)
def test_a_wrong_parameter_is_answered_in_one_line(both: Both, version: str, model: str, message: str) -> None:
    ended = both.start(both.job, "Evaluation", version, model)
    assert ended.code == 1
    assert message in ended.err.strip().splitlines()[-1]
    assert "Traceback" not in ended.err
