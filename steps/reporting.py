"""What steps share: progress, pages, run tags, and the report of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zenml import add_tags, get_step_context, log_metadata, save_artifact
from zenml.metadata.metadata_types import Uri
from zenml.types import HTMLString

from churn.core import progress
from churn.core.errors import ChurnError
from churn.core.program import about
from churn.gate.report import GateReport
from churn.lifecycle.sampled import sampled
from churn.lifecycle.workspace import Workspace
from churn.monitoring.report import MonitoringReport
from churn.settings import Settings
from reports.evidently_report import evidently_page
from reports.gate_report import gate_page

__all__ = ["keep_evidently", "link_endpoint", "stage", "tag_run", "verdict_page", "write_page"]


@contextmanager
def stage(name: str, evidence: str = "evidence") -> Iterator[None]:
    """Report the progress of a step; where it fails with a report, keep that as the artifact `evidence`."""
    with progress.stage(name):
        try:
            yield
        except ChurnError as error:
            if error.evidence is not None:
                save_artifact(error.evidence, evidence)
            raise


def write_page(workspace: Workspace, page: str) -> str:
    """Store the page of the pipeline run that this step belongs to, note on the run where it is, and return that."""
    run = get_step_context().pipeline_run
    where = workspace.files.put(f"reports/{run.name}.html", [page.encode()])
    log_metadata(metadata={"page": where}, run_id_name_or_prefix=run.id)
    return where


def verdict_page(settings: Settings, report: GateReport, **decided: Any) -> str:
    """Return the page of a gate, and of what was decided since: `status` and `outcome` of `gate_page`."""
    return gate_page(report, next_command=about(settings.dataset, "python run.py models"), **decided)


def keep_evidently(workspace: Workspace, settings: Settings, report: MonitoringReport) -> None:
    """Keep Evidently's report on a sample as a file and as the artifact `evidently`, where the settings ask for it."""
    if not settings.monitoring.evidently_sample:
        return
    samples = sampled(workspace, report, settings.monitoring.evidently_sample, seed=settings.seed)
    if samples is None:
        progress.note("monitor", "Evidently has nothing to compare: no window, no baseline, or no features.")
        return
    page = evidently_page(samples.reference, samples.current)
    workspace.files.put(f"reports/{get_step_context().pipeline_run.name}-evidently.html", [page.encode()])
    save_artifact(HTMLString(page), "evidently")


def link_endpoint(address: str | None) -> None:
    """Let the dashboard show where the endpoint answers, as a link on the step and on its run."""
    if address is not None:
        log_metadata({"endpoint": Uri(address)})
        log_metadata(metadata={"endpoint": Uri(address)}, run_id_name_or_prefix=get_step_context().pipeline_run.id)


def tag_run(*tags: str) -> None:
    """Let the dashboard's list of runs say what came out of this one."""
    add_tags(tags=list(tags))
