"""How Spark reads the Delta tables of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from churn.ports.tables import TableRef

from ..spark.frames import frame_of
from .delta_table import DeltaVersion

__all__ = ["delta_frame"]


def delta_frame(session: Any, ref: TableRef) -> Any:
    """Return the rows of a version; its files are listed here, by the Delta library."""
    version = DeltaVersion(Path(ref.uri), ref.version)
    stored = DeltaTable(version.path, version=version.version).schema()
    return frame_of(session, list(version.files), stored.to_json(), version.schema)
