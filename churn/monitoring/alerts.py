"""Which alerts are open, which notices that makes, and which of them wait for a channel; none of it sends anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from ..core.canonical import StoredFormat, canonical, digest
from ..core.errors import StoreError
from ..core.frozen import Finite
from ..ports.alerts import AlertEvent, Notice, Severity
from .report import KINDS, Diagnosis, MonitoringReport

__all__ = ["ALERTS_FORMAT", "AlertBook", "Waiting", "found_in", "notices"]

_KEPT = 200  # notices that the book remembers
_LOSS = frozenset({"concept_drift", "drift_with_loss"})
_PERSISTS = frozenset({"retrain", "cooling_down", "too_few_outcomes"})


class Waiting(Finite):
    """A notice that a channel has not taken yet.

    Attributes:
        channel: The channel.
        notice: The notice.
        attempts: How often it was tried.
        reason: Why it was not taken the last time.
    """

    channel: str
    notice: Notice
    attempts: int = 0
    reason: str = ""


class AlertBook(Finite):
    """What is known of the alerts of a data set between two runs.

    Attributes:
        opened: The alerts that are open, by what they are about; each as the last notice of it.
        waiting: Notices that a channel has not taken yet, the oldest first.
        recent: The newest notices, the oldest first.
    """

    opened: dict[str, Notice] = Field(default_factory=dict)
    waiting: tuple[Waiting, ...] = ()
    recent: tuple[Notice, ...] = ()

    def with_notices(self, made: Sequence[Notice], opened: Mapping[str, Notice], channels: Sequence[str]) -> AlertBook:
        """Return the book with notices that every channel is to take."""
        waiting = [Waiting(channel=channel, notice=notice) for notice in made for channel in channels]
        return AlertBook(opened=dict(opened), waiting=(*self.waiting, *waiting), recent=(*self.recent, *made)[-_KEPT:])


ALERTS_FORMAT = StoredFormat("record of alerts", AlertBook, newest=1, error=StoreError)


def found_in(report: MonitoringReport) -> dict[str, tuple[Diagnosis, Severity]]:
    """Return what of a report is worth an alert, by what it is about, with its severity."""
    persists = report.advice.state in _PERSISTS
    found: dict[str, tuple[Diagnosis, Severity]] = {}
    for diagnosis in report.diagnoses:
        is_critical = diagnosis.kind == "broken_feed" or (diagnosis.kind in _LOSS and persists)
        if diagnosis.acts:
            found[_subject(diagnosis)] = diagnosis, "critical" if is_critical else "warning"
    return found


def notices(book: AlertBook, report: MonitoringReport, page: str | None) -> tuple[list[Notice], dict[str, Notice]]:
    """Return the notices that a report makes, and the alerts that are open afterwards.

    An alert that was open and is found again makes none, whatever its figures and window, unless its severity or
    the version is another one. It is over where its source was judged again and no longer shows it, or
    another version is live.
    """
    found, made = found_in(report), list[Notice]()
    opened = dict(book.opened)
    for subject, (diagnosis, severity) in found.items():
        before = opened.get(subject)
        if before is not None and (before.severity, before.version) == (severity, diagnosis.version):
            continue
        event: AlertEvent = "opened" if before is None else "changed"
        opened[subject] = _notice(report, diagnosis, severity, event, page)
        made.append(opened[subject])
    for subject in [subject for subject in opened if subject not in found]:
        if _is_judged(report, opened[subject]):
            made.append(_resolved(report, opened.pop(subject), page))
    return made, opened


def _subject(diagnosis: Diagnosis) -> str:
    return f"{diagnosis.kind} {diagnosis.source}".strip()


def _is_judged(report: MonitoringReport, alert: Notice) -> bool:
    """Return whether a report can tell that an alert is over: one without rows to look at cannot."""
    if report.live is None or not report.windows:
        return False
    blind = {diagnosis.source for diagnosis in report.diagnoses if diagnosis.kind == "too_little_data"}
    of_live = {window.source for window in report.windows if window.version == report.live}
    if alert.version != report.live:
        return bool(of_live)
    return not alert.source or (alert.source in of_live and alert.source not in blind)


def _notice(
    report: MonitoringReport, diagnosis: Diagnosis, severity: Severity, event: AlertEvent, page: str | None
) -> Notice:
    source = f" ({diagnosis.source})" if diagnosis.source else ""
    return _identified(
        Notice(
            notice_id="",
            event=event,
            severity=severity,
            title=f"{KINDS[diagnosis.kind]}{source}",
            dataset=report.dataset,
            model=report.model,
            version=diagnosis.version,
            kind=diagnosis.kind,
            source=diagnosis.source,
            window=diagnosis.window,
            evidence=diagnosis.evidence,
            recommendation=diagnosis.recommendation,
            page=page,
            at=report.at,
        )
    )


def _resolved(report: MonitoringReport, alert: Notice, page: str | None) -> Notice:
    since = f"It was found at {alert.at:%Y-%m-%d %H:%M} UTC and is over."
    if alert.version != report.live:
        since = f"Version {alert.version} is no longer live."
    over = {"event": "resolved", "evidence": (since,), "recommendation": "", "page": page, "at": report.at}
    return _identified(alert.model_copy(update=over))


def _identified(notice: Notice) -> Notice:
    told = [notice.dataset, notice.model, notice.kind, notice.source, notice.event, notice.at.isoformat()]
    return notice.model_copy(update={"notice_id": digest(canonical([*told, notice.severity]))[:24]})
