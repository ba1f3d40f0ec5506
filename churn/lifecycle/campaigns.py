"""From a scored batch to the list of whom to contact, with the control group apart."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..campaign.batch import plan_batch, record_contacts
from ..campaign.campaign import Campaign
from ..campaign.crm import write_lists
from ..scoring.batch import BatchSummary
from ..settings import Settings
from .workspace import Workspace

__all__ = ["plan_campaign"]


def plan_campaign(workspace: Workspace, settings: Settings, summary: BatchSummary) -> tuple[Campaign, str]:
    """Choose whom to contact within the limits, store the lists, and let the chosen rest from now on.

    Returns:
        What the campaign comes to, and where the list of contacts lies.
    """
    store, contract = workspace.tables, workspace.contract
    confidence = settings.evaluation.confidence
    plan = plan_batch(store, summary, contract, settings.money, settings.campaign, confidence=confidence)
    with tempfile.TemporaryDirectory() as folder:
        lists = write_lists(plan, Path(folder))
        places = [
            workspace.files.put(f"campaigns/{path.name}", [path.read_bytes()])
            for path in (lists.contacts, lists.control)
        ]
    record_contacts(store, plan, contract)
    return plan.campaign, places[0]
