"""Domain values stored as JSON: one materializer for every type in the table of views."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from pydantic import BaseModel
from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer

from churn.data.snapshot import TableSnapshot
from reports.markdown import in_markdown
from reports.page import Section, page

from .views import VIEWS

__all__ = ["JsonMaterializer", "TableMaterializer", "save_page"]

_DATA = "data.json"
_PAGE, _SUMMARY = "page.html", "summary.md"


def save_page(
    materializer: BaseMaterializer, title: str, sections: tuple[Section, ...]
) -> dict[str, VisualizationType]:
    """Store a page beside an artifact, and before it a summary in Markdown, which ZenML shows without a click."""
    whole, summary = (os.path.join(materializer.uri, name) for name in (_PAGE, _SUMMARY))
    pages = ("The whole page is the next visualization: press Load Preview.", f"Its file: {whole}")
    for path, text in ((summary, in_markdown(title, sections, pages=pages)), (whole, page(title, sections))):
        with materializer.artifact_store.open(path, "w") as file:
            file.write(text)
    return {summary: VisualizationType.MARKDOWN, whole: VisualizationType.HTML}


class JsonMaterializer(BaseMaterializer):
    """Stores a pydantic model as JSON and shows it as `VIEWS` says; equal content counts as the same artifact."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = tuple(kind for kind in VIEWS if kind is not TableSnapshot)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def load(self, data_type: type[BaseModel]) -> BaseModel:
        """Return what `save` stored."""
        with self.artifact_store.open(os.path.join(self.uri, _DATA), "r") as file:
            return data_type.model_validate_json(file.read())

    def save(self, data: BaseModel) -> None:
        """Store the data as JSON."""
        with self.artifact_store.open(os.path.join(self.uri, _DATA), "w") as file:
            file.write(data.model_dump_json(indent=1))

    def save_visualizations(self, data: BaseModel) -> dict[str, VisualizationType]:
        """Store what the dashboard shows, in its order."""
        view = VIEWS[type(data)]
        return save_page(self, view.title(data), view.sections(data))

    def compute_content_hash(self, data: BaseModel) -> str:
        """Return a hash that is the same for the same content, so that steps after it may be cached."""
        return VIEWS[type(data)].content(data)

    def extract_metadata(self, data: BaseModel) -> dict[str, Any]:
        """Return what the dashboard lists beside the artifact."""
        return VIEWS[type(data)].metadata(data)


class TableMaterializer(JsonMaterializer):
    """A reference to a table with its profile, which the dashboard lists as data; the rows stay in the table."""

    ASSOCIATED_TYPES: ClassVar[tuple[type, ...]] = (TableSnapshot,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA
