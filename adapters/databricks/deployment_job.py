"""The deployment job of a registered model: its tasks, its link to the model, its runs and their repair."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from churn.core.errors import ConfigError, NotFound, StoreError
from churn.data.contract import DatasetContract
from churn.lifecycle.deployment_job import TASKS
from churn.settings import DatabricksSettings, Profile, Settings

from ..mlflow.client import ask, connect, is_conflict
from .code import Code, code_of, from_job, store, wheel
from .jobs import PACKAGE, Placed, compute, find_jobs, job_name, jobs_of, place_job
from .workspace import client_of, explained, export, tags_of

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import BaseRun, Run
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

__all__ = [
    "DeploymentJob",
    "Ended",
    "Link",
    "Prepared",
    "await_ready",
    "deployment_payload",
    "full_name",
    "prepared",
    "read_job",
]

_ENTRY_POINT, _JOB = "churn-deployment-task", "deployment-job"
"""The second is part of its name: the deployment pipeline has a job of its own."""
_PARAMETERS = ("model_name", "model_version")
"""What Databricks passes to a deployment job; a job without them is disconnected from its model."""
_RUN = "{{workspace.url}}/jobs/{{job.id}}/runs/{{job.run_id}}"
_STATES = {
    "CONNECTED": "a new version starts the job",
    "NOT_SET_UP": "no job is linked",
    "NOT_FOUND": "the linked job is gone, or its owner changed",
    "REQUIRED_PARAMETERS_CHANGED": "the job lost its parameters model_name and model_version",
}


def full_name(settings: DatabricksSettings, contract: DatasetContract, model: str) -> str:
    """Return how Unity Catalog calls a data set's model, such as `main.telco.churn_telco`."""
    return f"{settings.schema_of(contract)}.{model}"


def deployment_payload(
    settings: DatabricksSettings, contract: DatasetContract, model: str, code: Code, job_file: str
) -> dict[str, Any]:
    """Return the deployment job of a model as the Jobs API 2.2 takes it.

    Its tasks need ZenML as little as they need an alias: what they know is the file and the parameters of the run.

    Args:
        settings: The workspace, with `jobs`.
        contract: The data set.
        model: The full name of the registered model.
        code: Where wheel and requirements are.
        job_file: Where profile, settings and contract are, in a volume.

    Raises:
        ConfigError: no jobs run there, or the cluster of the settings is none that the API takes.
    """
    jobs = jobs_of(settings)
    job, task = compute(jobs, code)
    tasks = []
    for before, name in zip((None, *TASKS), TASKS, strict=False):
        asked = [f"--{parameter}={{{{job.parameters.{parameter}}}}}" for parameter in _PARAMETERS]
        parameters = [name.lower(), *asked, f"--job={job_file}", f"--run={_RUN}"]
        started = {"package_name": PACKAGE, "entry_point": _ENTRY_POINT, "parameters": parameters}
        needed = {"depends_on": [{"task_key": before}]} if before else {}
        within = {"timeout_seconds": jobs.timeout_seconds}
        tasks.append({"task_key": name, **needed, **task, **within, "python_wheel_task": started})
    defaults = {"model_name": model, "model_version": ""}
    return {
        **job,
        "name": job_name(settings, _JOB, contract.name),
        "description": f"Judges, approves and deploys each new version of {model}.",
        "tags": tags_of(settings, churn_job="deployment", churn_dataset=contract.name),
        "tasks": tasks,
        "parameters": [{"name": name, "default": defaults[name]} for name in _PARAMETERS],
    }


class Prepared(NamedTuple):
    """The job as the API takes it, the code of every job, and the files of the volume that it runs, by path."""

    payload: dict[str, Any]
    code: Code
    contents: dict[str, bytes]


