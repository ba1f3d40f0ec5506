"""Batch inference: every customer scored by the version that is live, into the table of predictions."""

from __future__ import annotations

from typing import Annotated

from zenml import log_metadata, step

from adapters.wiring import connect
from churn.core.progress import note
from churn.data.contract import DatasetContract
from churn.data.snapshot import TableSnapshot, snapshot_of
from churn.lifecycle import inference
from churn.lifecycle.inference import record_batch
from churn.scoring.batch import BATCH_ID, BatchSummary
from churn.settings import Settings
from reports.batch_report import batch_headline, batch_page, score_chart

from .reporting import stage, write_page

__all__ = ["score"]


@step(enable_cache=False, experiment_tracker=True)
def score(
    settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "predictions"], Annotated[BatchSummary, "batch"]]:
    """Score what is known of every customer, or was at a time; the same batch again is found and left alone."""
    with stage("score"):
        workspace = connect(contract, settings.model_name)
        summary = inference.score(workspace, settings)
        page = batch_page(summary, next_command="python run.py ui")
        record_batch(summary, workspace.tracker, {"charts/scores.svg": score_chart(summary), "report.html": page})
        log_metadata({"rows": summary.rows, "value_at_stake": summary.value_at_stake, "version": summary.model_version})
        write_page(workspace, page)
        note("score", batch_headline(summary))
        return snapshot_of(workspace.tables, summary.predictions, where={BATCH_ID: summary.batch_id}), summary
