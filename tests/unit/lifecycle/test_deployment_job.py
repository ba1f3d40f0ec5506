"""The tasks of a deployment job: what each passes, what it refuses and why, and what is on record of it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from churn.approval.archive import keep_report
from churn.approval.decide import approve, record_gate, reject
from churn.approval.settings import ApprovalSettings
from churn.core.errors import ChurnError, ConfigError, DecisionRefused, DeploymentFailed, NotFound, StoreError
from churn.gate.report import Check
from churn.lifecycle.deployment_job import RECORDS, TASKS, Task, TaskResult, run_task
from churn.ports.registry import PREVIOUS_CHAMPION
from tests.fakes.data.deciding import FAILING, MANUAL, MODEL, PASSING, Office, register
from tests.fakes.data.endpoint import EndpointCase
from tests.fakes.ports.files import InMemoryFiles
from tests.fakes.ports.tables import MemoryFeatureStore

NO_SERVING = ("approval.policy=manual", "serving.deploy=never")


class Job:
    """A job of the data set, whose version 1 is live, and the gate's verdict on a version."""

    def __init__(self, *overrides: str, approval: ApprovalSettings = MANUAL) -> None:
        self.case = EndpointCase(*(overrides or NO_SERVING))
        self.office: Office = self.case.office.under(approval)
        self.settings = self.case.settings.model_copy(update={"approval": approval})
        self.files = InMemoryFiles()
        self.case.make["files"] = lambda: self.files
        self.case.now = self.office.clock.now + dt.timedelta(hours=1)

    def evaluated(self, version: int = 2, checks: tuple[Check, ...] = PASSING) -> None:
        """Leave what a passed task Evaluation leaves: the report kept, the verdict on record."""
        report = self.office.report(version, checks)
        keep_report(self.case.tables, report)
        record_gate(self.office.context, report, who="ada")

    def run(self, task: Task, version: Any = 2, model: str = MODEL) -> TaskResult:
        return run_task(self.case.workspace, self.settings, task, model, str(version), run="https://host/run/7")

    def check(self, version: Any = 2) -> TaskResult:
        return self.run("Approval_Check", version)

    def tag(self, value: str, version: int = 2) -> None:
        """Do what the button Approve does, or a hand."""
        self.office.registry.set_tags(MODEL, version, {"Approval_Check": value})

    def said(self, version: int = 2) -> str:
        return self.office.tags(version)["Approval_Check"]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(self.files.content[name]) for name in self.files.names(RECORDS)]


@pytest.fixture
def job() -> Job:
    made = Job()
    made.evaluated()
    return made


def test_a_version_that_passed_waits_until_its_tag_says_approved(job: Job) -> None:
    with pytest.raises(DecisionRefused, match=r"waits for a person.+Approve on its page.+run\.py approve --version 2"):
        job.check()
    assert (job.said(), job.office.kinds[-1]) == ("Pending", "pending")
    job.tag("Approved")
    result = job.check()
    assert result.record.passed
    assert result.status is not None
    assert result.status.state == "approved"


@pytest.mark.parametrize("value", ["Approved", "approved", "APPROVED ", " Approved"])
def test_the_approval_is_a_record_bound_to_report_and_identity(job: Job, value: str) -> None:
    with pytest.raises(DecisionRefused, match="waits"):
        job.check()
    job.tag(value)
    job.check()
    record, gate = job.office.ledger.records[-1], job.office.context.read().gate(2)
    assert (record.kind, record.version, record.who) == ("approved", 2, "ada (tag Approval_Check)")
    assert record.digests == gate.digests  # type: ignore[union-attr]
    assert "https://host/run/7" in record.why
    assert job.said() == "Approved"
    assert not job.office.audit().findings


@pytest.mark.parametrize("value", ["Rejected", "yes", "", "Approved by Ada"])
def test_another_value_of_the_tag_approves_nothing(job: Job, value: str) -> None:
    with pytest.raises(DecisionRefused, match="waits"):
        job.check()
    job.tag(value)
    with pytest.raises(DecisionRefused, match="waits for a person"):
        job.check()
    assert job.office.kinds[-1] == "pending"


