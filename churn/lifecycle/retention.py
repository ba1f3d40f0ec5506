"""Removing what nothing needs any more: old table versions, and what killed runs left behind."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from ..core.progress import note
from ..data.tables import RetentionSettings
from .workspace import Workspace

__all__ = ["vacuum"]


def vacuum(workspace: Workspace, settings: RetentionSettings) -> dict[str, int]:
    """Remove the table versions that are older than the retention, but those that registered models were trained on.

    A run that works meanwhile is not disturbed: what it may be writing stays.

    Returns:
        The bytes that were removed, by table; under "" what belongs to none.
    """
    kept = defaultdict(set)
    for version in workspace.registry.versions(workspace.model):
        table, number = version.tags.get("data_table"), version.tags.get("data_version", "")
        if table is not None and number.isdigit():
            kept[table].add(int(number))
    removed = workspace.tables.vacuum(workspace.clock() - dt.timedelta(days=settings.days), kept)
    note("vacuum", f"{sum(removed.values()):,} bytes removed")
    return removed
