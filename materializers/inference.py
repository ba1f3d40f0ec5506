"""A scored batch."""

from __future__ import annotations

from typing import Any, ClassVar

from churn.scoring.summary import BatchSummary
from reports.batch_report import batch_sections
from reports.page import Section

from .base import JsonMaterializer

__all__ = ["BatchMaterializer"]


class BatchMaterializer(JsonMaterializer):
    """What a batch came to."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (BatchSummary,)

    def title(self, data: BatchSummary) -> str:
        """Say how many, and by which version."""
        return f"{data.scored:,} customers scored by {data.model_name} version {data.model_version}"

    def sections(self, data: BatchSummary) -> tuple[Section, ...]:
        """Show the scores against the holdout's, and what was set aside."""
        return batch_sections(data)

    def extract_metadata(self, data: BatchSummary) -> dict[str, Any]:
        """Show rows, value at stake and version beside the artifact."""
        return {
            "batch_id": data.batch_id,
            "rows": data.rows,
            "quarantined": data.quarantined,
            "value_at_stake": data.value_at_stake,
            "version": data.model_version,
        }
