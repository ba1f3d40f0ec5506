"""The git commit of the code that runs."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

__all__ = ["commit_of", "is_checkout"]


def is_checkout(folder: Path) -> bool:
    """Return whether the code in a folder is a checkout, and not what was installed from a wheel."""
    return (folder / "pyproject.toml").is_file()


def commit_of(folder: Path) -> str:
    """Return the commit of the checkout, with `+changes` where files differ from it, or `unknown` outside of git.

    Of code that was installed it is `wheel` and its version: a repository around that folder is of something else.
    """
    if not is_checkout(folder):
        return f"wheel {version('churn-lifecycle')}"
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return f"{head}+changes" if _git(folder, "status", "--porcelain") else head
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
