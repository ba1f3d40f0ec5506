"""The orchestrator of this project: a run of a pipeline is a run of its Databricks job, which is there already.

It is ZenML's Databricks orchestrator with another way of submitting: the project's own wheel instead of a copy of the
working directory, serverless compute, a job that stays instead of one a run, the id of the run instead of that of the
job (with which a schedule works once), and no token in the job.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from pydantic import Field
from zenml.client import Client
from zenml.config.base_settings import BaseSettings
from zenml.constants import METADATA_ORCHESTRATOR_LOGS_URL, METADATA_ORCHESTRATOR_RUN_ID, METADATA_ORCHESTRATOR_URL
from zenml.enums import ExecutionMode, ExecutionStatus
from zenml.integrations.databricks.flavors.databricks_orchestrator_flavor import (
    DatabricksOrchestratorConfig,
    DatabricksOrchestratorFlavor,
)
from zenml.integrations.databricks.orchestrators.databricks_orchestrator import DatabricksOrchestrator
from zenml.metadata.metadata_types import MetadataType, Uri
from zenml.models import PipelineRunUpdate, StepRunUpdate
from zenml.orchestrators.base_orchestrator import SubmissionResult
from zenml.orchestrators.exceptions import PipelineSubmissionError

from churn.core.errors import ChurnError
from churn.profile import DatabricksSettings

from .code import Code
from .jobs import SECRET, SNAPSHOT, find_jobs, job_name, job_payload, place_job, quartz
from .progress import follow, has_ended, status_of
from .secrets import forget, keep
from .workspace import client_of, explained

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from zenml.models import PipelineRunResponse, PipelineSnapshotResponse, ScheduleResponse, ScheduleUpdate
    from zenml.stack import Stack

__all__ = [
    "RUN_ID",
    "ChurnDatabricksOrchestrator",
    "ChurnDatabricksOrchestratorConfig",
    "ChurnDatabricksOrchestratorFlavor",
]

RUN_ID = "CHURN_JOB_RUN_ID"
"""The variable with the id of the job's run, in a task."""


class ChurnDatabricksOrchestratorSettings(BaseSettings):
    """What a run adds to the profile: its pipeline and data set, and where wheel, requirements and profile are."""

    job: list[str] = Field(default=[], description="The pipeline and the data set.")
    code: list[str] = Field(default=[], description="Wheel, requirements and profile, as paths in a volume.")
    variables: list[str] = Field(default=[], description="Environment variables whose values tasks need, as secrets.")


class ChurnDatabricksOrchestratorConfig(DatabricksOrchestratorConfig, ChurnDatabricksOrchestratorSettings):
    """What the profile says of the workspace."""

    host: str = Field(default="", description="Not used: the workspace says it.")
    workspace: dict[str, Any] = Field(description="`profile.databricks`.")


class ChurnDatabricksOrchestratorFlavor(DatabricksOrchestratorFlavor):
    """The flavor of the orchestrator, as it is registered."""

    @property
    def name(self) -> str:
        """The flavor's name."""
        return "churn_databricks"

    @property
    def config_class(self) -> type[ChurnDatabricksOrchestratorConfig]:
        """What a component of the flavor is configured with."""
        return ChurnDatabricksOrchestratorConfig

    @property
    def implementation_class(self) -> type[ChurnDatabricksOrchestrator]:
        """The orchestrator."""
        return ChurnDatabricksOrchestrator


