"""Tables by reference, and what became of the data."""

from __future__ import annotations

from typing import Any, ClassVar

from zenml.enums import ArtifactType

from churn.data.leakage import LeakageReport
from churn.data.snapshot import TableSnapshot
from churn.data.validation import ValidationReport
from reports.data_report import leakage_section, table_section, validation_section
from reports.page import Section

from .base import JsonMaterializer

__all__ = ["LeakageMaterializer", "TableMaterializer", "ValidationMaterializer"]


class TableMaterializer(JsonMaterializer):
    """A reference to a table with its profile; two references with the same digest are the same content."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (TableSnapshot,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def title(self, data: TableSnapshot) -> str:
        """Name the table."""
        return f"{data.ref.name}, version {data.ref.version}"

    def sections(self, data: TableSnapshot) -> tuple[Section, ...]:
        """Show the profile."""
        return (table_section(data),)

    def compute_content_hash(self, data: TableSnapshot) -> str:
        """Return the digest of the rows: where and when they were written makes no difference."""
        return data.ref.content_id

    def extract_metadata(self, data: TableSnapshot) -> dict[str, Any]:
        """Show rows and version beside the artifact."""
        return {"rows": data.ref.rows, "version": data.ref.version, "content_id": data.ref.content_id}


class ValidationMaterializer(JsonMaterializer):
    """What became of a batch's rows."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (ValidationReport,)

    def title(self, data: ValidationReport) -> str:
        """Say how it went."""
        return f"{data.accepted:,} of {data.rows:,} rows accepted" if data.passed else "The batch was refused"

    def sections(self, data: ValidationReport) -> tuple[Section, ...]:
        """Show every rule."""
        return (validation_section(data),)


class LeakageMaterializer(JsonMaterializer):
    """The leakage checks of a training set."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (LeakageReport,)

    def title(self, data: LeakageReport) -> str:
        """Say how it went."""
        return "No leak found" if data.passed else "The training set leaks"

    def sections(self, data: LeakageReport) -> tuple[Section, ...]:
        """Show every check."""
        return (leakage_section(data),)
