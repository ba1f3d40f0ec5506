"""The chain of records: whatever is changed, taken out, added or moved shows."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from pydantic import ValidationError

from churn.core.canonical import StoredFormat, canonical, digest
from churn.core.errors import StoreError
from churn.ports.ledger import RECORD_FORMAT, Decision, Entry, Record, breaks
from tests.fakes.ports.ledger import altered

AT = dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC)


def entry(**changes: Any) -> Entry:
    usual = {
        "kind": "approved",
        "model": "churn_gym",
        "version": 2,
        "champion": 1,
        "at": AT,
        "who": "ada",
        "why": "Good.",
    }
    return Entry.model_validate({**usual, **changes})


@pytest.fixture
def records() -> list[Decision]:
    made: list[Decision] = []
    for version in range(1, 6):
        numbers = {"profit": 0.1 * version}
        made.append(Decision.chained(entry(version=version, numbers=numbers), made[-1] if made else None))
    return made


def test_records_count_from_one_and_name_the_hash_before(records: list[Decision]) -> None:
    assert [record.sequence for record in records] == [1, 2, 3, 4, 5]
    assert [record.previous for record in records] == ["", *(record.hash for record in records[:-1])]
    assert list(breaks(records)) == []
    assert list(breaks([])) == []


def test_the_ids_are_unique_and_sort_as_the_records_do(records: list[Decision]) -> None:
    ids = [record.decision_id for record in records]
    assert sorted(set(ids)) == ids
    assert Decision.chained(entry(), None).decision_id != Decision.chained(entry(), None).decision_id


def test_a_record_that_went_through_json_has_the_same_text(records: list[Decision]) -> None:
    assert records
    for record in records:
        kept = Decision.model_validate_json(record.model_dump_json())
        assert kept == record
        assert digest(kept.text) == record.hash


@pytest.mark.parametrize(
    "change",
    [
        {"who": "mallory"},
        {"why": "Good"},
        {"version": 7},
        {"champion": None},
        {"kind": "rejected"},
        {"at": AT + dt.timedelta(microseconds=1)},
        {"numbers": {"profit": 0.30000000000000004}},
        {"digests": {"model": "x"}},
        {"verdicts": {"profit": "pass"}},
        {"model": "churn_pool"},
        {"decision_id": "000004-00000000"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_record_is_named(records: list[Decision], change: dict[str, Any]) -> None:
    records[3] = altered(records[3], **change)
    [found] = breaks(records)
    assert found.startswith("Record 4 (")
    assert "was altered" in found


def test_a_record_that_was_altered_and_sealed_again_no_longer_leads_to_the_next(records: list[Decision]) -> None:
    forged = altered(records[1], who="mallory")
    records[1] = Decision.read(forged.text, digest(forged.text))
    [found] = breaks(records)
    assert found == f"Record 3 ({records[2].decision_id}) does not follow the record before it."


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ([0], "Before record 2, 1 missing: 1 to 1."),
        ([2], "Before record 4, 1 missing: 3 to 3."),
        ([1, 2, 3], "Before record 5, 3 missing: 2 to 4."),
    ],
)
def test_missing_records_are_named(records: list[Decision], gone: list[int], told: str) -> None:
    assert list(breaks([record for index, record in enumerate(records) if index not in gone])) == [told]


def test_an_added_record_is_named(records: list[Decision]) -> None:
    twin = Decision.chained(entry(who="mallory"), records[2])
    found = list(breaks([*records[:4], twin, records[4]]))
    assert found == [
        f"Record 4 ({twin.decision_id}) is duplicated or out of order.",
        f"Record 5 ({records[4].decision_id}) does not follow the record before it.",
    ]


def test_exchanged_records_are_named(records: list[Decision]) -> None:
    records[1], records[2] = records[2], records[1]
    assert any("record 3, 1 missing" in found for found in breaks(records))
    assert any("Record 2" in found and "out of order" in found for found in breaks(records))


def test_times_are_told_in_utc_whatever_the_zone(records: list[Decision]) -> None:
    there = AT.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert entry(at=there) == entry()
    assert json.loads(entry(at=there).model_dump_json())["at"] == "2024-05-01T08:00:00Z"


@pytest.mark.parametrize(
    "change", [{"at": AT.replace(tzinfo=None)}, {"numbers": {"profit": float("nan")}}, {"kind": "x"}]
)
def test_what_cannot_be_recorded_exactly_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        entry(**change)


@pytest.mark.parametrize(("who", "policy"), [("policy:auto", True), ("policy:manual", True), ("ada", False)])
def test_the_settings_sign_their_decisions(who: str, policy: bool) -> None:
    assert entry(who=who).by_policy is policy


class LaterEntry(Entry):
    """The entry of a version of the project that records one thing more."""

    weather: str = "fine"


def test_a_field_that_comes_later_alters_no_record_that_was_stored(records: list[Decision]) -> None:
    class LaterRecord(Record, LaterEntry):
        """A record of that version."""

    reader = StoredFormat("record", LaterRecord, newest=RECORD_FORMAT.newest, error=StoreError)
    assert [reader.read(record.text).weather for record in records] == ["fine"] * 5
    later = LaterRecord(**entry().model_dump(), decision_id="000006-x", sequence=6, previous=records[-1].hash)
    text = reader.write(later)
    last = Decision.model_construct(**later.model_dump(), text=text, hash=digest(text))
    assert list(breaks([*records, last])) == []


def test_a_record_of_a_newer_version_is_refused_in_words(records: list[Decision]) -> None:
    text = canonical({**json.loads(records[0].text), "format": RECORD_FORMAT.newest + 1})
    with pytest.raises(StoreError, match=r"record of the ledger has format \d+.*upgrade"):
        Decision.read(text, digest(text))
