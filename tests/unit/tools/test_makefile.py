"""`make` completes an installation that was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
UV = """#!/bin/sh
case "$1" in --version) echo 'uv 0.99.0'; exit 0;; esac
echo "$@" >> calls
mkdir -p .venv/bin && touch .venv/half
[ ! -e killed ] || { rm killed; kill -9 $PPID; exit 1; }
rm -f .venv/half
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a uv that installs nothing, and is killed with its caller where there is a file `killed`."""
    for name in ("Makefile", "pyproject.toml", "uv.lock", "tools"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV)
    uv.chmod(0o755)
    return tmp_path


def make(checkout: Path) -> subprocess.CompletedProcess[str]:
    database = subprocess.run(
        ["make", "-pn", "python"], cwd=checkout, capture_output=True, text=True, check=False
    ).stdout
    stamp = next(line.split()[-1] for line in database.splitlines() if line.startswith("TRAIN :="))
    environment = {**os.environ, "PATH": f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["make", stamp], cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_an_installation_that_was_killed_is_begun_anew_by_the_next_make(checkout: Path) -> None:
    (checkout / "killed").touch()
    assert make(checkout).returncode != 0
    assert (checkout / ".venv" / "half").exists()
    done = make(checkout)
    assert done.returncode == 0, done.stderr
    assert "An installation was interrupted" in done.stdout
    assert not (checkout / ".venv" / "half").exists()
    assert not (checkout / ".uv" / "installing").exists()
    make(checkout)  # finds everything there
    assert len((checkout / "calls").read_text().splitlines()) == 2
