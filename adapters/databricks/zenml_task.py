"""A task of a job: one step of a pipeline, in a process that knows nothing but the task's parameters."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from churn.profile import Profile

from .code import from_job, variables_of
from .secrets import lend, read
from .zenml_orchestrator import RUN_ID

__all__ = ["run_task"]


def run_task(
    activate: Callable[[Profile], None], *, profile: str, step: str, snapshot: str, secret: str, run: str
) -> None:
    """Run a step; what it raises ends the task as failed.

    Args:
        activate: Lets the ports be those of a profile.
        profile: The profile in the volume.
        step: The step.
        snapshot: The id of ZenML's snapshot of the pipeline.
        secret: `scope/key` of what ZenML's client is configured with.
        run: The id of the job's run.
    """
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient()  # of the workspace in which the task runs, as whom the job runs
    text = client.files.download(profile).contents
    assert text is not None
    state = Path(tempfile.mkdtemp(prefix="churn-"))  # for what is of this task alone
    connected = from_job(text.read().decode(), state)
    activate(connected)
    os.environ.update({**json.loads(read(client, secret)), RUN_ID: run})
    lend(client, secret.partition("/")[0], variables_of(connected))

    from zenml.entrypoints.step_entrypoint_configuration import StepEntrypointConfiguration
    from zenml.execution.pipeline.utils import prevent_pipeline_execution
    from zenml.utils import source_utils

    class Task(StepEntrypointConfiguration):
        """Finds the code where it is installed, and makes no `/app`."""

        def prepare_code_environment(self) -> None:
            source_utils.set_custom_source_root(str(Path(__file__).parents[2]))

    with prevent_pipeline_execution():
        Task(arguments=["--snapshot_id", snapshot, "--step_name", step]).run()
