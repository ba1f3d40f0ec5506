"""`run.py stack monitor`: the platform's own monitor on Databricks."""

from __future__ import annotations

import argparse

from adapters import platform

from .console import plain_console
from .context import session_of

__all__ = ["stack_monitor"]


def stack_monitor(arguments: argparse.Namespace) -> int:
    """Make or change the monitor of predictions and the SQL alert; or let the monitor compute its figures now."""
    session, console = session_of(arguments), plain_console()
    monitor = platform.platform_monitor(session.contract, session.profile)
    if arguments.refresh:
        refreshed = monitor.refresh()
        begun = "runs already" if refreshed.was_running else "has begun"
        console.print(
            f"The refresh {refreshed.refresh_id} of the monitor of {monitor.table} {begun} ({refreshed.state})."
        )
        return 0
    console.print(f"Monitor of {monitor.table}: {monitor.place()}.")
    alert = monitor.place_alert()
    console.print(
        f"SQL alert: {alert}."
        if alert
        else "SQL alert: none, for `profile.databricks.monitor.warehouse_id` names no SQL warehouse."
    )
    console.print("It sees the last 30 days; outcomes that become known later are in our own metric tables.")
    return 0
