"""A table that is checked in parts: the same verdict, rows and quarantine as if it were checked at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import count
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import ContractError, DataError, StoreError
from churn.data.contract import DatasetContract
from churn.data.delivery import Checked, Delivery, check
from churn.data.ingest import Source
from churn.data.validation import ValidationSettings
from tests.fakes.data.deliveries import in_parts

pytestmark = pytest.mark.slow

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "member_id",
        "event_time": {"column": "month", "arrived_at": "seen"},
        "label": {"column": "left", "positive": "Yes", "negative": "No", "window_days": 30},
        "columns": {
            "visits": {"type": "integer", "min": 0, "max": 31, "description": "visits a month"},
            "fee": {"type": "number", "nullable": True, "description": "monthly fee"},
            "plan": {"type": "categorical", "allowed": ["gold", "basic"], "description": "plan"},
        },
    }
)
ROW = {"member_id": "m0", "month": "2025-01-01", "seen": None, "visits": "4", "fee": "9", "plan": "gold", "left": "No"}
CHANGES: list[dict[str, Any]] = [
    {},
    {"fee": "much"},
    {"member_id": "twin", "visits": "1"},
    {"plan": "silver"},
    {"member_id": "copied", "seen": "2025-01-02"},
    {"visits": "99"},
    {"member_id": None},
    {"visits": "4.5", "month": "once"},
    {"member_id": "twin", "visits": "2"},
    {"member_id": "copied", "seen": "2025-01-02"},
    {"seen": "later", "visits": "-1"},
    {"member_id": "twin", "visits": "2"},
    {"member_id": None},
    {"left": "Maybe", "visits": "x"},
]
LINES = ("m1;too;many", "m2")


def table(*changes: dict[str, Any]) -> pa.Table:
    rows = [{**ROW, "member_id": f"m{position}", **change} for position, change in enumerate(changes)]
    return pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)


def checked(delivery: Delivery, kept: list[pa.Table] | None = None) -> Checked:
    quarantine = (lambda entries: None) if kept is None else kept.append
    return check(delivery, CONTRACT, ValidationSettings(), now=NOW, quarantine=quarantine)


def outcome(part_rows: int) -> tuple[Any, list[dict[str, Any]], list[tuple[Any, ...]]]:
    kept: list[pa.Table] = []
    result = checked(in_parts(Source("gym.csv", table(*CHANGES), LINES), part_rows), kept)
    (entries,) = kept
    return result.report, result.accepted().read_all().to_pylist(), sorted(map(repr, entries.to_pylist()))  # type: ignore[arg-type]


@pytest.mark.parametrize("part_rows", [6, 13])
def test_parts_are_judged_as_the_whole_is(part_rows: int) -> None:
    whole, parts = outcome(len(CHANGES)), outcome(part_rows)
    assert parts[0] == whole[0]
    assert parts[1:] == whole[1:]


def test_rows_that_repeat_others_are_found_across_parts() -> None:
    report, accepted, _ = outcome(5)
    assert report.copies == 3
    assert [row["member_id"] for row in accepted] == ["m0", "copied"]
    (twins,) = (rule for rule in report.rules if rule.rule == "stands once for each time")
    assert twins.broken == 2


def test_a_row_in_two_parts_breaks_a_rule_once_in_the_quarantine() -> None:
    kept: list[pa.Table] = []
    exact = [{"member_id": "m", "fee": text, "visits": "99"} for text in ("1", "1.0")]
    rows = table(*exact).set_column(4, "fee", pa.array([0.12345678901, 0.12345678902]))
    checked(in_parts(Source("gym.csv", rows), 1), kept)
    (entries,) = kept
    pairs = list(zip(entries["row_digest"].to_pylist(), entries["rule"].to_pylist(), strict=True))
    assert len(pairs) == len({*pairs})


def test_nothing_is_kept_of_a_table_that_cannot_be_read_to_its_end() -> None:
    def parts() -> Iterator[Source]:
        yield Source("gym.csv", table({"visits": "99"}))
        raise ContractError("gym.csv is not a CSV in UTF-8.")

    kept: list[pa.Table] = []
    with pytest.raises(ContractError, match="is not a CSV"):
        checked(Delivery("gym.csv", parts), kept)
    assert kept == []


def broken_in_part(number: int, reading: int) -> Delivery:
    """Return a table of five rows, each a part with a visit too many, one of which cannot be read at one reading."""
    readings = count(1)

    def parts() -> Iterator[Source]:
        at = next(readings)
        for row in range(5):
            if (row, at) == (number, reading):
                raise StoreError("gym.csv may not be read by this user.")
            yield Source("gym.csv", table({"member_id": f"m{row}", "visits": "99"}))

    return Delivery("gym.csv", parts)


def test_what_was_found_before_a_part_that_fails_stays_in_the_quarantine_and_the_message_says_so() -> None:
    kept: list[pa.Table] = []
    with pytest.raises(
        StoreError,
        match=r"may not be read by this user\. None of the rows was used; .*\(4 entries\) is in the quarantine",
    ):
        check(broken_in_part(4, 2), CONTRACT, ValidationSettings(), now=NOW, quarantine=kept.append, entries_at_once=2)
    assert [entries.num_rows for entries in kept] == [2, 2]


def test_a_part_that_fails_before_anything_was_kept_leaves_nothing() -> None:
    kept: list[pa.Table] = []
    with pytest.raises(StoreError, match=r"may not be read by this user\.$"):
        check(broken_in_part(1, 2), CONTRACT, ValidationSettings(), now=NOW, quarantine=kept.append, entries_at_once=2)
    assert kept == []


@pytest.mark.parametrize("later", [1, 3])
def test_a_table_that_changes_while_it_is_read_is_refused(later: int) -> None:
    sizes = iter([2, later])

    def parts() -> Iterator[Source]:
        for number in range(next(sizes)):
            yield Source("gym.csv", table({"member_id": f"m{number}"}))

    with pytest.raises(DataError, match=r"gym\.csv changed while it was read"):
        checked(Delivery("gym.csv", parts))


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ContractError, match=r"gym\.csv has no rows"):
        checked(in_parts(Source("gym.csv", table(ROW).slice(0, 0))))
