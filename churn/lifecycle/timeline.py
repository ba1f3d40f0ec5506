"""The timeline of a model: promotions, retrainings, campaigns and alerts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import pyarrow as pa

from ..approval.state import ModelState
from ..core.errors import NotFound
from ..data.tables import TableName
from ..monitoring.alerts import AlertBook
from ..monitoring.report import KINDS, Diagnosis, Mark
from .workspace import Workspace

__all__ = ["marks"]

_SHOWN = 60


def marks(workspace: Workspace, state: ModelState, book: AlertBook, diagnoses: Sequence[Diagnosis]) -> tuple[Mark, ...]:
    """Return the newest events, the oldest first; an alert is at the window that it is about."""
    events = {*_promotions(state), *_retrainings(workspace), *_campaigns(workspace), *_alerts(book, diagnoses)}
    return tuple(sorted(events, key=lambda mark: (mark.at, mark.kind, mark.text))[-_SHOWN:])


def _promotions(state: ModelState) -> Iterator[Mark]:
    for period in state.history:
        yield Mark(at=period.since, kind="promotion", text=f"version {period.version} went live")


def _alerts(book: AlertBook, diagnoses: Sequence[Diagnosis]) -> Iterator[Mark]:
    for notice in book.recent:
        if notice.event == "opened":
            yield Mark(at=_begin(notice.window), kind="alert", text=notice.title)
    for diagnosis in diagnoses:
        if diagnosis.acts:
            source = f" ({diagnosis.source})" if diagnosis.source else ""
            yield Mark(at=_begin(diagnosis.window), kind="alert", text=f"{KINDS[diagnosis.kind]}{source}")


def _begin(window: str) -> dt.datetime:
    return dt.datetime.fromisoformat(window[:10]).replace(tzinfo=dt.UTC)


def _retrainings(workspace: Workspace) -> Iterator[Mark]:
    rows = _rows(workspace, "retrainings", ["model_name", "started_at", "state", "version"])
    for row in rows.to_pylist():
        if row["model_name"] == workspace.model:
            state = row["state"].replace("_", " ")
            yield Mark(at=row["started_at"], kind="retraining", text=f"version {row['version']}: {state}")


def _campaigns(workspace: Workspace) -> Iterator[Mark]:
    rows = _rows(workspace, "contacts", ["batch_id", "group", "as_of", "contacted_at"])
    times: dict[str, tuple[dt.datetime, int]] = {}
    for row in rows.to_pylist():
        at = row.get("as_of") or row["contacted_at"]
        if row["group"] == "treatment" and at is not None:
            first, count = times.get(row["batch_id"], (at, 0))
            times[row["batch_id"]] = min(first, at), count + 1
    for at, count in times.values():
        yield Mark(at=at, kind="campaign", text=f"{count:,} contacted")


def _rows(workspace: Workspace, name: TableName, columns: Sequence[str]) -> pa.Table:
    """Return the columns of a table that it has; no rows where there is no table."""
    try:
        table = workspace.tables.latest(workspace.contract.table(name).name)
    except NotFound:
        return pa.table({})
    present = workspace.tables.scan(table).schema.names
    return workspace.tables.scan(table, [column for column in columns if column in present]).read_all()
