"""From a scored batch to the list of whom to contact, with the control group apart."""

from __future__ import annotations

from ..campaign.campaign import Campaign
from ..campaign.lists import plan_batch, put_lists, record_contacts
from ..scoring.batch import BatchSummary
from ..settings import Settings
from .workspace import Workspace

__all__ = ["plan_campaign"]


def plan_campaign(workspace: Workspace, settings: Settings, summary: BatchSummary) -> tuple[Campaign, str]:
    """Choose whom to contact within the limits, store the lists, and let the chosen rest from now on.

    One plan at a time: the next one sees the contacts of this one.

    Returns:
        What the campaign comes to, and where the list of contacts is.
    """
    store, contract = workspace.tables, workspace.contract
    with store.exclusive("campaign"):
        plan = plan_batch(
            store,
            summary,
            contract,
            settings.money,
            settings.campaign,
            now=workspace.clock(),
            confidence=settings.evaluation.confidence,
        )
        location = put_lists(plan, workspace.files)
        record_contacts(store, plan, contract)
    return plan.campaign, location
