"""Stored gate reports, as they were when a decision was bound to them."""

from __future__ import annotations

import pyarrow as pa

from ..core.canonical import digest
from ..core.errors import NotFound, StoreError
from ..data.tables import TABLES
from ..gate.report import REPORT_FORMAT, GateReport
from ..ports.tables import FeatureStore

__all__ = ["REPORTS", "keep_report", "stored_report"]

REPORTS = TABLES["gate_reports"].spec()
"""One row a report: its digest, model, version, time and verdict, and the whole of it as JSON."""


def keep_report(store: FeatureStore, report: GateReport) -> None:
    """Store a report, as its canonical text, under the digest of that text; the same report again changes nothing."""
    text = REPORT_FORMAT.write(report)
    row = {
        "digest": digest(text),
        "model": report.model,
        "version": report.challenger.version,
        "at": report.at,
        "verdict": report.verdict,
        "report": text,
    }
    store.upsert(REPORTS, pa.Table.from_pylist([row], schema=TABLES["gate_reports"].arrow_schema()))


def stored_report(store: FeatureStore, report_digest: str) -> GateReport | None:
    """Return the report that is stored under a digest, of whatever format, or None where it was not kept.

    Raises:
        StoreError: what is stored is not the text that the digest stands for, or was written by a newer version of
            this project.
    """
    try:
        rows = store.scan(store.latest(REPORTS.name), ["report"], where={"digest": report_digest}).read_all()
    except NotFound:
        return None
    if not rows.num_rows:
        return None
    text: str = rows["report"][0].as_py()
    if digest(text) != report_digest:
        raise StoreError(
            f"The gate report {report_digest[:12]}… in the table {REPORTS.name} was changed after a decision was bound "
            "to it: restore the table's last good version, or run `python run.py --pipeline deployment` for a new gate."
        )
    return REPORT_FORMAT.read(text).model_copy(update={"stored_digest": report_digest})