def test_a_tag_set_before_the_gate_had_passed_approves_nothing_and_is_set_back() -> None:
    job = Job()
    job.tag("Approved")
    with pytest.raises(DecisionRefused, match=r"without a gate that passed it.+set back.+has not judged"):
        job.check()
    job.tag("Approved")
    job.evaluated()
    with pytest.raises(DecisionRefused, match=r"before the gate had passed it, which approves nothing.+waits"):
        job.check()
    assert (job.said(), job.office.kinds[-1]) == ("Pending", "pending")


def test_a_tag_set_on_a_version_that_the_gate_refused_is_refused_with_the_reason() -> None:
    job = Job()
    job.evaluated(checks=FAILING)
    with pytest.raises(DecisionRefused, match=r"is not approved: Rejected by policy.+slices \(fail\)"):
        job.check()
    job.tag("Approved")
    with pytest.raises(DecisionRefused, match=r"^The tag Approval_Check said Approved without .+ slices \(fail\)"):
        job.check()
    assert (job.said(), job.office.kinds[-1]) == ("Rejected", "rejected")
    with pytest.raises(DecisionRefused, match=r"is not promoted\. Rejected by policy"):
        job.run("Deployment")
    assert job.office.champion == 1


def test_a_tag_does_not_overrule_a_person_who_rejected_the_version(job: Job) -> None:
    with pytest.raises(DecisionRefused, match="waits"):
        job.check()
    reject(job.office.context, 2, who="mary", why="Too risky.")
    job.tag("Approved")
    with pytest.raises(DecisionRefused, match=r"Rejected by mary.+Too risky"):
        job.check()
    assert (job.said(), job.office.kinds[-1]) == ("Rejected", "rejected")


def test_a_tag_approves_nothing_where_the_report_is_gone(job: Job) -> None:
    with pytest.raises(DecisionRefused, match="waits"):
        job.check()
    job.case.workspace.__dict__["tables"] = MemoryFeatureStore("gym")
    job.tag("Approved")
    with pytest.raises(DecisionRefused, match=r"the report of its gate is not kept.+Run the job anew"):
        job.check()
    assert job.office.kinds[-1] == "pending"


def test_an_approval_lapses_when_the_champion_changes(job: Job) -> None:
    with pytest.raises(DecisionRefused, match="waits"):
        job.check()
    job.evaluated(3)
    with pytest.raises(DecisionRefused, match="waits"):
        job.check(3)
    approve(job.office.context, 3, who="mary", why="Better.")
    job.run("Deployment", 3)
    job.tag("Approved")
    with pytest.raises(DecisionRefused, match=r"which approves nothing.+the champion changed since: it is version 3"):
        job.check()
    assert job.office.champion == 3


def test_two_people_are_asked_for_by_name_where_the_tag_cannot_say_who_set_it() -> None:
    job = Job(approval=ApprovalSettings(policy="manual", separation_of_duties=True))
    job.evaluated()
    with pytest.raises(DecisionRefused, match="waits"):
        job.check()
    job.tag("Approved")
    with pytest.raises(DecisionRefused, match=r"does not say who set it.+run\.py approve --version 2.+repair this run"):
        job.check()
    assert (job.said(), job.office.kinds[-1]) == ("Pending", "pending")
    approve(job.office.context, 2, who="mary", why="Better.")
    assert job.check().record.passed


def test_the_policy_approves_where_the_settings_let_it() -> None:
    job = Job(approval=ApprovalSettings())
    job.evaluated()
    assert job.check().record.sentence.startswith(f"Version 2 of {MODEL} is approved. Approved by policy:auto")


def test_an_approved_version_goes_live_and_the_one_before_is_kept_for_a_rollback(job: Job) -> None:
    approve_by_tag(job)
    result = job.run("Deployment")
    assert (job.office.champion, job.office.previous) == (2, 1)
    assert result.outcome is not None
    assert result.outcome.state == "promoted"
    assert PREVIOUS_CHAMPION in result.record.sentence


