"""Which code ran."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["commit_of"]


def commit_of(folder: Path) -> str:
    """Return the commit of the checkout, with `+changes` where files differ from it, or `unknown` outside of git."""
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
