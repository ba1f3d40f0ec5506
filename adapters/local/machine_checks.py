"""The doctor's checks of the machine and of what is installed; nothing is imported, created or changed."""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import Literal

from ..spark.availability import java_version, trouble
from .servers import HOST

__all__ = [
    "Finding",
    "byte_code",
    "clock",
    "disk",
    "folder",
    "git",
    "libraries",
    "memory",
    "named_libraries",
    "port",
    "python_version",
    "spark",
]

GIB = 1024**3
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
LEAST_DISK = 1 * GIB
"""A training run leaves about 0.1 GiB, its queries may spill several times that while they run."""
ENOUGH_DISK = 5 * GIB
LEAST_MEMORY = 2 * GIB
"""The default training run stays below it."""
ENOUGH_MEMORY = 4 * GIB


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        area: What the check belongs to: environment, machine, zenml, mlflow, state or tables.
        name: What was looked at.
        status: `ok`; `warn`: things work, but slower or not for long; `fail`: a pipeline would not run.
        found: What is there.
        remedy: What to do about it; empty where there is nothing to do.
    """

    area: str
    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def python_version(running: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Is it a version that the lock file was made for?"""
    python = f"{running[0]}.{running[1]} at {sys.executable}"
    if OLDEST_PYTHON <= running <= NEWEST_PYTHON:
        return Finding("environment", "Python", "ok", python)
    return Finding("environment", "Python", "fail", python, "use 3.11 to 3.13: PYTHON=/path/to/python3.12 make train")