def test_a_second_run_of_the_same_version_changes_nothing(job: Job) -> None:
    approve_by_tag(job)
    job.run("Deployment")
    before = job.office.kinds
    assert job.check().record.passed
    assert "nothing to do" in job.run("Deployment").record.sentence
    assert job.office.kinds == before


def test_a_job_needs_no_alias_on_the_version(job: Job) -> None:
    job.office.registry.delete_alias(MODEL, "Challenger")
    approve_by_tag(job)
    job.run("Deployment")
    assert job.office.champion == 2


def test_a_version_that_does_not_work_where_it_is_put_fails_the_task_and_the_one_before_is_live_again() -> None:
    job = Job("approval.policy=manual")
    job.evaluated()
    approve_by_tag(job)
    with pytest.raises(DeploymentFailed, match="version 2 was promoted and taken back"):
        job.run("Deployment")
    assert job.office.champion == 1
    assert any("taken back" in record["sentence"] and not record["passed"] for record in job.records)


def approve_by_tag(job: Job) -> None:
    with pytest.raises(DecisionRefused, match="waits"):
        job.check()
    job.tag("Approved")
    job.check()


def test_the_model_is_called_as_the_registry_calls_it(job: Job) -> None:
    named = {"known_as": "main.gym.churn_gym", "run": ""}
    with pytest.raises(ConfigError, match=r"deploys versions of main\.gym\.churn_gym"):
        run_task(job.case.workspace, job.settings, "Approval_Check", MODEL, "2", **named)
    with pytest.raises(DecisionRefused, match="waits for a person"):
        run_task(job.case.workspace, job.settings, "Approval_Check", "main.gym.churn_gym", "2", **named)


def test_a_version_that_does_not_get_ready_is_told_and_recorded(job: Job) -> None:
    def never(version: int) -> None:
        raise StoreError(f"Version {version} is PENDING_REGISTRATION.")

    with pytest.raises(StoreError, match="Version 2 is PENDING_REGISTRATION"):
        run_task(job.case.workspace, job.settings, "Evaluation", MODEL, "2", ready=never)
    assert [record["passed"] for record in job.records] == [False]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("model", "version", "error", "message"),
    [
        ("", "2", ConfigError, "without the parameter model_name"),
        (MODEL, "", ConfigError, "without the parameter model_version"),
        ("{{job.parameters.model_name}}", "2", ConfigError, "without the parameter model_name"),
        (MODEL, "two", ConfigError, "model_version is 'two': give the number"),
        (MODEL, "0", ConfigError, "model_version is '0'"),
        (MODEL, "-1", ConfigError, "model_version is '-1'"),
        (MODEL, "9", NotFound, "has no version 9"),
        ("churn_pool", "1", ConfigError, f"this job deploys versions of {MODEL}, of the data set gym: start the job"),
        (MODEL, "4", ConfigError, "Version 4 .+ was trained on the data set pool, and this job deploys models of gym"),
    ],
)
def test_a_wrong_parameter_is_answered_in_words_and_recorded(
    task: Task, model: str, version: str, error: type[ChurnError], message: str
) -> None:
    job = Job()
    register(job.office.registry, "run-1", dataset="pool")
    before = job.office.kinds
    with pytest.raises(error, match=message):
        job.run(task, version, model)
    (record,) = job.records
    assert (record["task"], record["model_name"], record["model_version"]) == (task, model, version)
    assert (record["passed"], record["format"], record["who"], record["run"]) == (False, 1, "ada", "https://host/run/7")
    assert job.office.kinds == before


def test_every_task_leaves_a_record_of_its_own(job: Job) -> None:
    approve_by_tag(job)
    job.case.now += dt.timedelta(minutes=1)
    job.run("Deployment")
    told = [(record["task"], record["passed"]) for record in job.records]
    assert ("Deployment", True) in told
    assert ("Approval_Check", True) in told
