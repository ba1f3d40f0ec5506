"""The jobs of pipelines, one a pipeline and data set, one a schedule: what they are made of, found, made, changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from churn.core.errors import ConfigError
from churn.profile import DatabricksSettings, JobSettings

from .code import Code
from .payloads import differences
from .workspace import tags_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import BaseJob
    from databricks.sdk.service.jobs import JobSettings as SdkSettings

__all__ = [
    "PACKAGE",
    "SECRET",
    "SNAPSHOT",
    "Placed",
    "compute",
    "find_jobs",
    "job_name",
    "job_payload",
    "jobs_of",
    "place_job",
    "quartz",
    "settings_of",
]

ENTRY_POINT, PACKAGE, KEY = "churn-step", "churn-lifecycle", "churn"
SNAPSHOT, SECRET = "snapshot", "secret"
"""The parameters of a job, in which one run differs from another."""
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


class Placed(NamedTuple):
    """A job as it is now, and how it came to be so."""

    job_id: int
    change: str  # "created", "updated" or "unchanged"


def job_name(settings: DatabricksSettings, *parts: str) -> str:
    """Return the name of a job, such as `churn-training-telco`: it stays the same from run to run."""
    return "-".join(re.sub(r"[^\w.-]+", "_", part) for part in (settings.project, *parts))


def jobs_of(settings: DatabricksSettings) -> JobSettings:
    """Return how jobs run; raises ConfigError where none run."""
    if settings.jobs is None:
        raise ConfigError("This stack runs no jobs: `profile.databricks.jobs` is null.")
    return settings.jobs


def job_payload(
    settings: DatabricksSettings,
    pipeline: str,
    dataset: str,
    steps: Mapping[str, Sequence[str]],
    code: Code,
    *,
    name: str | None = None,
    defaults: Mapping[str, str] | None = None,
    schedule: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the job of a pipeline as the Jobs API 2.2 takes it, each step a task that runs the project's wheel.

    Args:
        settings: The workspace, with `jobs`.
        pipeline: The pipeline.
        dataset: The data set.
        steps: The steps of the pipeline, each with those that it waits for.
        code: Where wheel, requirements and profile are.
        name: The job's name; None is that of the pipeline's own job.
        defaults: Values of the parameters `snapshot` and `secret` where a run names none, as that of a schedule does.
        schedule: When the job runs by itself, as `schedule` of the API takes it.

    Raises:
        ConfigError: the cluster of the settings is none that the API takes.
    """
    jobs = jobs_of(settings)
    parameters = [
        "--profile",
        code.profile,
        "--step",
        "{{task.name}}",
        "--snapshot",
        f"{{{{job.parameters.{SNAPSHOT}}}}}",
    ]
    parameters += ["--secret", f"{jobs.secret_scope}/{{{{job.parameters.{SECRET}}}}}", "--run", "{{job.run_id}}"]
    job, task = compute(jobs, code)
    task["python_wheel_task"] = {"package_name": PACKAGE, "entry_point": ENTRY_POINT, "parameters": parameters}
    job |= {
        "name": name or job_name(settings, pipeline, dataset),
        "tags": tags_of(settings, churn_pipeline=pipeline, churn_dataset=dataset),
        "tasks": [
            {
                "task_key": step,
                **({"depends_on": [{"task_key": earlier} for earlier in sorted(before)]} if before else {}),
                **task,
            }
            for step, before in steps.items()
        ],
        "parameters": [{"name": key, "default": (defaults or {}).get(key, "")} for key in (SNAPSHOT, SECRET)],
    }
    if schedule:
        job["schedule"] = dict(schedule)
    return job


