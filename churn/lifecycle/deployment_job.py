"""The tasks of a deployment job; each takes the name of a model and the number of a version, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Literal, NamedTuple

from pydantic import Field

from ..approval.context import APPROVAL_CHECK, ApprovalContext, is_behind
from ..approval.decide import approve
from ..approval.state import ModelState, VersionStatus
from ..core.canonical import canonical
from ..core.errors import ChurnError, ConfigError, DecisionRefused
from ..core.frozen import Frozen
from ..core.progress import note
from ..gate.report import GateReport
from ..settings import Settings
from .deployment import (
    Deployment,
    check_approval,
    evaluate_challenger,
    kept_report,
    promote_version,
)
from .release import release_version
from .workspace import Workspace

__all__ = ["APPROVED", "RECORDS", "TASKS", "Task", "TaskRecord", "TaskResult", "run_task"]

Task = Literal["Evaluation", "Approval_Check", "Deployment"]
TASKS: tuple[Task, ...] = ("Evaluation", APPROVAL_CHECK, "Deployment")  # type: ignore[assignment]
"""The tasks in their order; the tag that approves a version is called like the second."""
APPROVED = "Approved"
"""The value of that tag, by which a person approves: capitals do not count."""
RECORDS = "deployment-job"
"""The folder with a record of every task that ran."""


class TaskRecord(Frozen):
    """What a task was asked and what came out, as it is stored."""

    format: Literal[1] = 1
    task: Task
    model_name: str = Field(description="The parameter, as it was given.")
    model_version: str = Field(description="The parameter, as it was given.")
    passed: bool
    sentence: str
    who: str
    at: dt.datetime
    run: str = Field(default="", description="Where the run of the job can be seen; empty on a laptop.")


class TaskResult(NamedTuple):
    """What a task came to, for its page."""

    record: TaskRecord
    report: GateReport | None
    status: VersionStatus | None = None
    outcome: Deployment | None = None


def run_task(
    workspace: Workspace,
    settings: Settings,
    task: Task,
    model_name: str,
    model_version: str,
    *,
    known_as: str = "",
    ready: Callable[[int], None] = lambda _: None,
    run: str = "",
) -> TaskResult:
    """Do what a task of the job does, and leave a record of it with the files, also where it is refused.

    `Evaluation` passes with the verdict on record, whatever the verdict is. `Approval_Check` passes where the version
    is approved: by the policy, by `run.py approve`, or by a person who set the tag `Approval_Check` to `Approved` after
    the gate had passed it, which becomes a record of the ledger. `Deployment` promotes and releases the version.

    Args:
        workspace: The data set that the job is of.
        settings: The settings of the job.
        task: Which task.
        model_name: The job's parameter.
        model_version: The job's parameter.
        known_as: The model's name there, such as `main.telco.churn_telco`; empty where it is the workspace's own.
        ready: Waits until the registry has a version completely, where it may start the job before.
        run: Where the run can be seen; it is part of the record of an approval.

    Raises:
        ConfigError: a parameter is missing, or names another model than the job's.
        NotFound: there is no such version.
        DecisionRefused: the version is not approved, or not yet.
        DeploymentFailed: it did not work where it was put; the one before it is live again.
        StoreError: a store does not answer.
    """
    do = {"Evaluation": _evaluation, APPROVAL_CHECK: _approval_check, "Deployment": _deployment}[task]

    def record(passed: bool, sentence: str) -> TaskRecord:
        made = TaskRecord(
            task=task,
            model_name=model_name,
            model_version=model_version,
            passed=passed,
            sentence=sentence,
            who=workspace.identity,
            at=workspace.clock(),
            run=run,
        )
        name = f"{RECORDS}/{made.at:%Y%m%dT%H%M%S%f}-{task}.json"
        workspace.files.put(name, [canonical(made.model_dump(mode="json")).encode()])
        return made

    try:
        version = _version(workspace, known_as or workspace.model, model_name, model_version)
        ready(version)
        _check_data_set(workspace, version)
        sentence, report, status, outcome = do(workspace, settings, version, run)
    except ChurnError as error:
        try:
            record(False, str(error))
        except ChurnError as second:  # what was refused is the reason of the failed task
            note("deployment-job", f"no record of this task is kept: {second}")
        raise
    return TaskResult(record(True, sentence), report, status, outcome)


_Done = tuple[str, GateReport | None, VersionStatus | None, Deployment | None]


def _version(workspace: Workspace, model: str, model_name: str, model_version: str) -> int:
    """Return the version that the parameters name, of the model that the job is of."""
    name, number, dataset = model_name.strip(), model_version.strip(), workspace.contract.name
    for parameter, value in {"model_name": name, "model_version": number}.items():
        if not value or "{{" in value:
            raise ConfigError(
                f"The job was started without the parameter {parameter}: a new version of {model} passes both; who "
                "starts or repairs the job by hand gives model_name and model_version."
            )
    if name != model:
        raise ConfigError(
            f"model_name is {name!r}, and this job deploys versions of {model}, of the data set {dataset}: start the "
            f"job that is linked to {name}, or give model_name={model}."
        )
    if not number.isdecimal() or int(number) < 1:
        raise ConfigError(f"model_version is {model_version!r}: give the number of a version, such as 3.")
    return int(number)


def _check_data_set(workspace: Workspace, number: int) -> None:
    dataset = workspace.contract.name
    for version in workspace.registry.versions(workspace.model):
        owner = version.tags.get("dataset", dataset)
        if version.version == number and owner != dataset:
            raise ConfigError(
                f"Version {number} of {workspace.model} was trained on the data set {owner}, and this job deploys "
                f"models of {dataset}: register it as a model of {owner}."
            )


def _evaluation(workspace: Workspace, settings: Settings, version: int, run: str) -> _Done:
    report = evaluate_challenger(workspace, settings, version)
    return f"Version {version} of {workspace.model} {report.summary}.", report, None, None


def _approval_check(workspace: Workspace, settings: Settings, version: int, run: str) -> _Done:
    context = workspace.approval(settings.approval)
    state = context.read()
    before = context.status(version, state)
    report = kept_report(workspace, before)
    if before.state == "pending" and _says_approved(state, version) and not is_behind(state, version):
        status = _approved_by_tag(workspace, context, before, report, run)
    elif before.gate is not None and report is not None:
        status = check_approval(workspace, settings, report)
    else:
        status = before
    if status.state != "approved":
        raise _not_approved(context, state, status)
    return f"Version {version} of {workspace.model} is approved. {status.why}", report, status, None


def _deployment(workspace: Workspace, settings: Settings, version: int, run: str) -> _Done:
    status = workspace.approval(settings.approval).status(version)
    outcome = promote_version(workspace, settings, status)
    if outcome.state in {"waiting", "refused"}:
        raise DecisionRefused(outcome.sentence)
    released = release_version(workspace, settings, outcome)
    released.require()
    sentence = " ".join(filter(None, (released.deployment.sentence, released.sentence)))
    return sentence, kept_report(workspace, status), status, released.deployment


def _says_approved(state: ModelState, version: int) -> bool:
    return state.version(version).tags.get(APPROVAL_CHECK, "").strip().casefold() == APPROVED.casefold()


def _approved_by_tag(
    workspace: Workspace, context: ApprovalContext, status: VersionStatus, report: GateReport | None, run: str
) -> VersionStatus:
    """Record the approval of a person who set the tag; whose the tag is the registry does not say."""
    name, gate = f"version {status.version} of {status.model}", status.gate
    if gate is None or report is None or not report.passed:
        raise DecisionRefused(
            f"The tag {APPROVAL_CHECK} of {name} says {APPROVED}, and the report of its gate is not kept: an approval "
            "rests on a report. Run the job anew."
        )
    if context.settings.separation_of_duties:
        context.tag(context.read(), status.version)
        raise DecisionRefused(
            f"The tag {APPROVAL_CHECK} of {name} does not say who set it, and `approval.separation_of_duties` asks for "
            "two people: it was set back. Let somebody else than who registered the version type "
            f'`python run.py approve --version {status.version} --reason "…"`, then repair this run.'
        )
    seen = f" ({run})" if run else ""
    why = f"The tag {APPROVAL_CHECK} was set to {APPROVED} after the gate of {gate.at:%Y-%m-%d %H:%M} UTC{seen}."
    return approve(context, status.version, who=f"{workspace.identity} (tag {APPROVAL_CHECK})", why=why)


def _not_approved(context: ApprovalContext, state: ModelState, status: VersionStatus) -> DecisionRefused:
    """Return why the check does not pass; a tag that says otherwise is set back to what the ledger says."""
    name = f"Version {status.version} of {status.model}"
    if status.state == "pending":
        text = f"{name} waits for a person: {status.why} Set its tag {APPROVAL_CHECK} to {APPROVED} (on Databricks: "
        text += f'Approve on its page), or type `python run.py approve --version {status.version} --reason "…"` and '
        text += "repair this run."
    else:
        text = f"{name} is not approved: {status.why}"
    if _says_approved(state, status.version):
        context.tag(context.read(), status.version)
        when = "before the gate had passed it" if status.state == "pending" else "without a gate that passed it"
        text = f"The tag {APPROVAL_CHECK} said {APPROVED} {when}, which approves nothing, and was set back. {text}"
    return DecisionRefused(text)
