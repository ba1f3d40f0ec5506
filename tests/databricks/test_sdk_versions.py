"""The adapters work with both ends of the range of `databricks-sdk`: its floor, and the newest release.

The floor is what `uv.lock` names, so every other test runs with it. The newest release is the one of Sail's
environment; the tests of what the SDK sends and raises run with it here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .test_on_spark import ROOT, SAIL

ASKING = ("client", "endpoint", "files", "lakebase", "monitor", "pipeline_jobs", "prediction_log", "workspace")
"""The tests of payloads, waits and errors, which start no other process."""


def test_the_floor_is_the_version_that_the_other_tests_run_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (asked,) = [each for each in map(Requirement, project["dependencies"]) if each.name == "databricks-sdk"]
    (floor,) = [bound.version for bound in asked.specifier if bound.operator == ">="]
    assert version("databricks-sdk").startswith(floor), "raise the floor in pyproject.toml with the lock file"


@pytest.mark.timeout(400)
def test_the_newest_release_is_sent_and_told_the_same(tmp_path: Path, require: Callable[[object, str], None]) -> None:
    require(SAIL.is_file(), "Sail in an environment of its own: make .sail/installed")
    packages = next(SAIL.parents[1].glob("lib/python3*/site-packages"))
    for path in (packages / "databricks", *packages.glob("databricks_sdk-*.dist-info")):
        (tmp_path / path.name).symlink_to(path)  # this package alone, in front of the project's
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    newest = subprocess.check_output(
        [sys.executable, "-c", "from importlib.metadata import version; print(version('databricks-sdk'))"],
        env=environment,
        text=True,
    ).strip()
    assert tuple(map(int, newest.split("."))) > tuple(map(int, version("databricks-sdk").split(".")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not within_half_a_minute"]
        + [f"tests/databricks/test_{name}.py" for name in ASKING],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"databricks-sdk {newest}: " + done.stdout[-6000:] + done.stderr[-2000:]
