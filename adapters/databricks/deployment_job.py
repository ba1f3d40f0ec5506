"""The deployment job of a registered model: its link to the model, its runs and their repair."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from churn.core.errors import ConfigError, NotFound, StoreError
from churn.data.contract import DatasetContract
from churn.lifecycle.deployment_job import TASKS
from churn.profile import Profile
from churn.settings import Settings

from ..mlflow.client import ask, connect, is_conflict
from .code import store
from .deployment_payload import JOB, full_name, prepared
from .endpoint import check_release
from .jobs import Placed, find_jobs, job_name, jobs_of, place_job
from .workspace import client_of, explained, export

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import BaseRun, Run
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

__all__ = ["DeploymentJob", "Ended", "Link", "await_ready"]

_STATES = {
    "CONNECTED": "a new version starts the job",
    "NOT_SET_UP": "no job is linked",
    "NOT_FOUND": "the linked job is gone, or its owner changed",
    "REQUIRED_PARAMETERS_CHANGED": "the job lost its parameters model_name and model_version",
}


def await_ready(profile: Profile, model: str, version: int, *, within: float = 300, every: float = 2) -> None:
    """Wait until a version is READY: it starts the job before. One that is not there is not waited for.

    Args:
        profile: The stack.
        model: The full name of the registered model.
        version: The version.
        within: For how many seconds.
        every: Seconds between two looks.

    Raises:
        StoreError: it is not READY in time, or its registration failed.
    """
    export(profile.workspace, profile.mlflow.tracking_uri)
    registry = connect(profile.mlflow.tracking_uri, profile.mlflow.registry_uri)
    look, until = partial(registry.get_model_version, model, str(version)), time.monotonic() + within
    while True:
        try:
            status = ask(profile.mlflow.registry_uri, f"find version {version} of {model!r}", look).status
        except NotFound:
            return
        if status == "READY":
            return
        if status == "FAILED_REGISTRATION" or time.monotonic() > until:
            raise StoreError(
                f"Version {version} of {model} is {status}, and not READY: where its registration failed, delete it "
                "and train again; otherwise repair this run later."
            )
        time.sleep(every)


_BROKEN = (*(state for state in _STATES if state != "CONNECTED"), "ANOTHER_JOB")


class Link(NamedTuple):
    """Whether a registered model starts the job."""

    model: str
    state: str
    job_id: str
    meaning: str

    @property
    def works(self) -> bool:
        """Whether a new version starts a job."""
        return self.state == "CONNECTED"


class Ended(NamedTuple):
    """How a run ended: with the version live, with one that waits for a person, or failed."""

    state: str
    sentence: str
    url: str


class DeploymentJob:
    """The deployment job of one data set's model, found by its name and tags.

    Args:
        profile: The stack.
        contract: The data set.
        model: The registered model, without catalog and schema.
    """

    def __init__(self, profile: Profile, contract: DatasetContract, model: str) -> None:
        self._profile, self._contract, self._settings = profile, contract, profile.workspace
        self._short = model
        self._model = full_name(self._settings, contract, model)
        self._name = job_name(self._settings, JOB, contract.name)
        self._client = client_of(self._settings)
        export(self._settings, profile.mlflow.tracking_uri)

    def create(self, settings: Settings) -> tuple[Placed, Link]:
        """See to it that the job is there, is as these settings want it, and is linked to the model.

        Raises:
            ConfigError: no jobs run there, or something of this machine cannot be handed over.
            NotFound: the online store of a release is not there.
            StoreError: the workspace refuses or does not answer; the same command again completes it.
        """
        payload, _, contents = prepared(settings, self._profile, self._contract, self._short)
        check_release(self._client, self._profile, settings, self._contract.name)
        store(self._client, contents)
        with explained(f"make the job {self._name}"):
            placed = place_job(self._client, self._settings, payload)
        return placed, self._linked(str(placed.job_id))

    def unlink(self) -> Link:
        """Let new versions start no job; the job stays, and can be run by hand.

        Raises:
            NotFound: there is no such model.
            StoreError: the workspace refuses or does not answer.
        """
        if self._registered() is None:
            raise NotFound(f"There is no registered model {self._model}: nothing is linked.")
        return self._linked("")

    def link(self) -> Link:
        """Return whether the model starts the job now."""
        model = self._registered()
        state = (model and model.deployment_job_state) or "NOT_SET_UP"
        job_id = str((model and model.deployment_job_id) or "")
        ours = [str(job.job_id) for job in self._jobs()]
        if job_id and job_id not in ours and state != "NOT_FOUND":
            return Link(self._model, "ANOTHER_JOB", job_id, f"job {job_id} is linked, which is not this project's")
        return Link(self._model, state, job_id, _STATES.get(state, "a state that this version does not know"))

    def show(self) -> dict[str, Any]:
        """Return the job, its link and its newest runs, each with its version; `job_id` is None where there is none."""
        jobs, link = self._jobs(), self.link()
        runs = [self._run(run) for run in self._runs(jobs[0].job_id)] if jobs else []
        address = f"{self._client.config.host}/jobs/{jobs[0].job_id}" if jobs else None
        job_id = jobs[0].job_id if jobs else None
        return {"name": self._name, "job_id": job_id, "address": address, "link": link._asdict(), "runs": runs}

    def repair(self, version: int) -> str:
        """Run what failed of the newest run of a version again, and return where it can be seen.

        Databricks takes the parameters of the first attempt for none of a repair: they are passed again.

        Raises:
            NotFound: there is no job, or no run of that version.
            ConfigError: the run goes on, or nothing of it failed.
            StoreError: the workspace refuses or does not answer.
        """
        newest = next(self._runs_of(version), None)
        if newest is None:
            raise NotFound(f"The job {self._name} never ran for version {version} of {self._model}.")
        state = self._run(newest)
        if state["result"] == "SUCCESS" or not state["ended"]:
            what = "succeeded" if state["ended"] else "goes on"
            raise ConfigError(
                f"The newest run of version {version} {what}: there is nothing to repair ({state['url']})."
            )
        run_id = newest.run_id or 0
        earlier = self._repairs(run_id)
        try:
            with explained(f"repair the run {run_id}"):
                self._client.jobs.repair_run(
                    run_id,
                    latest_repair_id=earlier[-1] if earlier else None,
                    rerun_all_failed_tasks=True,
                    rerun_dependent_tasks=True,
                    job_parameters={"model_name": self._model, "model_version": str(version)},
                )
        except StoreError:  # also where the answer to a first request was lost, and the SDK asked again
            if self._repairs(run_id) == earlier:
                raise
        return str(state["url"])

    def _repairs(self, run_id: int) -> list[int]:
        with explained(f"look at the run {run_id}"):
            history = self._client.jobs.get_run(run_id, include_history=True).repair_history or []
        return [item.id for item in history if item.id and str(item.type).endswith("REPAIR")]

    def wait(self, version: int) -> Ended:
        """Wait until the newest run of a version has ended, also for it to begin, and return how it did.

        Raises:
            NotFound: there is no job.
            StoreError: no run will begin, since no version starts the job; it takes longer than `timeout_seconds`; or
                the workspace refuses or does not answer.
        """
        limits = jobs_of(self._settings)
        until = time.monotonic() + limits.timeout_seconds
        while time.monotonic() < until:
            newest = next(self._runs_of(version), None)
            if newest is None and (link := self.link()).state in _BROKEN:
                raise StoreError(
                    f"No run of {self._name} is there for version {version} of {self._model}, and none will begin: "
                    f"{link.meaning} ({link.state}). `python run.py deployment-job create` links it again; then start "
                    f"the job on the page of the version, or with model_name={self._model} and model_version={version}."
                )
            if newest is not None and self._run(newest)["ended"]:
                return self._ended(newest.run_id or 0, version)
            time.sleep(limits.poll_seconds)
        raise StoreError(
            f"The job {self._name} has not ended for version {version} within {limits.timeout_seconds:,} s: "
            "`python run.py deployment-job show` says how far it is."
        )

    def _ended(self, run_id: int, version: int) -> Ended:
        with explained(f"look at the run {run_id}"):
            run = self._client.jobs.get_run(run_id)
            failed = [
                task for task in run.tasks or () if task.state and str(task.state.result_state).endswith(".FAILED")
            ]
            said = self._client.jobs.get_run_output(failed[0].run_id or 0).error if failed else None
        state = self._run(run)
        if state["result"] == "SUCCESS":
            return Ended("live", f"Version {version} of {self._model} is deployed.", str(state["url"]))
        waits = bool(failed) and failed[0].task_key == TASKS[1] and self._tag(version) == "Pending"
        where = f"{failed[0].task_key} failed" if failed else str(state["result"]).lower()
        return Ended("waiting" if waits else "failed", said or f"The run ended: {where}.", str(state["url"]))

    def _tag(self, version: int) -> str | None:
        look = partial(self._registry.get_model_version, self._model, str(version))
        tags: dict[str, str] = self._ask(f"find version {version} of {self._model!r}", look).tags
        return tags.get(TASKS[1])

    def _jobs(self) -> list[Any]:
        with explained(f"look for the job {self._name}"):
            return find_jobs(self._client, self._settings, self._name)

    def _runs_of(self, version: int) -> Iterator[BaseRun]:
        """Yield the runs of a version, the newest first; raises NotFound where there is no job."""
        jobs = self._jobs()
        if not jobs:
            raise NotFound(f"There is no job {self._name}: make it with `python run.py deployment-job create`.")
        yield from (run for run in self._runs(jobs[0].job_id) if self._run(run)["version"] == str(version))

    def _runs(self, job_id: int | None) -> list[BaseRun]:
        with explained(f"list the runs of {self._name}"):
            return list(self._client.jobs.list_runs(job_id=job_id, limit=20, expand_tasks=False))

    def _run(self, run: BaseRun | Run) -> dict[str, Any]:
        parameters = {parameter.name: parameter.value for parameter in run.job_parameters or ()}
        state = run.state
        life = state.life_cycle_state.value if state and state.life_cycle_state else ""
        result = state.result_state.value if state and state.result_state else ""
        ended = life in {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}
        return {
            "version": parameters.get("model_version"),
            "result": result or life,
            "ended": ended,
            "url": run.run_page_url,
        }

    @property
    def _registry(self) -> MlflowClient:
        places = self._profile.mlflow
        return connect(places.tracking_uri, places.registry_uri)

    def _ask(self, what: str, call: Any) -> Any:
        return ask(self._profile.mlflow.registry_uri, what, call)

    def _registered(self) -> RegisteredModel | None:
        registry = self._registry
        try:
            model: RegisteredModel = self._ask(
                f"find {self._model!r}", partial(registry.get_registered_model, self._model)
            )
        except NotFound:
            return None
        return model

    def _linked(self, job_id: str) -> Link:
        """Let the model start that job, or none; looked up, made where it is missing, looked up again."""
        registry, model = self._registry, self._registered()
        if model is None:
            create = partial(registry.create_registered_model, self._model, deployment_job_id=job_id)
            try:
                self._ask(f"create {self._model!r}", create)
            except StoreError as error:
                if not is_conflict(error):
                    raise
            model = self._registered()
        present = str((model and model.deployment_job_id) or "")
        connected = bool(job_id) and (model is not None and model.deployment_job_state == "CONNECTED")
        if model is not None and (present != job_id or (job_id and not connected)):
            said = model.description or ""
            change = partial(registry.update_registered_model, self._model, said, deployment_job_id=job_id)
            try:
                self._ask(f"link {self._model!r} to its deployment job", change)
            except StoreError as error:
                if "PERMISSION_DENIED" not in str(error):
                    raise
                raise StoreError(f"{error} Ask its owner to run this command, or for MANAGE on the model.") from error
        return self.link()
