"""What every ledger of decisions keeps of its port's promises."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from adapters.local.decision_ledger import LocalDecisionLedger
from churn.core.canonical import digest
from churn.core.errors import WriteConflict
from churn.ports.ledger import RECORD_FORMAT, DecisionLedger, Entry, breaks
from tests.fakes.ports.ledger import InMemoryLedger

AT = dt.datetime(2024, 5, 1, 8, 30, 15, 123456, tzinfo=dt.UTC)


def in_memory(folder: Path) -> DecisionLedger:
    return InMemoryLedger()


def on_disk(folder: Path) -> DecisionLedger:
    return LocalDecisionLedger(folder, "gym")


def in_unity(folder: Path) -> DecisionLedger:
    from adapters.databricks.ledger import UnityLedger
    from tests.databricks.sail import sail_catalog

    return UnityLedger(sail_catalog())


@pytest.fixture(params=[in_memory, on_disk, *([in_unity] if find_spec("pysail") else [])])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> DecisionLedger:
    make: Callable[[Path], DecisionLedger] = request.param
    return make(tmp_path)


def entry(version: int = 1, **changes: Any) -> Entry:
    usual = {"kind": "approved", "model": "churn_gym", "champion": None, "at": AT, "who": "ada", "why": "Good."}
    return Entry.model_validate({**usual, "version": version, **changes})


def test_a_new_ledger_is_empty(ledger: DecisionLedger) -> None:
    assert ledger.read() == []


def test_what_is_appended_is_read_in_order_and_chained(ledger: DecisionLedger) -> None:
    last = ""
    appended = []
    for version in range(1, 12):
        appended.append(ledger.append(entry(version), after=last))
        last = appended[-1].hash
    assert ledger.read() == appended
    assert [record.sequence for record in appended] == list(range(1, 12))
    assert [record.previous for record in appended] == ["", *(record.hash for record in appended[:-1])]
    assert list(breaks(ledger.read())) == []


def test_every_value_comes_back_as_it_was(ledger: DecisionLedger) -> None:
    given = entry(
        2**40,
        champion=7,
        who="Zoë 王 'quoted' \"twice\" \\ $x {y} %s",
        why="; DROP TABLE decisions; -- 🙂",
        at=AT.astimezone(dt.timezone(dt.timedelta(hours=-7))),
        numbers={"gain": 0.1 + 0.2, "tiny": 5e-324, "whole": 3.0, "no gain": -0.0},
        verdicts={"profit": "pass", "slices": "fail", "latency": "error"},
        digests={"model": "ab" * 32, "": "", "ü": "é"},
    )
    ledger.append(given, after="")
    [record] = ledger.read()
    assert Entry.model_validate({name: getattr(record, name) for name in Entry.model_fields}) == given
    assert record.at == AT
    assert record.hash == digest(record.text)
    assert RECORD_FORMAT.write(RECORD_FORMAT.read(record.text)) == record.text


def test_whoever_is_not_up_to_date_writes_nothing(ledger: DecisionLedger) -> None:
    with pytest.raises(WriteConflict, match="nothing was written"):
        ledger.append(entry(), after="f" * 64)
    assert ledger.read() == []
    first = ledger.append(entry(1), after="")
    second = ledger.append(entry(2), after=first.hash)
    for stale in ("", first.hash, "f" * 64):
        with pytest.raises(WriteConflict, match="nothing was written"):
            ledger.append(entry(9), after=stale)
    assert ledger.read() == [first, second]


def test_of_writers_at_once_one_writes(ledger: DecisionLedger) -> None:
    first = ledger.append(entry(0), after="")

    def write(version: int) -> bool:
        try:
            ledger.append(entry(version), after=first.hash)
        except WriteConflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(1, 5))) == 1
    assert len(ledger.read()) == 2
    assert list(breaks(ledger.read())) == []


def test_one_at_a_time_decides_and_the_next_one_waits(ledger: DecisionLedger) -> None:
    seen: list[str] = []

    def decide(name: str) -> None:
        with ledger.exclusive():
            seen.append(f"{name} in")
            time.sleep(0.05)
            seen.append(f"{name} out")

    threads = [threading.Thread(target=decide, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 6
    assert all(seen[index].split()[0] == seen[index + 1].split()[0] for index in (0, 2, 4))


def test_who_fails_lets_the_next_one_in(ledger: DecisionLedger) -> None:
    def fail() -> None:
        with ledger.exclusive():
            raise ZeroDivisionError("while deciding")

    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="while deciding"):
            fail()
    with ledger.exclusive():
        ledger.append(entry(), after="")
    assert len(ledger.read()) == 1
