"""Sends alerts: each finding of monitoring goes to every channel once, and so does its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..core.errors import StoreError
from ..core.frozen import Finite
from ..core.progress import note
from ..monitoring.alerts import ALERTS_FORMAT, AlertBook, Waiting, concluded, notices
from ..monitoring.report import MonitoringReport
from ..ports.alerts import Notice
from .workspace import Workspace

__all__ = ["Alerted", "alert", "alert_book", "alert_outcome", "send_waiting"]


class Alerted(Finite):
    """What became of alerts in a run.

    Attributes:
        notices: The notices that it made; in a dry run those that it would make.
        waiting: Notices that a channel has not taken yet.
        opened: The alerts that are open.
    """

    notices: tuple[Notice, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    opened: tuple[Notice, ...] = ()


def alert_book(workspace: Workspace) -> AlertBook:
    """Return what is known of the data set's alerts; raises StoreError where that cannot be read."""
    stored = workspace.files.get(_name(workspace))
    return AlertBook() if stored is None else ALERTS_FORMAT.read(stored.decode())


def alert(workspace: Workspace, report: MonitoringReport, page: str | None = None, *, dry: bool = False) -> Alerted:
    """Send what a report has to say that was not said before, and what waits since an earlier run.

    A notice is written to the book before it is sent, so that neither a failure of a channel nor the end of the process
    loses it.

    Args:
        workspace: The ports of the data set.
        report: What monitoring found.
        page: Where its page is.
        dry: Whether to send and write nothing.

    Raises:
        StoreError: the book cannot be read or written. A channel that does not answer raises nothing.
    """
    if dry:
        book = alert_book(workspace)
        comparable = {subject: notice for subject, notice in book.opened.items() if notice.kind != "worse_than_before"}
        book = book.model_copy(update={"opened": comparable})  # a dry run compares no versions
        made, opened = notices(book, report, page)
        return Alerted(notices=tuple(made), waiting=book.waiting, opened=tuple(opened.values()))
    return _told(workspace, lambda book: notices(book, report, page))


def alert_outcome(workspace: Workspace, outcome: Notice) -> Alerted:
    """Send what became of a retraining that monitoring called for; raises as `alert` does."""
    return _told(workspace, lambda book: concluded(book, outcome))


def send_waiting(workspace: Workspace) -> Alerted:
    """Send what waits since an earlier run; raises as `alert` does."""
    with workspace.tables.exclusive("alerts"):
        return _sent(workspace, alert_book(workspace), ())


def _told(workspace: Workspace, news: Callable[[AlertBook], tuple[Sequence[Notice], Mapping[str, Notice]]]) -> Alerted:
    """Write what is new to the book, and send it with what waits."""
    with workspace.tables.exclusive("alerts"):
        book = alert_book(workspace)
        made, opened = news(book)
        if made or opened != book.opened:
            book = book.with_notices(made, opened, [channel.name for channel in workspace.alerts])
            _write(workspace, book)
        return _sent(workspace, book, made)


def _sent(workspace: Workspace, book: AlertBook, made: Sequence[Notice]) -> Alerted:
    """Send what waits; a channel that does not take a notice is not asked for the next one in this run."""
    channels, failed = {channel.name: channel for channel in workspace.alerts}, dict[str, str]()
    left: list[Waiting] = []
    for waiting in book.waiting:
        name, attempts = waiting.channel, waiting.attempts
        if name not in channels:
            note("alerts", f"{waiting.notice.title}: the profile names no channel {name} any more, so it is dropped.")
            continue
        if name not in failed:
            try:
                channels[name].send(waiting.notice)
                continue
            except StoreError as error:
                failed[name], attempts = str(error), attempts + 1
        left.append(waiting.model_copy(update={"attempts": attempts, "reason": failed[name]}))
    if tuple(left) != book.waiting:
        book = book.model_copy(update={"waiting": tuple(left)})
        _write(workspace, book)
    for channel, reason in failed.items():
        note("alerts", f"{channel}: {reason} What it did not take is sent with the next run.")
    return Alerted(notices=tuple(made), waiting=book.waiting, opened=tuple(book.opened.values()))


def _write(workspace: Workspace, book: AlertBook) -> None:
    workspace.files.put(_name(workspace), [ALERTS_FORMAT.write(book).encode()])


def _name(workspace: Workspace) -> str:
    return f"alerts/{workspace.contract.name}.json"
