"""Removes old table versions and what killed runs left behind."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from ..core.errors import NotFound
from ..core.progress import note
from ..data.tables import RetentionSettings
from ..scoring.batch import BATCH_ID
from ..scoring.logged import ENDPOINT
from .workspace import Workspace

__all__ = ["vacuum"]


def vacuum(workspace: Workspace, settings: RetentionSettings) -> dict[str, int]:
    """Remove the table versions that are older than the retention, but those that registered models were trained on.

    A run that works meanwhile is not disturbed: what it may be writing stays. Rows of the endpoint that are older than
    theirs are erased; of rows that came into the table together, all at once.

    Returns:
        The bytes that were removed, by table; under "" what belongs to none.
    """
    protected = defaultdict(set)
    for version in workspace.registry.versions(workspace.model):
        table, number = version.tags.get("data_table"), version.tags.get("data_version", "")
        if table is not None and number.isdigit():
            protected[table].add(int(number))
    workspace.prediction_log.move()
    if settings.endpoint_days is not None:
        _erase_answers(workspace, workspace.clock() - dt.timedelta(days=settings.endpoint_days))
    removed = workspace.tables.vacuum(workspace.clock() - dt.timedelta(days=settings.days), protected)
    note("vacuum", f"{sum(removed.values()):,} bytes removed")
    return removed


def _erase_answers(workspace: Workspace, before: dt.datetime) -> None:
    """Erase what the endpoint answered before a time."""
    store, table = workspace.tables, workspace.contract.table("predictions")
    try:
        ref = store.latest(table.name)
    except NotFound:
        return
    if "source" not in store.scan(ref).schema.names:  # of an earlier version
        return
    rows = store.scan(ref, [BATCH_ID, "scored_at"], where={"source": ENDPOINT}).read_all()
    newest = rows.group_by(BATCH_ID).aggregate([("scored_at", "max")]).to_pylist()
    erased = store.erase(table.name, BATCH_ID, [row[BATCH_ID] for row in newest if row["scored_at_max"] < before])
    if erased.rows:
        note("vacuum", f"{erased.rows:,} rows that the endpoint answered before {before:%Y-%m-%d} are erased")
