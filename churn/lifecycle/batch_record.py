"""What an inference run leaves with the tracker."""

from __future__ import annotations

from collections.abc import Mapping

from ..ports.tracker import ExperimentTracker
from ..scoring.batch import BatchSummary

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


def record(summary: BatchSummary, tracker: ExperimentTracker, files: Mapping[str, str]) -> None:
    """Leave the batch's counts, and files such as its page by their names, with the tracker."""
    known = summary.model_dump(mode="json", include=_RECORDED)
    tracker.log_params({**known, "features_version": summary.features.version, "features": summary.features.name})
    counts = {name: float(getattr(summary, name)) for name in ("rows", "scored", "quarantined", "treated", "resumed")}
    mean = {} if summary.mean_probability is None else {"mean_probability": summary.mean_probability}
    stake = {"value_at_stake": summary.value_at_stake, "rows_per_second": summary.rows_per_second}
    tracker.log_metrics({**counts, **stake, **mean})
    for name, content in files.items():
        tracker.log_file(name, content)
    tracker.log_file("batch.json", summary.model_dump_json(indent=1))
