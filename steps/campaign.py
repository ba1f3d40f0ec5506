"""From a scored batch to the list of whom to contact, with the control group apart."""

from __future__ import annotations

from typing import Annotated

from zenml import log_metadata, step

from adapters import wiring
from churn.campaign.batch import plan_batch, record_contacts
from churn.campaign.campaign import Campaign
from churn.campaign.crm import write_lists
from churn.core.progress import note, stage
from churn.data.contract import DatasetContract
from churn.scoring.summary import BatchSummary
from churn.settings import Settings
from reports.campaign_report import campaign_headline, campaign_page

__all__ = ["plan"]


@step(enable_cache=False)
def plan(summary: BatchSummary, settings: Settings, contract: DatasetContract) -> Annotated[Campaign, "campaign"]:
    """Choose whom to contact within the limits, write the lists and the page, and let the chosen rest from now on."""
    with stage("plan"):
        store = wiring.feature_store(settings.profile, settings.namespace(contract))
        confidence = settings.evaluation.confidence
        planned = plan_batch(store, summary, contract, settings.money, settings.campaign, confidence=confidence)
        campaign = planned.campaign
        lists = write_lists(planned, settings.profile.campaigns)
        lists.page.write_text(campaign_page(campaign), encoding="utf-8")
        record_contacts(store, planned, contract)
        expected = {"expected_profit": campaign.plan.profit.point, "expected_cost": campaign.plan.cost.point}
        log_metadata({"batch_id": campaign.batch_id, "contacts": campaign.plan.contacts, **expected})
        note("plan", campaign_headline(campaign))
        note("plan", f"list {lists.contacts}")
        return campaign
