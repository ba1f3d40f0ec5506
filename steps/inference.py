"""Steps of inference: scores by the champion, and the campaign list."""

from __future__ import annotations

from typing import Annotated

from zenml import log_metadata, step

from adapters.wiring import connect
from churn.campaign.campaign import Campaign
from churn.core.progress import conclude
from churn.data.contract import DatasetContract
from churn.data.snapshot import TableSnapshot, snapshot_of
from churn.lifecycle import inference
from churn.lifecycle.campaigns import plan_campaign
from churn.lifecycle.inference import record_batch
from churn.scoring.batch import BATCH_ID, BatchSummary
from churn.settings import Settings
from reports.batch_report import batch_files, batch_headline, batch_in_markdown, batch_page
from reports.campaign_report import campaign_headline, campaign_page
from reports.tags import batch_tags

from .reporting import stage, tag_run, write_page

__all__ = ["plan", "score"]


@step(enable_cache=False, experiment_tracker=True)
def score(
    settings: Settings, contract: DatasetContract
) -> tuple[Annotated[TableSnapshot, "predictions"], Annotated[BatchSummary, "batch"]]:
    """Score what is known of every customer, or was at a time; the same batch again is found and left alone."""
    with stage("score"):
        workspace = connect(contract, settings.model_name)
        summary = inference.score(workspace, settings)
        page = batch_page(summary, next_command="python run.py ui")
        record_batch(summary, workspace.tracker, batch_files(summary, page), batch_in_markdown(summary))
        log_metadata({"rows": summary.rows, "value_at_stake": summary.value_at_stake, "version": summary.model_version})
        write_page(workspace, page)
        tag_run(*batch_tags(summary))
        conclude("score", batch_headline(summary))
        return snapshot_of(workspace.tables, summary.predictions, where={BATCH_ID: summary.batch_id}), summary


@step(enable_cache=False, experiment_tracker=True)
def plan(summary: BatchSummary, settings: Settings, contract: DatasetContract) -> Annotated[Campaign, "campaign"]:
    """Choose whom to contact within the limits, write the lists and the page, and let the chosen rest from now on."""
    with stage("plan"):
        workspace = connect(contract, settings.model_name)
        campaign, contacts = plan_campaign(workspace, settings, summary)
        workspace.files.put(f"campaigns/{campaign.batch_id}.html", [campaign_page(campaign).encode()])
        workspace.tracker.log_file("campaign.html", campaign_page(campaign, beside=False))
        expected = {"expected_profit": campaign.plan.profit.point, "expected_cost": campaign.plan.cost.point}
        log_metadata({"batch_id": campaign.batch_id, "contacts": campaign.plan.contacts, **expected})
        conclude("plan", f"{campaign_headline(campaign)} List: {contacts}")
        return campaign
