from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from churn.core.errors import ValidationFailed
from churn.data.contract import DatasetContract
from churn.data.ingest import Source, conform
from churn.data.scorable import scorable
from churn.data.validation import Validated, ValidationSettings, validate

pytestmark = pytest.mark.slow

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
CONTRACT = DatasetContract.model_validate(
    {
        "name": "gym",
        "description": "Members of a gym.",
        "entity_key": "member_id",
        "event_time": {"column": "month"},
        "label": {"column": "left", "positive": "Yes", "negative": "No", "window_days": 30},
        "columns": {
            "visits": {"type": "integer", "min": 0, "max": 31, "description": "visits a month"},
            "plan": {"type": "categorical", "allowed": ["gold", "basic"], "description": "plan"},
            "note": {"type": "categorical", "nullable": True, "description": "a note"},
        },
    }
)
ROW = {"member_id": "m0", "month": "2025-01-01", "visits": "4", "plan": "gold", "note": None, "left": "No"}


def check(
    *changes: dict[str, Any], share: float = 1.0, broken_lines: tuple[str, ...] = (), scoring: bool = False
) -> Validated:
    rows = [{**ROW, "member_id": f"m{position}", **change} for position, change in enumerate(changes)]
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    batch = conform(Source("gym.csv", table, broken_lines), CONTRACT)
    return validate(batch, CONTRACT, ValidationSettings(max_quarantine_share=share), now=NOW, scoring=scoring)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"member_id": None}, "member_id is never missing"),
        ({"month": None}, "transaction_ts is never missing"),
        ({"month": "2025-06-02"}, "transaction_ts does not lie in the future"),
        ({"visits": "-1"}, "visits lies between 0 and 31"),
        ({"visits": "32"}, "visits lies between 0 and 31"),
        ({"visits": "x"}, "visits is a finite number"),
        ({"visits": None}, "visits is never missing"),
        ({"plan": "silver"}, "plan is one of gold, basic"),
        ({"plan": ""}, "plan is never missing"),
        ({"left": "Maybe"}, "left is 'Yes', 'No' or not known yet"),
    ],
)
def test_a_broken_row_is_set_aside_with_its_rule_and_as_it_arrived(change: dict[str, Any], rule: str) -> None:
    result = check({}, change, {})
    assert result.report.accepted == 2
    (entry,) = result.quarantine.to_pylist()
    assert entry["rule"] == rule
    arrived = json.loads(entry["row"])
    assert {name: arrived[name] for name in change} == change


@pytest.mark.parametrize(
    "change", [{"visits": "0"}, {"visits": "31"}, {"month": "2025-06-01"}, {"left": None}, {"note": None}]
)
def test_values_at_the_bounds_and_allowed_blanks_pass(change: dict[str, Any]) -> None:
    assert check(change).report.quarantined == 0


def test_conflicting_rows_of_one_customer_and_time_are_both_set_aside() -> None:
    result = check({"member_id": "same", "visits": "1"}, {"member_id": "same", "visits": "2"}, {})
    assert result.report.quarantined == 2
    assert set(result.quarantine["rule"].to_pylist()) == {"member_id stands once for each time"}


def test_a_row_that_breaks_two_rules_is_one_row_and_two_entries() -> None:
    result = check({"visits": "99", "plan": "silver"}, {})
    assert (result.report.quarantined, result.quarantine.num_rows) == (1, 2)


def test_every_row_is_accepted_quarantined_or_a_copy() -> None:
    report = check({}, {"visits": "99"}, {"member_id": "m0"}, broken_lines=("a;b",)).report
    assert report.rows == report.accepted + report.quarantined + report.copies == 4
    assert (report.accepted, report.quarantined, report.copies) == (1, 2, 1)


def test_a_line_that_is_no_row_is_kept_in_the_quarantine() -> None:
    result = check({}, broken_lines=("m1,too,many",))
    assert result.quarantine.to_pylist()[0]["row"] == "m1,too,many"
    assert result.quarantine.to_pylist()[0]["rule"] == "the line has one value for each column"


def test_the_same_broken_rows_have_the_same_digests() -> None:
    first, second = (check({"visits": "99"}).quarantine["row_digest"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("allowed", "stops"), [(0.25, False), (0.24, True)])
def test_the_run_stops_above_the_allowed_share_and_not_at_it(allowed: float, stops: bool) -> None:
    report = check({"visits": "99"}, {}, {}, {}, share=allowed).report
    assert report.passed is not stops
    if stops:
        with pytest.raises(ValidationFailed, match=r"1 of 4 rows from gym\.csv .* visits lies between 0 and 31 .*'99'"):
            report.require()
    else:
        report.require()


def test_a_batch_without_a_single_good_row_stops_whatever_is_allowed() -> None:
    with pytest.raises(ValidationFailed, match="2 of 2 rows"):
        check({"visits": "99"}, {"visits": "98"}, share=1.0).report.require()


@pytest.mark.parametrize(
    "change",
    [{"visits": "-1"}, {"visits": "x"}, {"visits": None}, {"plan": "silver"}, {"plan": ""}, {"left": "Maybe"}],
)
def test_where_rows_are_only_scored_a_broken_value_is_counted_and_its_row_accepted(change: dict[str, Any]) -> None:
    result = check({}, change, scoring=True)
    assert (result.report.accepted, result.report.quarantined, result.quarantine.num_rows) == (2, 0, 0)
    (broken,) = result.report.broken_rules
    assert (broken.column, broken.broken, broken.set_aside) == (next(iter(change)), 1, False)


@pytest.mark.parametrize("change", [{"member_id": "NA"}, {"month": None}, {"month": "2025-06-02"}, {"month": "soon"}])
def test_where_rows_are_only_scored_what_is_no_customer_at_a_time_is_set_aside(change: dict[str, Any]) -> None:
    result = check({}, {**change, "plan": "silver"}, scoring=True, broken_lines=("m9",))
    assert (result.report.accepted, result.report.quarantined) == (1, 2)
    assert set(result.quarantine["column"].to_pylist()) & {"plan", "visits"} == set()
    assert {rule.column for rule in result.report.broken_rules if not rule.set_aside} == {"plan"}


def test_rows_to_score_keep_unknown_categories_and_lose_impossible_numbers_and_doubtful_outcomes() -> None:
    changes = [
        {},
        {"plan": "silver"},
        {"visits": "99"},
        {"visits": None},
        {"left": "Maybe"},
        {"note": None, "left": "Yes"},
    ]
    rows = scorable(check(*changes, scoring=True).accepted, CONTRACT)
    assert rows["plan"].tolist() == ["gold", "silver", "gold", "gold", "gold", "gold"]
    assert rows["visits"].fillna(-1).tolist() == [4, 4, -1, -1, 4, 4]
    assert rows["raw_label"].fillna("").tolist() == ["No", "", "", "", "", "Yes"]