def prepared(settings: Settings, profile: Profile, contract: DatasetContract, model: str) -> Prepared:
    """Return a data set's deployment job with all that it runs; no workspace is asked.

    Args:
        settings: What the job works with; tables that are delivered are none of its business.
        profile: The stack.
        contract: The data set.
        model: The registered model, without catalog and schema.

    Raises:
        ConfigError: no jobs run there, or something of this machine cannot be handed over.
        StoreError: the wheel cannot be built.
    """
    at, root = profile.workspace, Path(__file__).resolve().parents[2]
    jobs_of(at)
    project = root if (root / "pyproject.toml").is_file() else None
    contents = code_of(profile, wheel(project, profile.state / "wheels"))
    code = Code(*contents)
    if contract.feature_module is not None:
        module = contract.feature_module.read_bytes()
        place = f"{at.volume_path}/incoming/{_digest(module)}/{contract.feature_module.name}"
        contract, contents = contract.model_copy(update={"feature_module": Path(place)}), {**contents, place: module}
    told = {
        "profile": code.profile,
        "settings": settings.model_copy(update={"dataset": contract.name, "data": None}).model_dump(mode="json"),
        "contract": contract.model_dump(mode="json", exclude_none=True, exclude={"feature_digest"}),
    }
    content = json.dumps(told, sort_keys=True).encode()
    job_file = f"{at.volume_path}/code/deployment-{_digest(content)}.json"
    payload = deployment_payload(at, contract, full_name(at, contract, model), code, job_file)
    return Prepared(payload, code, {**contents, job_file: content})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def read_job(path: str) -> tuple[Settings, Profile, DatasetContract]:
    """Return what a job was made with: its settings, the profile, and the data set.

    Raises:
        StoreError: the file cannot be read.
    """
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient()  # of the workspace in which the task runs, as whom the job runs

    def read(name: str) -> str:
        with explained(f"read {name}"):
            contents = client.files.download(name).contents
        assert contents is not None
        return contents.read().decode()

    told = json.loads(read(path))
    profile = from_job(read(told["profile"]), Path(tempfile.mkdtemp(prefix="churn-")))
    return Settings.model_validate(told["settings"]), profile, DatasetContract.model_validate(told["contract"])


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
        self._name = job_name(self._settings, _JOB, contract.name)
        self._client = client_of(self._settings)
        export(self._settings, profile.mlflow.tracking_uri)

    def create(self, settings: Settings) -> tuple[Placed, Link]:
        """See to it that the job is there, is as these settings want it, and is linked to the model.

        Raises:
            ConfigError: no jobs run there, or something of this machine cannot be handed over.
            StoreError: the workspace refuses or does not answer; the same command again completes it.
        """
        payload, _, contents = prepared(settings, self._profile, self._contract, self._short)
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
        own = [str(job.job_id) for job in self._jobs()]
        if job_id and job_id not in own and state != "NOT_FOUND":
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
        jobs = self._jobs()
        if not jobs:
            raise NotFound(f"There is no job {self._name}: make it with `python run.py deployment-job create`.")
        runs = (run for run in self._runs(jobs[0].job_id) if self._run(run)["version"] == str(version))
        newest = next(runs, None)
        if newest is None or newest.run_id is None:
            raise NotFound(f"The job {self._name} never ran for version {version} of {self._model}.")
        told = self._run(newest)
        if told["result"] == "SUCCESS" or not told["ended"]:
            what = "succeeded" if told["ended"] else "goes on"
            raise ConfigError(
                f"The newest run of version {version} {what}: there is nothing to repair ({told['url']})."
            )
        history = newest.repair_history or []
        latest = [item.id for item in history if item.id and str(item.type).endswith("REPAIR")]
        with explained(f"repair the run {newest.run_id}"):
            self._client.jobs.repair_run(
                newest.run_id,
                latest_repair_id=latest[-1] if latest else None,
                rerun_all_failed_tasks=True,
                rerun_dependent_tasks=True,
                job_parameters={"model_name": self._model, "model_version": str(version)},
            )
        return str(told["url"])

    def wait(self, version: int) -> Ended:
        """Wait until the newest run of a version has ended, also for it to begin, and return how it did.

        Raises:
            NotFound: there is no job.
            StoreError: it takes longer than `timeout_seconds`, or the workspace refuses or does not answer.
        """
        jobs, limits = self._jobs(), jobs_of(self._settings)
        if not jobs:
            raise NotFound(f"There is no job {self._name}: make it with `python run.py deployment-job create`.")
        until = time.monotonic() + limits.timeout_seconds
        while time.monotonic() < until:
            runs = (run for run in self._runs(jobs[0].job_id) if self._run(run)["version"] == str(version))
            newest = next(runs, None)
            if newest is not None and newest.run_id is not None and self._run(newest)["ended"]:
                return self._ended(newest.run_id, version)
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
        told = self._run(run)
        if told["result"] == "SUCCESS":
            return Ended("live", f"Version {version} of {self._model} is deployed.", str(told["url"]))
        waits = bool(failed) and failed[0].task_key == TASKS[1] and self._tag(version) == "Pending"
        where = f"{failed[0].task_key} failed" if failed else str(told["result"]).lower()
        return Ended("waiting" if waits else "failed", said or f"The run ended: {where}.", str(told["url"]))

    def _tag(self, version: int) -> str | None:
        look = partial(self._registry.get_model_version, self._model, str(version))
        tags: dict[str, str] = self._ask(f"find version {version} of {self._model!r}", look).tags
        return tags.get(TASKS[1])

    def _jobs(self) -> list[Any]:
        with explained(f"look for the job {self._name}"):
            return find_jobs(self._client, self._settings, self._name)

    def _runs(self, job_id: int | None) -> list[BaseRun]:
        with explained(f"list the runs of {self._name}"):
            return list(self._client.jobs.list_runs(job_id=job_id, limit=20, expand_tasks=False))

    def _run(self, run: BaseRun | Run) -> dict[str, Any]:
        given = {each.name: each.value for each in run.job_parameters or ()}
        state = run.state
        life = state.life_cycle_state.value if state and state.life_cycle_state else ""
        result = state.result_state.value if state and state.result_state else ""
        ended = life in {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}
        return {
            "version": given.get("model_version"),
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
            found: RegisteredModel = self._ask(
                f"find {self._model!r}", partial(registry.get_registered_model, self._model)
            )
        except NotFound:
            return None
        return found

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
