"""What a deployment job is made of: its tasks, and the file with which a task of it finds its data set."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from churn.data.contract import DatasetContract
from churn.lifecycle.deployment_job import TASKS
from churn.profile import DatabricksSettings, Profile
from churn.settings import Settings

from .code import Code, code_of, from_job, variables_of, wheel
from .jobs import PACKAGE, compute, job_name, jobs_of
from .secrets import lend
from .workspace import explained, tags_of

__all__ = ["JOB", "Prepared", "deployment_payload", "full_name", "prepared", "read_job"]

JOB = "deployment-job"
"""A part of its name: the deployment pipeline has a job of its own."""
_ENTRY_POINT = "churn-deployment-task"
_PARAMETERS = ("model_name", "model_version")
"""What Databricks passes to a deployment job; a job without them is disconnected from its model."""
_RUN = "{{workspace.url}}/jobs/{{job.id}}/runs/{{job.run_id}}"


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
        "name": job_name(settings, JOB, contract.name),
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
    handed = {
        "profile": code.profile,
        "settings": settings.model_copy(update={"dataset": contract.name, "data": None}).model_dump(mode="json"),
        "contract": contract.model_dump(mode="json", exclude_none=True, exclude={"feature_digest"}),
    }
    content = json.dumps(handed, sort_keys=True).encode()
    job_file = f"{at.volume_path}/code/deployment-{_digest(content)}.json"
    payload = deployment_payload(at, contract, full_name(at, contract, model), code, job_file)
    return Prepared(payload, code, {**contents, job_file: content})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def read_job(path: str) -> tuple[Settings, Profile, DatasetContract]:
    """Return what a job was made with: its settings, the profile, and the data set.

    Passwords that the profile names a variable for come from the secrets of these names, in the scope of the jobs.

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

    handed = json.loads(read(path))
    profile = from_job(read(handed["profile"]), Path(tempfile.mkdtemp(prefix="churn-")))
    lend(client, jobs_of(profile.workspace).secret_scope, variables_of(profile))
    return Settings.model_validate(handed["settings"]), profile, DatasetContract.model_validate(handed["contract"])
