"""The gate's reports as they were when a decision was bound to them, kept beside the ledger."""

from __future__ import annotations

import pyarrow as pa

from ..core.errors import NotFound, StoreError
from ..gate.report import GateReport
from ..ports.tables import FeatureStore, TableSpec

__all__ = ["REPORTS", "keep_report", "stored_report"]

REPORTS = TableSpec(name="gate_reports", key=("digest",))
"""One row a report: its digest, model, version, time and verdict, and the whole of it as JSON."""


def keep_report(store: FeatureStore, report: GateReport) -> None:
    """Store a report under its digest; the same report again changes nothing."""
    row = {
        "digest": report.digest,
        "model": report.model,
        "version": report.challenger.version,
        "at": report.at,
        "verdict": report.verdict,
        "report": report.model_dump_json(),
    }
    schema = pa.schema(
        [
            ("digest", pa.string()),
            ("model", pa.string()),
            ("version", pa.int64()),
            ("at", pa.timestamp("us", tz="UTC")),
            ("verdict", pa.string()),
            ("report", pa.string()),
        ]
    )
    store.upsert(REPORTS, pa.Table.from_pylist([row], schema=schema))


def stored_report(store: FeatureStore, digest: str) -> GateReport | None:
    """Return the report with this digest, or None where it was not kept.

    Raises:
        StoreError: what is stored is not the report that the digest stands for.
    """
    try:
        kept = store.scan(store.latest(REPORTS.name), ["report"], where={"digest": digest}).read_all()
    except NotFound:
        return None
    if not kept.num_rows:
        return None
    report = GateReport.model_validate_json(kept["report"][0].as_py())
    if report.digest != digest:
        raise StoreError(
            f"The gate report {digest[:12]}… in the table {REPORTS.name} was changed after a decision was bound to it: "
            "restore the table's last good version, or run `python run.py --pipeline deployment` for a new gate."
        )
    return report
