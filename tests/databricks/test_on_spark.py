"""Tables and decisions of Unity Catalog on a real engine: the suites of their ports, in Sail's environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAIL = Path(os.environ.get("CHURN_SAIL", ROOT / ".sail")) / "bin" / "python"
SUITES = ("test_feature_store*.py", "test_point_in_time_join.py", "test_decision_ledger.py")


@pytest.mark.timeout(500)
@pytest.mark.parametrize("suite", ["the ports", "the adapters"])
def test_tables_and_ledger_keep_their_promises_on_spark(suite: str, require: Callable[[object, str], None]) -> None:
    require(SAIL.is_file(), "Sail in an environment of its own: make .sail/installed")
    contracts = [str(path) for pattern in SUITES for path in (ROOT / "tests" / "contract").glob(pattern)]
    tests = [*contracts, "-k", "in_unity"] if suite == "the ports" else ["tests/databricks/on_spark"]
    done = subprocess.run(
        [SAIL, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout or "%]" in done.stdout
