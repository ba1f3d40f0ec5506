"""The recurring jobs of a data set, as cron, systemd and the stack's orchestrator take them."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from churn.core.cron import on_calendar
from churn.profile import Profile

from .context import CHECKOUT, repeated, session_of
from .output import print_json, wants_json

__all__ = ["JOBS", "schedule_print"]

JOBS = {
    "predictions_move": "endpoint predictions move",
    "features_publish": "features publish",
    "inference": "--pipeline inference",
    "monitoring": "--pipeline monitoring",
    "rollout_check": "rollout check",
    "campaign_effect": "campaign effect",
    "data_vacuum": "data vacuum",
}
"""What each key of `schedule` runs."""
_ACTS = "3 4 5"
"""Exit codes of a job that did its work and has something for a person."""


@dataclass(frozen=True)
class _Job:
    name: str
    cron: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        return shlex.join(self.words)


def schedule_print(arguments: argparse.Namespace) -> int:
    """Print when each recurring job runs, as crontab, as systemd units, and as the stack's schedules."""
    settings, profile, contract = session_of(arguments)
    for name in ("dataset", "config"):  # a job starts in the folder of the program, not in this one
        if (typed := getattr(arguments, name, None)) is not None and Path(typed).is_file():
            setattr(arguments, name, str(Path(typed).resolve()))
    options = [*shlex.split(repeated(arguments)), "--quiet"]
    if not getattr(arguments, "dataset", None):
        options += ["--dataset", settings.dataset]
    program = [sys.executable, "run.py"] if CHECKOUT else [shutil.which("churn") or sys.argv[0]]
    crons = settings.schedule.model_dump()
    jobs = [
        _Job(name, crons[name], (*program, *words.split(), *options)) for name, words in JOBS.items() if crons[name]
    ]
    folder = CHECKOUT or Path.cwd()
    if wants_json(arguments):
        listed = [{"job": job.name, "cron": job.cron, "command": job.command} for job in jobs]
        schedulable = profile.stack["orchestrator"].flavor != "local"
        print_json({"dataset": contract.name, "folder": folder, "jobs": listed, "stack": schedulable, "exit": 0})
        return 0
    shown = {
        "cron": lambda: _cron(jobs, folder),
        "systemd": lambda: _systemd(jobs, folder, contract.name),
        "stack": lambda: _stack(jobs, profile),
    }
    for name in [arguments.format] if arguments.format else shown:
        print("\n".join(shown[name]()))
    return 0


def _cron(jobs: Sequence[_Job], folder: Path) -> list[str]:
    """Return lines for `crontab -e`, in which a percent sign would end the command."""
    lines = ["# cron: add these lines with `crontab -e`. Times are UTC where cron knows CRON_TZ.", "CRON_TZ=UTC"]
    for job in jobs:
        command = f"cd {shlex.quote(str(folder))} && {job.command}".replace("%", r"\%")
        lines.append(f"{job.cron}  {command}")
    return [*lines, ""]


def _systemd(jobs: Sequence[_Job], folder: Path, dataset: str) -> list[str]:
    """Return one service and one timer a job; systemd starts no service that still runs."""
    lines = []
    for job in jobs:
        unit = f"churn-{dataset}-{job.name}".replace("_", "-")
        words = " ".join(_quoted(word) for word in job.words)
        lines += [
            f"# systemd: ~/.config/systemd/user/{unit}.service",
            "[Unit]",
            f"Description=churn {job.name.replace('_', ' ')} of {dataset}",
            "[Service]",
            "Type=oneshot",
            f"WorkingDirectory={str(folder).replace('%', '%%')}",
            f"ExecStart={words}",
            f"SuccessExitStatus={_ACTS}",
            f"# systemd: ~/.config/systemd/user/{unit}.timer; then: systemctl --user enable --now {unit}.timer",
            "[Timer]",
            f"OnCalendar={on_calendar(job.cron)}",
            "Persistent=true",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    return lines


def _quoted(word: str) -> str:
    """Return a word as systemd reads it in ExecStart, in which $, % and quotes have a meaning."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return plain if plain == shlex.quote(word) else f'"{plain}"'


def _stack(jobs: Sequence[_Job], profile: Profile) -> list[str]:
    """Return what gives pipelines to the stack's orchestrator as schedules of ZenML, if it keeps any."""
    flavor = profile.stack["orchestrator"].flavor
    if flavor == "local":
        return [f"# stack: the orchestrator of {profile.name!r} is ZenML's local one, which keeps no schedules."]
    lines = [
        f"# stack: type each of these once, and the orchestrator {flavor!r} runs the pipeline by itself.",
        "# Jobs that are no pipelines stay with cron or systemd.",
    ]
    for job in jobs:
        if JOBS[job.name].startswith("--pipeline "):
            words = [word for word in job.words if word != "--quiet"]
            lines.append(shlex.join([*words, "--schedule", job.cron]))
    return [*lines, ""]
