"""From a scored batch to the list of whom to contact, with the control group apart."""

from __future__ import annotations

from typing import Annotated

from zenml import log_metadata, step

from adapters.wiring import connect
from churn.campaign.campaign import Campaign
from churn.core.progress import note
from churn.data.contract import DatasetContract
from churn.lifecycle.campaigns import plan_campaign
from churn.scoring.batch import BatchSummary
from churn.settings import Settings
from reports.campaign_report import campaign_headline, campaign_page

from .reporting import stage

__all__ = ["plan"]


@step(enable_cache=False)
def plan(summary: BatchSummary, settings: Settings, contract: DatasetContract) -> Annotated[Campaign, "campaign"]:
    """Choose whom to contact within the limits, write the lists and the page, and let the chosen rest from now on."""
    with stage("plan"):
        workspace = connect(contract, settings.model_name)
        campaign, contacts = plan_campaign(workspace, settings, summary)
        workspace.files.put(f"campaigns/{campaign.batch_id}.html", [campaign_page(campaign).encode()])
        expected = {"expected_profit": campaign.plan.profit.point, "expected_cost": campaign.plan.cost.point}
        log_metadata({"batch_id": campaign.batch_id, "contacts": campaign.plan.contacts, **expected})
        note("plan", campaign_headline(campaign))
        note("plan", f"list {contacts}")
        return campaign
