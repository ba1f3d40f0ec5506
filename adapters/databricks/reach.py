"""Whether a task of a job reaches ZenML's server: a job of one task tries it, and leaves nothing but its run."""

from __future__ import annotations

import io
import re
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from churn.core.errors import ChurnError
from churn.profile import DatabricksSettings

from ..local.machine_checks import Finding
from .progress import has_ended, status_of
from .workspace import explained

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import Run

__all__ = ["reached_by_a_job"]

NAME, SECONDS, PAUSE = "ZenML server, from a job", 120, 0.5
PROGRAM = b"""\
import sys, urllib.request
print("Python", sys.version.split()[0])
urllib.request.urlopen(sys.argv[1] + "/health", timeout=20).close()
"""


def reached_by_a_job(client: WorkspaceClient, settings: DatabricksSettings, url: str) -> Finding:
    """Let a serverless task ask ZenML's server at `url` whether it is well, for two minutes at most."""
    if settings.jobs is None or settings.jobs.cluster is not None:
        remedy = "a pipeline's first task shows it"
        return Finding("databricks", NAME, "warn", "not tried: a cluster takes minutes to start", remedy)
    try:
        with explained("try it"):
            ended, logs, error = _ran(client, settings, url)
    except ChurnError as refused:
        return Finding("databricks", NAME, "warn", str(refused), "a pipeline's first task shows it")
    where = ended.run_page_url or ""
    python = "".join(re.findall(r"^Python (\S+)", logs, re.MULTILINE)[:1])
    if not has_ended(ended.state):
        message = f"no answer: the job had not ended after {SECONDS} s"
        return Finding("databricks", NAME, "warn", message, f"see {where}, and try again")
    if status_of(ended.state) != "completed":
        remedy = f"let the workspace's network reach {url} (for serverless compute its network policy); see {where}"
        return Finding(
            "databricks", NAME, "fail", f"a task does not reach {url} ({error or 'no reason given'})", remedy
        )
    if not python.startswith("3.12."):
        remedy = "set profile.databricks.jobs.environment_version to one with Python 3.12"
        message = f"a task reaches it, and runs Python {python}, for which the packages of jobs are not locked"
        return Finding("databricks", NAME, "warn", message, remedy)
    return Finding("databricks", NAME, "ok", f"a task reaches it; Python {python} there")


def _ran(client: WorkspaceClient, settings: DatabricksSettings, url: str) -> tuple[Run, str, str]:
    """Return the run as it is at the end, what it printed, and why it failed."""
    from databricks.sdk.errors import DatabricksError
    from databricks.sdk.service.compute import Environment
    from databricks.sdk.service.jobs import JobEnvironment, JobRunAs, SparkPythonTask, SubmitTask
    from databricks.sdk.service.workspace import ImportFormat

    jobs, program = settings.jobs, f"{settings.folder}/doctor-{uuid.uuid4().hex}.py"
    assert jobs is not None
    client.workspace.mkdirs(settings.folder)
    client.workspace.upload(program, io.BytesIO(PROGRAM), format=ImportFormat.AUTO)
    try:
        task = SparkPythonTask(f"/Workspace{program}", [url])
        environment = JobEnvironment("doctor", Environment(environment_version=jobs.environment_version))
        run_id = client.jobs.submit(
            run_name=f"{settings.project}-doctor",
            tasks=[SubmitTask("reach", environment_key="doctor", spark_python_task=task)],
            environments=[environment],
            run_as=JobRunAs(service_principal_name=jobs.run_as) if jobs.run_as else None,
            timeout_seconds=SECONDS,
            idempotency_token=uuid.uuid4().hex,
        ).run_id
        until = time.monotonic() + SECONDS
        while not has_ended((run := client.jobs.get_run(run_id)).state) and time.monotonic() < until:
            time.sleep(PAUSE)
        if not has_ended(run.state):
            client.jobs.cancel_run(run_id)
            return run, "", ""
        output = client.jobs.get_run_output((run.tasks and run.tasks[0].run_id) or run_id)
        return run, output.logs or "", (output.error or "").strip().rpartition("\n")[2]
    finally:
        with suppress(DatabricksError, OSError):
            client.workspace.delete(program)
