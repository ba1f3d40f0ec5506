"""Follows a run of a job: one line a task, with a link, until the run has ended."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from churn.core import errors
from churn.core.errors import ChurnError, StoreError
from churn.core.progress import ProgressEvent, report
from churn.profile import DatabricksSettings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import Run, RunState, RunTask

__all__ = ["follow", "status_of"]

_ENDED = {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}
_WAITING = {"QUEUED": "queued", "PENDING": "provisioning", "BLOCKED": "queued", "WAITING_FOR_RETRY": "queued"}
_RESULTS = {
    "SUCCESS": "completed",
    "SUCCESS_WITH_FAILURES": "completed",
    "CANCELED": "stopped",
    "UPSTREAM_CANCELED": "stopped",
    "UPSTREAM_FAILED": "skipped",
    "EXCLUDED": "skipped",
}


def status_of(state: RunState | None) -> str:
    """Return the state of a run or a task in ZenML's words."""
    life = state.life_cycle_state.value if state and state.life_cycle_state else "PENDING"
    if life not in _ENDED:
        return _WAITING.get(life, "running")
    if life == "SKIPPED":
        return "skipped"
    return _RESULTS.get(state.result_state.value if state and state.result_state else "FAILED", "failed")


def has_ended(state: RunState | None) -> bool:
    """Return whether a run or a task goes no further."""
    return bool(state and state.life_cycle_state and state.life_cycle_state.value in _ENDED)


def follow(client: WorkspaceClient, settings: DatabricksSettings, run_id: int, *, fail_fast: bool = True) -> None:
    """Report the tasks of a run until it has ended.

    Args:
        client: Of the workspace.
        settings: How often the run is asked for.
        run_id: The run.
        fail_fast: Whether the first task that fails ends the run.

    Raises:
        ChurnError: the run failed or was cancelled; where a step has said why, it is that error, with a link.
    """
    seen: dict[str, str] = {}
    cancelled = False
    while True:
        run = client.jobs.get_run(run_id)
        for task in run.tasks or ():
            _tell(task, seen)
        if has_ended(run.state):
            break
        if fail_fast and not cancelled and any(status_of(task.state) == "failed" for task in run.tasks or ()):
            client.jobs.cancel_run(run_id)
            cancelled = True
        time.sleep(settings.jobs.poll_seconds if settings.jobs else 5)
    if status_of(run.state) != "completed":
        raise _failure(client, run)


def _tell(task: RunTask, seen: dict[str, str]) -> None:
    """Report what has become of a task since it was looked at last."""
    name, status = task.task_key, status_of(task.state)
    if seen.get(name) == status:
        return
    link = task.run_page_url or ""
    if status in {"running", "completed", "failed"} and seen.get(name) not in {"running"}:
        report(ProgressEvent("started", name), f"{name} started: {link}")
        report(ProgressEvent("advanced", name, link), f"{name} {link}")
    if status in {"completed", "failed"}:
        kind = "finished" if status == "completed" else "failed"
        report(ProgressEvent("finished" if kind == "finished" else "failed", name), f"{name} {kind}: {link}")
    seen[name] = status


def _failure(client: WorkspaceClient, run: Run) -> ChurnError:
    """Return what the first step that failed has said, or what Databricks says of the run."""
    failed = next(_failed(run), None)
    where = run.run_page_url or ""
    if failed is None:
        text = (run.state.state_message if run.state else None) or "no reason given"
        what = "was cancelled" if status_of(run.state) == "stopped" else "failed"
        return StoreError(f"The run on Databricks {what} ({text.rstrip('.')}): see {where}")
    where = failed.run_page_url or where
    output = client.jobs.get_run_output(failed.run_id) if failed.run_id else None
    text = (output.error if output else None) or (failed.state.state_message if failed.state else None) or ""
    raised = re.search(r"(?:churn\.core\.errors\.)?(\w+): (.+)", text, re.DOTALL)
    kind = getattr(errors, raised[1], None) if raised else None
    if raised and isinstance(kind, type) and issubclass(kind, ChurnError):
        return kind(f"{raised[2].strip()} (step {failed.task_key} on Databricks: {where})")
    return StoreError(f"The step {failed.task_key} failed on Databricks ({' '.join(text.split())[:500]}): see {where}")


def _failed(run: Run) -> Iterator[RunTask]:
    return (task for task in run.tasks or () if status_of(task.state) == "failed")
