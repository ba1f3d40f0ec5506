"""The commands of alerts: `show` and `send`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from churn.core.wording import moment

from .console import Screen, plain_console
from .context import Session, session_of
from .output import print_json, wants_json

if TYPE_CHECKING:
    from churn.lifecycle.alerts import Alerted

__all__ = ["alerts_send", "alerts_show", "dry_monitoring", "print_alerts"]


def alerts_show(arguments: argparse.Namespace) -> int:
    """Print the alerts that are open and the notices that wait; 3 where there are any."""
    from churn.lifecycle.alerts import Alerted, alert_book

    book = alert_book(session_of(arguments).workspace)
    return _answer(arguments, Alerted(waiting=book.waiting, opened=tuple(book.opened.values())))


def alerts_send(arguments: argparse.Namespace) -> int:
    """Send the notices that wait for a channel; 3 where some still wait or alerts are open."""
    from churn.lifecycle.alerts import send_waiting

    return _answer(arguments, send_waiting(session_of(arguments).workspace))


def _answer(arguments: argparse.Namespace, alerted: Alerted) -> int:
    code = 3 if alerted.opened or alerted.waiting else 0
    if wants_json(arguments):
        print_json({**alerted.model_dump(mode="json", exclude={"notices"}), "exit": code})
        return code
    console = plain_console()
    for alert in alerted.opened:
        console.print(f"{alert.severity}  {alert.title}, {alert.window}, since {moment(alert.at)}")
        for line in (*alert.evidence, f"→ {alert.recommendation}", f"Page    {alert.page}"):
            console.print(f"  {line}")
    if not alerted.opened:
        console.print("No alert is open.")
    print_alerts(console, alerted)
    return code


def print_alerts(console: Screen, alerted: Alerted) -> None:
    """Print the notices of a run, and what a channel has not taken."""
    for notice in alerted.notices:
        console.print(f"Alert   {notice.event}, {notice.severity}: {notice.title}")
    for waiting in alerted.waiting:
        console.print(f"Waits   {waiting.channel}: {waiting.notice.title} ({waiting.reason})")


def dry_monitoring(session: Session, console: Screen) -> dict[str, Any]:
    """Judge the windows as they were measured last, print the notices that would be sent, and write nothing."""
    from churn.lifecycle.alerts import alert
    from churn.lifecycle.monitoring import monitor

    workspace = session.workspace
    report = monitor(workspace, session.settings, dry=True)
    alerted = alert(workspace, report, dry=True)
    console.print(report.headline)
    for note in report.remarks:
        console.print(f"Note    {note}")
    channels = ", ".join(channel.name for channel in workspace.alerts)
    for notice in alerted.notices:
        console.print(f"\nWould be sent to {channels}: {notice.subject}\n{notice.text}")
    if not alerted.notices:
        console.print("No notice would be sent.")
    for waiting in alerted.waiting:
        console.print(f"Waits   {waiting.channel}: {waiting.notice.subject}")
    return {
        "run": None,
        "version": report.live,
        "verdict": "act" if report.acts else "nothing_to_do",
        "exit": 3 if report.acts else 0,
        "report": None,
        "message": report.headline,
        "notices": [notice.model_dump(mode="json") for notice in alerted.notices],
        "diagnoses": [diagnosis.model_dump() for diagnosis in report.diagnoses],
    }
