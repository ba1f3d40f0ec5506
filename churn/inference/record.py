"""What an inference run leaves with the tracker."""

from __future__ import annotations

from ..ports import ExperimentTracker
from ..reporting.batch_report import batch_page, score_chart
from .summary import BatchSummary

__all__ = ["record"]

_RECORDED = {
    "batch_id",
    "dataset",
    "model_name",
    "model_version",
    "model_digest",
    "threshold_policy",
    "as_of",
    "engine",
    "reasons",
    "unchanged",
}


def record(summary: BatchSummary, tracker: ExperimentTracker) -> None:
    """Leave the batch's counts, scores and page with the tracker."""
    known = summary.model_dump(mode="json", include=_RECORDED)
    tracker.log_params({**known, "features_version": summary.features.version, "features": summary.features.name})
    counts = {name: float(getattr(summary, name)) for name in ("rows", "scored", "quarantined", "treated", "resumed")}
    mean = {} if summary.mean_probability is None else {"mean_probability": summary.mean_probability}
    stake = {"value_at_stake": summary.value_at_stake, "rows_per_second": summary.rows_per_second}
    tracker.log_metrics({**counts, **stake, **mean})
    tracker.log_file("charts/scores.svg", score_chart(summary))
    tracker.log_file("report.html", batch_page(summary, next_command="python run.py ui"))
    tracker.log_file("batch.json", summary.model_dump_json(indent=1))