def compute(jobs: JobSettings, code: Code) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a job, and what each of its tasks, says of where the tasks run and of what happens to them.

    Raises:
        ConfigError: the cluster of the settings is none that the API takes.
    """
    job: dict[str, Any] = {}
    task: dict[str, Any] = {"max_retries": 0}  # a step of ZenML cannot be started twice, and a decision is made once
    if jobs.cluster is None:
        dependencies = [f"-r {code.requirements}", code.wheel]
        spec = {"environment_version": jobs.environment_version, "dependencies": dependencies}
        job["environments"] = [{"environment_key": KEY, "spec": spec}]
        task |= {"environment_key": KEY, "disable_auto_optimization": True}  # which would retry on its own
    else:
        job["job_clusters"] = [{"job_cluster_key": KEY, "new_cluster": _cluster(jobs.cluster)}]
        task |= {"job_cluster_key": KEY, "libraries": [{"requirements": code.requirements}, {"whl": code.wheel}]}
    job |= {"queue": {"enabled": True}, "max_concurrent_runs": 1, "timeout_seconds": jobs.timeout_seconds}
    if jobs.run_as:
        job["run_as"] = {"service_principal_name": jobs.run_as}
    if jobs.notify:
        job["email_notifications"] = {"on_failure": list(jobs.notify), "no_alert_for_skipped_runs": True}
    return job, task


def _cluster(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cluster, with access to Unity Catalog; raises ConfigError for a key that the API does not know."""
    from databricks.sdk.service.compute import ClusterSpec

    cluster = {"data_security_mode": "SINGLE_USER", **asked}
    if unknown := sorted(set(cluster) - set(ClusterSpec.from_dict(cluster).as_dict())):
        raise ConfigError(
            f"profile.databricks.jobs.cluster: the Jobs API does not take {', '.join(unknown)} in `new_cluster`."
        )
    if "spark_version" not in cluster:
        raise ConfigError('profile.databricks.jobs.cluster needs a spark_version, such as "17.3.x-scala2.13".')
    return cluster


def find_jobs(client: WorkspaceClient, settings: DatabricksSettings, name: str) -> list[BaseJob]:
    """Return the project's jobs of that name, the oldest first; another one's job of the same name is none of them."""
    mark = tags_of(settings).items()
    jobs = [job for job in client.jobs.list(name=name) if job.settings and mark <= (job.settings.tags or {}).items()]
    return sorted(jobs, key=lambda job: job.job_id or 0)


def place_job(client: WorkspaceClient, settings: DatabricksSettings, payload: Mapping[str, Any]) -> Placed:
    """See to it that the job is there as the payload says: looked up, made if it is missing, and looked up again.

    An answer that is lost after its effect makes the SDK ask for the job once more; the second job is removed.
    """
    from databricks.sdk.service.jobs import JobSettings as SdkSettings

    wanted, name = SdkSettings.from_dict(dict(payload)), str(payload["name"])
    jobs = find_jobs(client, settings, name)
    if not jobs:
        client.jobs.create(**_shallow(wanted))
        jobs = find_jobs(client, settings, name)
        change = "created"
    else:
        change = "updated" if differences(settings_of(client, jobs[0]), wanted.as_dict()) else "unchanged"
        if change == "updated":
            client.jobs.reset(_id(jobs[0]), wanted)
    for twin in jobs[1:]:
        client.jobs.delete(_id(twin))
    return Placed(_id(jobs[0]), change)


def settings_of(client: WorkspaceClient, job: BaseJob) -> dict[str, Any]:
    """Return a job as the workspace has it, whole: a listing leaves tasks out."""
    settings = client.jobs.get(_id(job)).settings
    return {} if settings is None else settings.as_dict()


def _id(job: BaseJob) -> int:
    assert job.job_id is not None
    return job.job_id


def _shallow(settings: SdkSettings) -> dict[str, Any]:
    return {name: value for name, value in vars(settings).items() if value is not None}


def quartz(cron: str, timezone: str = "UTC", *, paused: bool = False) -> dict[str, Any]:
    """Return the schedule of a job from a cron expression of five fields.

    Raises:
        ConfigError: it is none, or names days of the month and of the week at once, which Quartz cannot.
    """
    fields = cron.split()
    if len(fields) != 5:
        raise ConfigError(
            f"The schedule {cron!r} has {len(fields)} fields: five are minute, hour, day, month, weekday."
        )
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ConfigError(
            f"The schedule {cron!r} names a day of the month and a day of the week, of which Databricks takes one: "
            "write `*` for the other."
        )
    first, slash, step = weekday.partition("/")
    weekday = re.sub(r"[0-7]", lambda digit: _DAYS[int(digit[0])], first) + slash + step
    days = f"{day} {month} ?" if weekday == "*" else f"? {month} {weekday}"
    status = "PAUSED" if paused else "UNPAUSED"
    return {"quartz_cron_expression": f"0 {minute} {hour} {days}", "timezone_id": timezone, "pause_status": status}
