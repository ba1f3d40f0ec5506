"""The way of a version to production: the gate's report, its standing in the ledger, and how the run ended."""

from __future__ import annotations

from typing import Any, ClassVar

from churn.approval.standing import Standing
from churn.gate.report import GateReport
from churn.lifecycle.outcome import Deployment
from reports.decision_report import deployment_section, standing_section
from reports.gate_report import gate_sections, gate_verdict
from reports.page import Section

from .base import JsonMaterializer

__all__ = ["DeploymentMaterializer", "GateMaterializer", "StandingMaterializer"]


class GateMaterializer(JsonMaterializer):
    """Everything a decision about a challenger rests on."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (GateReport,)

    def title(self, data: GateReport) -> str:
        """Give the verdict."""
        return gate_verdict(data)

    def sections(self, data: GateReport) -> tuple[Section, ...]:
        """Show checks, both models, and the evidence."""
        return gate_sections(data)

    def compute_content_hash(self, data: GateReport) -> str:
        """Return the digest that an approval is bound to."""
        return data.digest

    def extract_metadata(self, data: GateReport) -> dict[str, Any]:
        """Show the verdict of every check beside the artifact."""
        checks = {f"gate.{check.name}": check.verdict for check in data.checks}
        return {"version": data.challenger.version, "verdict": data.verdict, "digest": data.digest, **checks}


class StandingMaterializer(JsonMaterializer):
    """Whether a version may be promoted, by what the ledger says."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (Standing,)

    def title(self, data: Standing) -> str:
        """Name the version and its state."""
        return f"{data.model}, version {data.version}: {data.state}"

    def sections(self, data: Standing) -> tuple[Section, ...]:
        """Show the records."""
        return (standing_section(data),)


class DeploymentMaterializer(JsonMaterializer):
    """What a deployment run came to."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (Deployment,)

    def title(self, data: Deployment) -> str:
        """Name the version and what became of it."""
        return f"{data.model}, version {data.version}: {data.state}"

    def sections(self, data: Deployment) -> tuple[Section, ...]:
        """Show what is live."""
        return (deployment_section(data),)
