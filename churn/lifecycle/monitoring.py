"""Monitors: measures new windows, diagnoses the newest ones, and advises on retraining."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pyarrow.compute as pc

from ..core.errors import NotFound
from ..core.estimate import Estimate
from ..data.tables import LABEL_TIME
from ..monitoring.measure import Difference, Figure
from ..monitoring.performance import realised
from ..monitoring.report import KINDS, Advice, Diagnosis, MonitoringReport, Window
from ..monitoring.retraining import advise
from ..monitoring.settings import MonitoringSettings
from ..monitoring.triage import Triage, has_loss, silence, usual_gap
from ..settings import Settings
from .alerts import alert_book
from .earlier_version import earlier_is_better
from .features import refresh_labels
from .measuring import measure_windows
from .pricing import priced
from .registration import LABELS_UNTIL, REGISTERED_AT
from .timeline import marks
from .workspace import Workspace

__all__ = ["last_training", "monitor"]

_SHOWN = 60  # windows that a report keeps


def monitor(workspace: Workspace, settings: Settings, *, dry: bool = False) -> MonitoringReport:
    """Measure the windows that are new or have changed, and judge the newest ones of the version that is live.

    Nothing fails for want of data: without predictions, outcomes, features or a baseline the report says what could not
    be measured.

    Args:
        workspace: The ports of the data set.
        settings: The run's settings.
        dry: Whether to write nothing: windows are judged as they were measured last.

    Raises:
        StoreError: a table or the registry does not answer.
    """
    if not dry:
        workspace.prediction_log.move()  # what the endpoint answered until now counts
        refresh_labels(workspace, settings)
    now, wanted = workspace.clock(), settings.monitoring
    state = workspace.approval(settings.approval).read()
    champion = state.champion
    live = None if champion is None else champion.version
    with nullcontext() if dry else workspace.tables.exclusive("monitoring"):
        measured = measure_windows(workspace, settings, now, dry=dry)
        windows = _judged_windows(workspace, settings, now)
    of_live = _current(windows, live)
    baselines = {
        version: realised(counting.baseline.whole, settings.money)
        for version, counting in measured.countings.items()
        if counting.baseline is not None
    }
    words = {name: column.description for name, column in workspace.contract.columns.items()}
    triage = Triage(wanted, settings.money.currency, words)

    def judge(window: Window) -> tuple[Diagnosis, ...]:
        return triage(window, baselines.get(window.version, {}))

    newest = _newest(of_live, [judge(window) for window in of_live], settings)
    priced_diagnoses, costs = priced(workspace, settings, measured, of_live, newest)
    earlier = () if dry else earlier_is_better(workspace, settings, state, now)
    order = list(KINDS)
    diagnoses = tuple(
        sorted(
            (*silence(measured.scored, now, live), *earlier, *priced_diagnoses),
            key=lambda diagnosis: order.index(diagnosis.kind),
        )
    )
    is_broken = any(diagnosis.kind == "broken_feed" for diagnosis in diagnoses)
    return MonitoringReport(
        dataset=workspace.contract.name,
        model=workspace.model,
        live=live,
        currency=settings.money.currency,
        at=now,
        length=wanted.judged,
        measured=measured.changed,
        unchanged=measured.unchanged,
        windows=tuple(windows[-_SHOWN:]),
        baselines=baselines,
        diagnoses=diagnoses,
        costs=costs,
        marks=marks(workspace, state, alert_book(workspace), diagnoses),
        advice=_advice(workspace, settings, windows, judge, live, is_broken=is_broken, now=now),
        notes=tuple(dict.fromkeys([*measured.notes, *_nothing_judged(windows, of_live, live)])),
    )


def _current(windows: Sequence[Window], live: int | None) -> list[Window]:
    """Return the windows of the live version, of sources for which no other version has predicted since.

    After a rollback its own windows are older than those of the version that was live meanwhile, and tell nothing new.
    """
    latest = {window.source: window.start for window in windows}
    newest = {window.source: window.start for window in windows if window.version == live}
    current = {source for source, start in newest.items() if start == latest[source]}
    return [window for window in windows if window.version == live and window.source in current]


def _nothing_judged(windows: Sequence[Window], of_live: Sequence[Window], live: int | None) -> Iterator[str]:
    """Yield why no window is judged, where there are windows."""
    if windows and live is None:
        yield "No version is live: nothing is judged."
    elif windows and not of_live:
        is_behind = any(window.version == live for window in windows)
        what = "is live again, has predicted no newer rows than" if is_behind else "is live, has not predicted anything"
        other = f" version {windows[-1].version}" if is_behind else " yet"
        yield f"Version {live}, which {what}{other}: nothing is judged."


def _advice(
    workspace: Workspace,
    settings: Settings,
    windows: Sequence[Window],
    judge: Callable[[Window], tuple[Diagnosis, ...]],
    live: int | None,
    *,
    is_broken: bool,
    now: dt.datetime,
) -> Advice:
    """Return whether to retrain: by windows whose outcomes the last training did not have.

    They are of the live version, or, before any outcome of its predictions is known, of the version before.
    """
    trained_at, labels_until = last_training(workspace)
    label = workspace.contract.label
    matures = dt.timedelta(days=label.window_days + label.delay_days)
    learned = dt.datetime.min.replace(tzinfo=dt.UTC) if labels_until is None or labels_until > now else labels_until

    def history_of(version: int) -> list[tuple[Diagnosis, ...]]:
        of_version = [window for window in windows if window.version == version]
        of_version = _current(windows, version) if version == live else of_version
        new = [window for window in of_version if window.end + matures > learned]
        return _telling(new, [judge(window) for window in new], settings.monitoring)

    history = [] if live is None else history_of(live)
    before = [] if live is None or history else [window.version for window in windows if window.version < live]
    return advise(
        history_of(max(before)) if before else history,
        is_of_before=bool(before),
        is_broken=is_broken,
        trained_at=trained_at,
        new_outcomes=_outcomes_since(workspace, labels_until, now),
        days_apart=usual_gap([window.start for window in windows]),
        now=now,
        settings=settings.monitoring.retraining,
    )


def _newest(
    windows: Sequence[Window], judged: Sequence[tuple[Diagnosis, ...]], settings: Settings
) -> tuple[Diagnosis, ...]:
    """Return what the newest window of each source shows, and the newest with outcomes of its outcomes."""
    of_outcomes = {"concept_drift", "late_labels", "treated_labels"}
    newest: dict[tuple[str, bool], list[Diagnosis]] = {}
    for window, diagnoses in zip(windows, judged, strict=True):
        newest[window.source, False] = [diagnosis for diagnosis in diagnoses if diagnosis.kind not in of_outcomes]
        if window.due or min(window.stayed, window.churned) >= settings.monitoring.min_outcomes:
            newest[window.source, True] = [diagnosis for diagnosis in diagnoses if diagnosis.kind in of_outcomes]
    return tuple(diagnosis for part in newest.values() for diagnosis in part)


def _telling(
    windows: Sequence[Window], judged: Sequence[tuple[Diagnosis, ...]], wanted: MonitoringSettings
) -> list[tuple[Diagnosis, ...]]:
    """Return what the windows show that can show a loss: outcomes are known, or inputs say that there is one."""
    return [
        diagnoses
        for window, diagnoses in zip(windows, judged, strict=True)
        if min(window.stayed, window.churned) >= wanted.min_outcomes or has_loss(diagnoses)
    ]


def last_training(workspace: Workspace) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return when a model was trained last, and by when the outcomes were known that it was trained on.

    Retrainings count whatever became of them. Both are None where nothing was trained.
    """
    newest = max(workspace.registry.versions(workspace.model), key=lambda version: version.version, default=None)
    trained: list[dt.datetime] = []
    cutoffs: list[dt.datetime] = []
    if newest is not None:
        registered = newest.tags.get(REGISTERED_AT)
        at = newest.created_at if registered is None else dt.datetime.fromisoformat(registered)
        trained += [at] if at else []
        until = newest.tags.get(LABELS_UNTIL)
        cutoffs += [dt.datetime.fromisoformat(until)] if until else trained
    try:
        table = workspace.tables.latest(workspace.contract.table("retrainings").name)
    except NotFound:
        pass
    else:
        rows = workspace.tables.scan(table, ["started_at", "cutoff"], where={"model_name": workspace.model}).read_all()
        trained += rows["started_at"].to_pylist()
        cutoffs += rows["cutoff"].to_pylist()
    return max(trained, default=None), max(cutoffs, default=None)


