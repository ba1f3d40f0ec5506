"""The Databricks profile connected, on Sail's engine beside every other package of the project."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from .test_on_spark import ROOT, SAIL


@pytest.mark.timeout(500)
def test_what_the_databricks_profile_connects_works_together(require: Callable[[object, str], None]) -> None:
    require(SAIL.is_file(), "Sail in an environment of its own: make .sail/installed")
    packages = next(SAIL.parents[1].glob("lib/python3*/site-packages"))  # its PySpark comes before the project's
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/databricks/on_spark/test_connected.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout or "%]" in done.stdout
