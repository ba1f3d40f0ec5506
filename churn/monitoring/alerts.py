"""Which alerts are open, which notices that makes, and which of them wait for a channel; none of it sends anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from ..core.canonical import StoredFormat, canonical, digest
from ..core.errors import StoreError
from ..core.frozen import Finite
from ..ports.alerts import AlertEvent, Notice
from .report import KINDS, MonitoringReport

__all__ = ["ALERTS_FORMAT", "RETRAINING", "AlertBook", "Waiting", "concluded", "notices"]

RETRAINING = "retraining"
"""The kind of an alert, and what it is about, that says that retraining is called for, or what became of it."""
_SHARED = ("version", "kind", "source", "window", "evidence", "recommendation")
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


def notices(book: AlertBook, report: MonitoringReport, page: str | None) -> tuple[list[Notice], dict[str, Notice]]:
    """Return the notices that a report makes, and the alerts that are open afterwards.

    An alert that was open and is found again makes none, whatever its figures and window, unless its severity or
    the version is another one. It is over where its source was judged again and no longer shows it, or
    another version is live. That retraining is called for is an alert until the loss is over, whatever speaks against
    another retraining meanwhile.
    """
    current, made = _found(report, page), list[Notice]()
    opened = dict(book.opened)
    for subject, notice in current.items():
        before = opened.get(subject)
        if before is not None and (before.severity, before.version) == (notice.severity, notice.version):
            continue
        opened[subject] = _identified(notice, "opened" if before is None else "changed")
        made.append(opened[subject])
    for subject in [subject for subject in opened if subject not in current]:
        persists = subject == RETRAINING and opened[subject].version == report.live and report.advice.state in _PERSISTS
        if not persists and _is_judged(report, opened[subject]):
            made.append(_resolved(report, opened.pop(subject), page))
    return made, opened


def concluded(book: AlertBook, outcome: Notice) -> tuple[list[Notice], dict[str, Notice]]:
    """Return the notice of what became of a retraining, and the alerts that are open afterwards.

    Args:
        book: The alerts until now.
        outcome: The notice, without an id; `resolved` ends the alert that retraining is called for.
    """
    opened = dict(book.opened)
    before = opened.pop(RETRAINING, None)
    event = outcome.event if outcome.event == "resolved" or before is None else "changed"
    notice = _identified(outcome, event)
    if event != "resolved":
        opened[RETRAINING] = notice
    return [notice], opened


def _found(report: MonitoringReport, page: str | None) -> dict[str, Notice]:
    """Return what of a report is worth an alert, by what it is about."""
    persists = report.advice.state in _PERSISTS
    shared = {"notice_id": "", "event": "opened", "dataset": report.dataset, "model": report.model, "at": report.at}
    notices_of: dict[str, Notice] = {}
    for diagnosis in report.diagnoses:
        if diagnosis.acts:
            is_critical = diagnosis.kind == "broken_feed" or (diagnosis.kind in _LOSS and persists)
            source = f" ({diagnosis.source})" if diagnosis.source else ""
            notices_of[f"{diagnosis.kind} {diagnosis.source}".strip()] = Notice(
                **shared,
                severity="critical" if is_critical else "warning",
                title=f"{KINDS[diagnosis.kind]}{source}",
                page=page,
                **{name: getattr(diagnosis, name) for name in _SHARED},
            )
    if report.advice.state == "retrain" and report.live is not None:
        notices_of[RETRAINING] = Notice(
            **shared,
            severity="critical",
            title="retraining is called for",
            version=report.live,
            kind=RETRAINING,
            source="",
            window=report.windows[-1].name if report.windows else f"{report.at:%Y-%m-%d}",
            evidence=(report.advice.sentence,),
            recommendation="Train on the newer outcomes, and let the gate decide: python run.py --pipeline retraining.",
            page=page,
        )
    return notices_of


def _is_judged(report: MonitoringReport, alert: Notice) -> bool:
    """Return whether a report can tell that an alert is over: one without rows to look at cannot."""
    if report.live is None or not report.windows:
        return False
    blind = {diagnosis.source for diagnosis in report.diagnoses if diagnosis.kind == "too_little_data"}
    of_live = {window.source for window in report.windows if window.version == report.live}
    if alert.version != report.live:
        return bool(of_live)
    return not alert.source or (alert.source in of_live and alert.source not in blind)


def _resolved(report: MonitoringReport, alert: Notice, page: str | None) -> Notice:
    since = f"It was found at {alert.at:%Y-%m-%d %H:%M} UTC and is over."
    if alert.version != report.live:
        since = f"Version {alert.version} is no longer live."
    over = {"evidence": (since,), "recommendation": "", "page": page, "at": report.at}
    return _identified(alert.model_copy(update=over), "resolved")


def _identified(notice: Notice, event: AlertEvent) -> Notice:
    identity = [notice.dataset, notice.model, notice.kind, notice.source, event, notice.at.isoformat()]
    return notice.model_copy(update={"event": event, "notice_id": digest(canonical([*identity, notice.severity]))[:24]})