class ChurnDatabricksOrchestrator(DatabricksOrchestrator):
    """Runs pipelines as Databricks jobs that stay: one a pipeline and data set, one a schedule."""

    @property
    def config(self) -> ChurnDatabricksOrchestratorConfig:
        """Return the configuration of the component."""
        return self._config  # type: ignore[return-value]

    @property
    def workspace(self) -> DatabricksSettings:
        """The workspace of the profile."""
        return DatabricksSettings.model_validate(self.config.workspace)

    @property
    def settings_class(self) -> type[ChurnDatabricksOrchestratorSettings]:  # type: ignore[override]
        """What a run may set."""
        return ChurnDatabricksOrchestratorSettings

    @property
    def supported_execution_modes(self) -> list[ExecutionMode]:
        """A task waits for those before it to succeed; the first that fails ends a pipeline that is to fail fast."""
        return [ExecutionMode.FAIL_FAST, ExecutionMode.CONTINUE_ON_FAILURE]

    def get_orchestrator_run_id(self) -> str:
        """Return the id of the job's run, which is another one at each start of the job."""
        return os.environ[RUN_ID]

    def get_pipeline_run_metadata(self, run_id: UUID) -> dict[str, MetadataType]:
        """Return the links to the job's run."""
        from databricks.sdk import WorkspaceClient

        run = WorkspaceClient().jobs.get_run(int(os.environ[RUN_ID]))
        return _links(run.run_id, run.run_page_url or "")

    def submit_pipeline(
        self,
        snapshot: PipelineSnapshotResponse,
        stack: Stack,
        base_environment: dict[str, str],
        step_environments: dict[str, dict[str, str]],
        placeholder_run: PipelineRunResponse | None = None,
    ) -> SubmissionResult | None:
        """See to it that the job is as the pipeline is, and start it, unless a schedule does.

        Raises:
            PipelineSubmissionError: the workspace refuses the job or the run; nothing runs.
        """
        try:
            with explained("start the job"):
                return self._submit(snapshot, base_environment, placeholder_run)
        except ChurnError as refused:
            raise PipelineSubmissionError(str(refused)) from refused

    def _submit(
        self, snapshot: PipelineSnapshotResponse, environment: dict[str, str], run: PipelineRunResponse | None
    ) -> SubmissionResult | None:
        from databricks.sdk.errors import DatabricksError

        settings = self.workspace
        asked = cast(ChurnDatabricksOrchestratorSettings, self.get_settings(snapshot))
        client, schedule = client_of(settings), snapshot.schedule
        whole = Client().zen_store.get_snapshot(snapshot.id)  # with the steps that are skipped this time
        steps = {name: step.spec.upstream_steps for name, step in whole.step_configurations.items()}
        secret = f"schedule-{schedule.id}" if schedule else f"run-{run.id if run else snapshot.id}"
        values = {SNAPSHOT: str(snapshot.id), SECRET: secret}
        payload = job_payload(
            settings,
            asked.job[0],
            asked.job[1],
            steps,
            Code(*asked.code),
            name=job_name(settings, "schedule", schedule.name) if schedule else None,
            defaults=values if schedule else None,
            schedule=quartz(schedule.cron_expression or "") if schedule else None,
        )
        passwords = {name: os.environ[name] for name in asked.variables if name in os.environ}
        try:
            keep(client, settings, secret, json.dumps({**environment, **passwords}))
            job = place_job(client, settings, payload)
            if schedule:
                return SubmissionResult(
                    metadata={METADATA_ORCHESTRATOR_URL: Uri(f"{client.config.host}/jobs/{job.job_id}")}
                )
            started = client.jobs.run_now(
                job.job_id,
                idempotency_token=secret,
                job_parameters=values,
                only=list(snapshot.step_configurations) if len(snapshot.step_configurations) < len(steps) else None,
            )
        except Exception:
            with suppress(DatabricksError, OSError):  # later runs remove it, too
                forget(client, settings, secret)
            raise
        number, failing_fast = started.run_id, snapshot.pipeline_configuration.execution_mode == ExecutionMode.FAIL_FAST

        def wait() -> None:
            try:
                with explained(f"say how far the run is, which goes on ({link})"):
                    follow(client, settings, number, fail_fast=failing_fast)
            except KeyboardInterrupt as interrupted:
                named = f", or type `zenml pipeline runs stop {run.id}`" if run else ""
                interrupted.add_note(f"The run goes on in Databricks: {link}. To end it, cancel it there{named}.")
                raise
            finally:
                with suppress(DatabricksError, OSError):
                    ended = client.jobs.get_run(number)
                    if has_ended(ended.state):  # otherwise nobody waits any more, and the tasks go on
                        forget(client, settings, secret)
                        _close(run, status_of(ended.state), f"See {ended.run_page_url}")

        # Not asked for: the run goes on, whatever a further request came to.
        link = f"{client.config.host}/jobs/{job.job_id}/runs/{number}"
        return SubmissionResult(wait, _links(number, link))

    def fetch_status(
        self, run: PipelineRunResponse, include_steps: bool = False
    ) -> tuple[ExecutionStatus | None, dict[str, ExecutionStatus] | None]:
        """Return what Databricks says of a run, and of its steps where they are asked for."""
        with explained("say how far the run is"):
            job_run = client_of(self.workspace).jobs.get_run(_run_id(run))
        tasks = {task.task_key: ExecutionStatus(status_of(task.state)) for task in job_run.tasks or ()}
        return ExecutionStatus(status_of(job_run.state)), tasks if include_steps else None

    def _stop_run_forcefully(self, pipeline_run: PipelineRunResponse) -> None:
        with explained("cancel the run"):
            client_of(self.workspace).jobs.cancel_run(_run_id(pipeline_run))

    def _stop_run_gracefully(self, pipeline_run: PipelineRunResponse) -> None:
        self._stop_run_forcefully(pipeline_run)

    def update_schedule(self, schedule: ScheduleResponse, update: ScheduleUpdate) -> None:
        """Let the schedule's job run at other times, or pause it."""
        from databricks.sdk.service.jobs import JobSettings

        client, active = client_of(self.workspace), schedule.active if update.active is None else update.active
        times = quartz(update.cron_expression or schedule.cron_expression or "", paused=not active)
        with explained(f"change the schedule {schedule.name}"):
            for job_id in self._jobs_of(client, schedule):
                client.jobs.update(job_id, new_settings=JobSettings.from_dict({"schedule": times}))

    def delete_schedule(self, schedule: ScheduleResponse) -> None:
        """Remove the schedule's job, and what it reached ZenML with."""
        client = client_of(self.workspace)
        with explained(f"remove the schedule {schedule.name}"):
            for job_id in self._jobs_of(client, schedule):
                client.jobs.delete(job_id)
            forget(client, self.workspace, f"schedule-{schedule.id}")

    def _jobs_of(self, client: WorkspaceClient, schedule: ScheduleResponse) -> list[int]:
        name = job_name(self.workspace, "schedule", schedule.name)
        return [job.job_id for job in find_jobs(client, self.workspace, name) if job.job_id is not None]


def _run_id(run: PipelineRunResponse) -> int:
    """Return the id of the job's run, which ZenML knows from the first step on, and this machine from the start."""
    return int(run.orchestrator_run_id or str(run.run_metadata[METADATA_ORCHESTRATOR_RUN_ID]))


def _links(run_id: int | None, page: str) -> dict[str, MetadataType]:
    return {
        METADATA_ORCHESTRATOR_RUN_ID: str(run_id),
        METADATA_ORCHESTRATOR_URL: Uri(page),
        METADATA_ORCHESTRATOR_LOGS_URL: Uri(page),
    }


def _close(run: PipelineRunResponse | None, status: str, reason: str) -> None:
    """Let ZenML say what became of a run whose tasks could not say so themselves."""
    if run is None:
        return
    client = Client()
    for step in client.list_run_steps(pipeline_run_id=run.id, size=1000).items:
        if not step.status.is_finished:
            client.zen_store.update_run_step(step.id, StepRunUpdate(status=ExecutionStatus(status)))
    if not client.get_pipeline_run(run.id).status.is_finished:
        client.zen_store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus(status), status_reason=reason))
