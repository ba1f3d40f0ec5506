"""The commands of the deployment job: create, show, repair, wait, unlink."""

from __future__ import annotations

import argparse
from typing import Any

from adapters import platform
from churn.core.program import as_typed

from .console import plain_console
from .context import repeated, session_of
from .output import print_json, wants_json

__all__ = [
    "deployment_job_create",
    "deployment_job_repair",
    "deployment_job_show",
    "deployment_job_unlink",
    "deployment_job_wait",
]


def deployment_job_create(arguments: argparse.Namespace) -> int:
    """Make the job, or change it, and link it to the registered model."""
    placed, link = _job(arguments).create(session_of(arguments).settings)
    console = plain_console()
    console.print(f"Job     {placed.job_id} {placed.change}", soft_wrap=True)
    return _linked(console, link, f"deployment-job show{repeated(arguments)}")


def deployment_job_show(arguments: argparse.Namespace) -> int:
    """Print the job, whether a new version starts it, and its newest runs."""
    job = _job(arguments).show()
    code = 0 if job["link"]["state"] == "CONNECTED" and job["job_id"] else 2
    if wants_json(arguments):
        print_json({**job, "exit": code})
        return code
    console, link = plain_console(), job["link"]
    console.print(f"Job     {job['name']}  {job['address'] or 'is not there'}", soft_wrap=True)
    console.print(f"Link    {link['model']}: {link['state']}, {link['meaning']}", soft_wrap=True)
    for run in job["runs"]:
        console.print(f"Run     version {run['version'] or '?'}  {run['result']}  {run['url']}", soft_wrap=True)
    if code:
        console.print(as_typed(f"Next    python run.py deployment-job create{repeated(arguments)}   (links it again)"))
    return code


def deployment_job_repair(arguments: argparse.Namespace) -> int:
    """Run what failed of the newest run of a version again, with the same parameters."""
    url = _job(arguments).repair(arguments.version)
    plain_console().print(f"Run     of version {arguments.version} goes on: {url}", soft_wrap=True)
    return 0


def deployment_job_wait(arguments: argparse.Namespace) -> int:
    """Wait for the newest run of a version to end."""
    ended, console = _job(arguments).wait(arguments.version), plain_console()
    console.print(f"{ended.sentence}\nRun     {ended.url}", soft_wrap=True)
    if ended.state == "waiting":
        return 0 if arguments.until == "approval" else 4
    return 0 if ended.state == "live" else 3


def deployment_job_unlink(arguments: argparse.Namespace) -> int:
    """Let new versions start no job; the job stays."""
    link = _job(arguments).unlink()
    plain_console().print(
        f"Link    {link.model}: {link.state}; new versions start no job, which stays.", soft_wrap=True
    )
    return 0


def _job(arguments: argparse.Namespace) -> Any:
    settings, profile, contract = session_of(arguments)
    return platform.deployment_job(contract, settings, profile)


def _linked(console: Any, link: Any, command: str) -> int:
    console.print(f"Link    {link.model}: {link.state}, {link.meaning}", soft_wrap=True)
    console.print(as_typed(f"Next    python run.py {command}   (its runs, and whether a new version starts it)"))
    return 0 if link.works else 2
