"""The campaign that a batch of predictions ended in."""

from __future__ import annotations

from typing import Any, ClassVar

from churn.campaign.campaign import Campaign
from reports.campaign_report import campaign_sections
from reports.page import Section

from .base import JsonMaterializer

__all__ = ["CampaignMaterializer"]


class CampaignMaterializer(JsonMaterializer):
    """Whom to contact, in sums, beside what else could be done."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (Campaign,)

    def title(self, data: Campaign) -> str:
        """Say what it comes to."""
        return f"Retention campaign: {data.plan.contacts:,} contacts among {data.customers:,} customers"

    def sections(self, data: Campaign) -> tuple[Section, ...]:
        """Show the campaign, its alternatives, its control group, its limits and its first contacts."""
        return campaign_sections(data)

    def extract_metadata(self, data: Campaign) -> dict[str, Any]:
        """Show the sums beside the artifact."""
        return {
            "batch_id": data.batch_id,
            "contacts": data.plan.contacts,
            "control": data.control.customers,
            "expected_profit": data.plan.profit.point,
            "expected_cost": data.plan.cost.point,
            "currency": data.money.currency,
        }
