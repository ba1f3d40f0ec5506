"""The fast tests: a file that is slow as a whole is not even imported for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_SLOW = re.compile(r"^pytestmark = .*\bpytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that `-m 'not slow'` leaves out: what they import takes seconds."""
    fast = config.getoption("markexpr") == "not slow" and collection_path.suffix == ".py"
    return True if fast and _SLOW.search(collection_path.read_text(encoding="utf-8")) else None
