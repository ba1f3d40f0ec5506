"""What the materializers share: a domain type stored as JSON, its page in the dashboard, and a hash of its content."""

from __future__ import annotations

import hashlib
import os
from typing import Any, ClassVar

from pydantic import BaseModel
from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer

from reports.page import Section, page

__all__ = ["JsonMaterializer", "save_page"]

_DATA = "data.json"
_PAGE = "page.html"


def save_page(
    materializer: BaseMaterializer, title: str, sections: tuple[Section, ...]
) -> dict[str, VisualizationType]:
    """Store a page beside an artifact and return it as ZenML asks for it."""
    path = os.path.join(materializer.uri, _PAGE)
    with materializer.artifact_store.open(path, "w") as file:
        file.write(page(title, sections))
    return {path: VisualizationType.HTML}


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
        return save_page(self, self.title(data), self.sections(data))

    def compute_content_hash(self, data: BaseModel) -> str:
        """Return a hash that is the same for the same content, so that steps after it may be cached."""
        return hashlib.sha256(data.model_dump_json().encode()).hexdigest()
