"""When a customer has left: what a draft says of it, by the days on which a table's customers have rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churn.data.contract import DatasetContract
from churn.drafting.infer import infer

START = pd.Timestamp("2025-01-01")
Days = Callable[[int], Sequence[float]]
"""The days after the start on which a customer, by number, has rows."""


def drafted(days: Days, tmp_path: Path, *, customers: int = 60, minutes: int = 0) -> DatasetContract:
    """Return the draft for a table whose rows come some minutes after the days that are given."""
    rng = np.random.default_rng(3)
    rows = [(f"c{customer}", day) for customer in range(customers) for day in days(customer)]
    table = pd.DataFrame(rows, columns=["customer_id", "snapshot_date"])
    delay = pd.to_timedelta(rng.integers(0, minutes + 1, len(table)), "min")
    table["snapshot_date"] = (START + pd.to_timedelta(table["snapshot_date"], "D") + delay).astype(str)
    table["spend"] = rng.normal(50, 9, len(table)).round(2)
    table["churned"] = np.where(rng.random(len(table)) < 0.2, "yes", "no")
    path = tmp_path / "draft.yaml"
    path.write_text(infer(table, "draft", today=dt.date(2026, 3, 15)))
    return DatasetContract.load(path)


@pytest.mark.parametrize(
    ("days", "minutes", "expected"),
    [
        pytest.param(lambda c: [0, 31, 59, 90, 120, 151], 0, 15, id="on the first of each month"),
        pytest.param(lambda c: [0, 31, 59, 90, 120, 151], 600, 15, id="on the first of each month, at any hour"),
        pytest.param(lambda c: range(0, 70, 7), 0, 3, id="each week"),
        pytest.param(lambda c: range(20), 0, 1, id="each day"),
        pytest.param(lambda c: range(c % 7, 84, 7), 0, 7, id="each week, each customer on a day of the week"),
        pytest.param(lambda c: range(c % 30, 180, 30), 0, 30, id="each month, each customer on a day of the month"),
        pytest.param(lambda c: range(30 * (c % 3), 400, 90), 0, 90, id="each quarter, a third of them each month"),
        pytest.param(lambda c: range(0, 360, 90), 0, 45, id="each quarter"),
        pytest.param(lambda c: [c % 5], 0, None, id="once"),
    ],
)
def test_the_draft_says_when_a_customer_has_left_by_the_days_of_the_rows(
    days: Days, minutes: int, expected: int | None, tmp_path: Path
) -> None:
    assert drafted(days, tmp_path, minutes=minutes).active_days == expected


def test_a_few_customers_with_several_rows_say_nothing(tmp_path: Path) -> None:
    assert drafted(lambda c: [0, 30] if c < 29 else [0], tmp_path).active_days is None


def test_the_rule_changes_nothing_that_a_model_is_made_of(tmp_path: Path) -> None:
    monthly = drafted(lambda c: [0, 31, 59, 90], tmp_path)
    assert monthly.active_within == dt.timedelta(days=15)
    silent = monthly.model_copy(update={"active_days": None})
    assert silent.active_within == dt.timedelta(days=silent.label.window_days)
    assert silent.digest == monthly.digest
