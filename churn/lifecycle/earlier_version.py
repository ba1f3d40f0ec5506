"""Compares the previous champion with the live one on the same untreated outcomes."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import replace
from pathlib import Path

from ..approval.state import ModelState
from ..core.errors import ChurnError, NotEnoughData
from ..core.progress import note
from ..core.wording import counted
from ..evaluation.metrics import METRICS
from ..gate.comparison import PairedRows, VersionScores, compare
from ..gate.inputs import EvaluationRows, JudgedVersion, mature_rows, newer_than
from ..gate.report import Comparison, VersionSummary
from ..monitoring.report import Diagnosis
from ..settings import Settings
from .workspace import Workspace

__all__ = ["earlier_is_better"]

_MAX_ROWS, _RESAMPLES = 20_000, 500


def earlier_is_better(
    workspace: Workspace, settings: Settings, state: ModelState, now: dt.datetime
) -> tuple[Diagnosis, ...]:
    """Propose a rollback where the version before earns more on outcomes that neither version was trained on.

    Both versions score the same rows, those newer than both trainings, and decide by the economics in force. The
    difference must be significant at `monitoring.alpha`, one-sided, and at least `monitoring.thresholds.profit_share`
    of what the live version earns. Where that is not known, nothing is proposed. Nothing is ever rolled back here.
    """
    live, before = state.live, state.previous
    if live is None or before is None or live not in state.versions:
        return ()
    try:
        compared = _compared(workspace, settings, state, now, (live, before))
    except NotEnoughData:
        return ()
    except ChurnError as error:
        note("monitor", f"Version {before} is not compared with version {live}: {error}")
        return ()
    if compared is None:
        return ()
    profit = next(metric for metric in compared.metrics if metric.name == "profit_per_customer")
    least = settings.monitoring.thresholds.profit_share * abs(profit.champion)
    if profit.gain.lower <= 0 or profit.gain.point < least:
        return ()
    metric, currency = METRICS[profit.name], settings.money.currency
    others = [
        f"{METRICS[other.name].label} {METRICS[other.name].number(other.challenger)} against "
        f"{METRICS[other.name].number(other.champion)}"
        for other in compared.metrics
        if other.name in {"roc_auc", "log_loss"}
    ]
    return (
        Diagnosis(
            kind="worse_than_before",
            version=live,
            source="",
            window=f"{compared.since:%Y-%m-%d} to {compared.until:%Y-%m-%d}",
            evidence=(
                f"On {counted(compared.rows, 'known outcome')} newer than both trainings version {before} would have "
                f"earned {metric.text(profit.challenger, currency)} per customer and month, and version {live} earns "
                f"{metric.text(profit.champion, currency)}: {metric.interval(profit.gain, currency)} more.",
                f"Version {before} against version {live}: {', '.join(others)}.",
            ),
            recommendation=f'Go back to version {before}: python run.py rollback --to {before} --reason "…".',
        ),
    )


def _compared(
    workspace: Workspace, settings: Settings, state: ModelState, now: dt.datetime, numbers: tuple[int, int]
) -> Comparison | None:
    rules = settings.gate_rules(workspace.threads)
    limited = rules.evaluation.model_copy(update={"max_rows": min(_MAX_ROWS, rules.evaluation.max_rows)})
    gate = rules.gate.model_copy(
        update={
            "alpha": settings.monitoring.alpha,
            "resamples": _RESAMPLES,
            "capacity": None,
            "min_churners": settings.monitoring.min_outcomes,
        }
    )
    versions = [state.versions[number] for number in numbers]
    summaries = [VersionSummary.of(version) for version in versions]
    if summaries[0].digest == summaries[1].digest:
        return None
    judged = list(zip(versions, summaries, strict=True))
    rules = replace(rules, evaluation=limited, gate=gate)
    rows = mature_rows(workspace.tables, workspace.contract, rules, judged, now).unseen
    newest = rows.where(newer_than(rows, summaries))
    newest.require(gate.min_churners)
    with tempfile.TemporaryDirectory() as folder:
        scored = [_scores(workspace.candidate(version, Path(folder)), newest) for version in versions]
    paired = PairedRows(
        label=newest.label,
        entity=newest.entity,
        event_time=newest.event_time,
        value=newest.value,
        champion=scored[0],
        challenger=scored[1],
        slices={},
        weight=newest.weight,
    )
    return compare(paired, settings.money, gate, name="newest", seed=settings.seed)


def _scores(version: JudgedVersion, rows: EvaluationRows) -> VersionScores:
    return VersionScores(version.probability(rows.customers), version.f1_threshold)
