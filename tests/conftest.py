"""Fixtures that several suites share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def telco_csv() -> Path:
    """IBM's published Telco file; the project never ships it."""
    path = Path(os.environ.get("TELCO_CSV") or ROOT.parent / "shared" / "data" / "telco_customer_churn.csv")
    if not path.is_file():
        pytest.skip("needs IBM's Telco CSV: set TELCO_CSV to the file")
    return path
