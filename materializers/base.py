"""What the materializers share: a domain type stored as JSON, its page in the dashboard, and a hash of its content."""

from __future__ import annotations

import hashlib
import os
from typing import Any, ClassVar

from pydantic import BaseModel
from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer

from churn.report import Section, page

__all__ = ["JsonMaterializer"]

_DATA = "data.json"
_PAGE = "page.html"


class JsonMaterializer(BaseMaterializer):
    """Stores a pydantic model as JSON, shows it as a page, and lets equal content count as the same artifact."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def title(self, data: Any) -> str:
        """Return the heading of the page."""
        raise NotImplementedError

    def sections(self, data: Any) -> tuple[Section, ...]:
        """Return what the page says."""
        raise NotImplementedError

    def load(self, data_type: type[BaseModel]) -> BaseModel:
        """Return what `save` stored."""
        with self.artifact_store.open(os.path.join(self.uri, _DATA), "r") as file:
            return data_type.model_validate_json(file.read())

    def save(self, data: BaseModel) -> None:
        """Store the data as JSON."""
        with self.artifact_store.open(os.path.join(self.uri, _DATA), "w") as file:
            file.write(data.model_dump_json(indent=1))

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """Store the page that the dashboard shows."""
        path = os.path.join(self.uri, _PAGE)
        with self.artifact_store.open(path, "w") as file:
            file.write(page(self.title(data), self.sections(data)))
        return {path: VisualizationType.HTML}

    def compute_content_hash(self, data: BaseModel) -> str:
        """Return a hash that is the same for the same content, so that steps after it may be cached."""
        return hashlib.sha256(data.model_dump_json().encode()).hexdigest()