def _outcomes_since(workspace: Workspace, trained_at: dt.datetime | None, now: dt.datetime) -> int:
    """Return how many outcomes became known after a time, by now."""
    try:
        table = workspace.tables.latest(workspace.contract.table("labels").name)
    except NotFound:
        return 0
    count = 0
    for batch in workspace.tables.scan(table, [LABEL_TIME]):
        times = batch.column(0)
        counts = pc.less_equal(times, now)
        count += pc.sum(counts if trained_at is None else pc.and_(counts, pc.greater(times, trained_at))).as_py() or 0
    return count


def _judged_windows(workspace: Workspace, settings: Settings, now: dt.datetime) -> list[Window]:
    """Return the windows that judgements go by, from the tables, the oldest first."""
    wanted, label = settings.monitoring, workspace.contract.label
    where = {"model_name": workspace.model, "clock": "event", "length": wanted.judged, "slice": ""}
    profile = _by_window(workspace, "profile_metrics", where)
    drift = _by_window(workspace, "drift_metrics", {**where, "against": "baseline"})
    matures, data_until = dt.timedelta(days=label.window_days + label.delay_days), _data_until(workspace, now)
    windows = []
    for key in sorted(profile):
        start, version, source = key
        end = _end(start, wanted.judged)
        figures = [_figure(row) for row in profile[key]]
        windows.append(
            Window.of(
                figures,
                [Difference(row["column"], row["metric"], row["number"]) for row in drift.get(key, ())],
                end=end,
                version=version,
                source=source,
                start=start,
                due=data_until is not None and end + matures <= data_until,
            )
        )
    return windows


def _data_until(workspace: Workspace, now: dt.datetime) -> dt.datetime | None:
    """Return until when there is data: outcomes are late only where other rows went on arriving."""
    try:
        features = workspace.tables.latest(workspace.contract.table("features").name)
    except NotFound:
        return None
    return workspace.tables.known_until(features, now)


def _by_window(
    workspace: Workspace, name: Any, where: Mapping[str, str]
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    try:
        table = workspace.tables.latest(workspace.contract.table(name).name)
    except NotFound:
        return {}
    by_window: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for batch in workspace.tables.scan(table, where=where):
        for row in batch.to_pylist():
            by_window[row["window_start"], row["model_version"], row["source"]].append(row)
    return by_window


def _figure(row: Mapping[str, Any]) -> Figure:
    ends = {name: row[name] for name in ("lower", "upper", "se")}
    interval = None if row["se"] is None else Estimate(point=row["number"], **ends)
    return Figure(row["column"], row["metric"], row["kind"], row["number"], interval)


def _end(start: dt.datetime, length: str) -> dt.datetime:
    if length == "month":
        return (start + dt.timedelta(days=31)).replace(day=1)
    return start + dt.timedelta(days=7 if length == "week" else 1)