def libraries(project: Path) -> Finding:
    """Are the libraries that the project names installed in the versions that were tested together?"""
    try:
        named = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
        locked = tomllib.loads((project / "uv.lock").read_text(encoding="utf-8"))["package"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        return Finding("environment", "libraries", "warn", f"no versions to compare with ({error})", "get uv.lock back")
    names = [re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in named]
    missing, others = [], []
    for name in names:
        tested = [package["version"] for package in locked if package["name"] == name]
        try:
            installed = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if installed not in tested:
            others.append(f"{name} {installed} (tested: {' or '.join(tested)})")
    if missing:
        return Finding("environment", "libraries", "fail", f"not installed: {', '.join(missing)}", "make train")
    if (project / ".uv" / "installing").exists():
        message = "an installation was interrupted: packages may be there in parts"
        return Finding("environment", "libraries", "fail", message, "make train")
    if broken := [name for name in names if not _is_whole(name)]:
        message = f"files are missing: {', '.join(broken)}"
        return Finding("environment", "libraries", "fail", message, "rm -rf .venv, then make train")
    if others:
        remedy = "uv sync --frozen installs the tested versions"
        return Finding("environment", "libraries", "warn", "; ".join(others), remedy)
    return Finding("environment", "libraries", "ok", f"{len(names)} in the versions of uv.lock")


def named_libraries() -> Finding:
    """Are the libraries installed that the wheel names, from which the project was installed?"""
    named = [line for line in requires("churn-lifecycle") or [] if "extra ==" not in line]
    missing = [name for line in named if not _is_installed(name := re.split(r"[^A-Za-z0-9-]", line)[0])]
    if missing:
        remedy = f"{sys.executable} -m pip install {' '.join(missing)}"
        return Finding("environment", "libraries", "fail", f"not installed: {', '.join(missing)}", remedy)
    return Finding("environment", "libraries", "ok", f"{len(named)} that churn {version('churn-lifecycle')} names")


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _is_whole(name: str) -> bool:
    """Return whether the modules that a distribution says it has are there."""
    installed = distribution(name)
    listed = csv.reader((installed.read_text("RECORD") or "").splitlines())
    return all(Path(str(installed.locate_file(row[0]))).is_file() for row in listed if row and row[0].endswith(".py"))


def byte_code(package: str = "zenml") -> Finding:
    """Were the libraries compiled when they were installed? If not, every start takes three times as long."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return Finding("environment", "byte code", "fail", f"{package} is not installed", "make train")
    if Path(importlib.util.cache_from_source(spec.origin)).is_file():
        return Finding("environment", "byte code", "ok", "compiled")
    folder = Path(spec.origin).parents[1]
    return Finding(
        "environment", "byte code", "warn", "not compiled: slow starts", f"{sys.executable} -m compileall -q {folder}"
    )


def git(project: Path | None) -> Finding:
    """Can a model version say which code it was trained by?"""
    if project is None:
        return Finding("environment", "code", "ok", f"models name the wheel {version('churn-lifecycle')}")
    program = shutil.which("git")
    if program is None:
        return Finding("environment", "git", "warn", "not installed: models do not name their commit", "install git")
    command = [program, "-C", str(project), "rev-parse", "--short", "HEAD"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        reason = process.stderr.strip().partition("\n")[0] or "no commit"
        return Finding(
            "environment", "git", "warn", f"models will not name their commit: {reason}", "commit the project"
        )
    return Finding("environment", "git", "ok", f"commit {process.stdout.strip()}")


def spark() -> Finding:
    """Can a batch be scored on Spark? Nobody needs it who did not install it."""
    lacking = trouble()
    if lacking is None:
        return Finding("environment", "Spark", "ok", f"PySpark {version('pyspark')} with Java {java_version()}")
    message, _, remedy = lacking.partition(": ")
    if importlib.util.find_spec("pyspark") is None:
        return Finding("environment", "Spark", "ok", f"{message}: --engine spark is not available", remedy)
    return Finding("environment", "Spark", "warn", message, remedy)


def memory(total: int | None = None) -> Finding:
    """Is there enough for a training run? The limit of a container counts where it is lower."""
    size = _memory() if total is None else total
    amount = f"{size / GIB:.1f} GiB"
    if size < LEAST_MEMORY:
        return Finding("machine", "memory", "fail", amount, "use a machine or container with 2 GiB or more")
    if size < ENOUGH_MEMORY:
        remedy = "lower profile.resources.memory_limit if a run is killed"
        return Finding("machine", "memory", "warn", amount, remedy)
    return Finding("machine", "memory", "ok", amount)


def _memory() -> int:
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(size, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return size


def disk(state: Path, free: int | None = None) -> Finding:
    """Is there room for tables, models and what queries spill?"""
    room = shutil.disk_usage(_nearest(state)).free if free is None else free
    amount = f"{room / GIB:.1f} GiB free at {state}"
    remedy = "free some, or move the state: --set profile.state=/path/with/room"
    if room < LEAST_DISK:
        return Finding("machine", "disk", "fail", amount, remedy)
    if room < ENOUGH_DISK:
        return Finding("machine", "disk", "warn", amount, remedy)
    return Finding("machine", "disk", "ok", amount)


def port(name: str, number: int) -> Finding:
    """Can the dashboard have its port?"""
    with socket.socket() as client:
        client.settimeout(1.0)
        if client.connect_ex((HOST, number)) == 0:
            remedy = "none needed: run.py ui takes the next free one (its own dashboard holds it while it is up)"
            return Finding("machine", f"port of {name}", "warn", f"{number} is in use", remedy)
    return Finding("machine", f"port of {name}", "ok", f"{number} is free")


def clock(now: dt.datetime | None = None) -> Finding:
    """Is the clock right? Rows and outcomes are cut off at its time, in UTC."""
    time = now or dt.datetime.now(dt.UTC)
    written = dt.datetime.fromtimestamp(Path(__file__).stat().st_mtime, dt.UTC)
    if time < written - dt.timedelta(days=1):
        dates = f"{time:%Y-%m-%d}, but this program was written on {written:%Y-%m-%d}"
        return Finding("machine", "clock", "fail", dates, "set the clock: what is known later than it says is not used")
    return Finding("machine", "clock", "ok", f"{time:%Y-%m-%d %H:%M} UTC (local {time.astimezone():%H:%M %Z})")


def folder(area: str, name: str, path: Path, *, shared: bool = False) -> Finding:
    """May this user write below `path`, and nobody else, nor read there unless it is `shared`?"""
    existing = _nearest(path)
    message = str(path) if existing == path else f"{path} (made on first use)"
    if not existing.is_dir():
        return Finding(area, name, "fail", f"{existing} is a file", f"move it away: the folder {path} belongs there")
    effective = os.access in os.supports_effective_ids  # as whom this process acts, not who started it
    permitted = os.access(existing, os.R_OK | os.W_OK | os.X_OK, effective_ids=effective)
    if os.statvfs(existing).f_flag & os.ST_RDONLY or not permitted:
        return Finding(
            area, name, "fail", f"{existing} is not writable", f"chown -R $(id -un) {existing}, or mount it writable"
        )
    if existing == path and path.stat().st_mode & 0o002:
        return Finding(area, name, "warn", f"{path} is writable by every user", f"chmod -R o-w {path}")
    if existing == path and not shared and path.stat().st_mode & 0o077:
        remedy = f"chmod -R go= {path}, or set profile.shared where others are to read it"
        return Finding(area, name, "warn", f"{path} holds customers, and other users may read it", remedy)
    return Finding(area, name, "ok", message)


def _nearest(path: Path) -> Path:
    """Return `path`, or the nearest of its parents that is there."""
    return next(candidate for candidate in (path, *path.absolute().parents) if candidate.exists())
