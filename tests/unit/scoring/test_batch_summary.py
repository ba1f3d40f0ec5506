"""Summaries of batches that earlier versions stored are read for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from churn.core.errors import StoreError
from churn.scoring.batch import BatchSummary

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("number", [1, 2])
def test_every_format_is_read(number: int) -> None:
    summary = BatchSummary.read((GOLDEN / f"batch_summary_{number}.json").read_text())
    assert (summary.scored, summary.inactive, summary.no_value) == (3, 2, 0)
    assert BatchSummary.read(summary.stored()) == summary


def test_a_newer_format_is_refused() -> None:
    content = json.loads((GOLDEN / "batch_summary_2.json").read_text())
    with pytest.raises(StoreError, match=r"has format 3, and this version of the project reads up to 2"):
        BatchSummary.read(json.dumps({**content, "format": 3}))
