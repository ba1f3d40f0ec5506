"""Two writers of one ledger at once, each a process with an engine of its own on the same Delta files."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from adapters.databricks.catalog import UnityCatalog
from adapters.databricks.lease import Lease
from adapters.databricks.ledger import UnityLedger
from churn.core.errors import StoreError
from churn.ports.ledger import Entry, breaks
from tests.databricks.sail import SailCatalog, sail_catalog

ROOT = Path(__file__).parents[3]
ROUNDS = 5
WRITER = """
import sys
from pathlib import Path
from adapters.databricks.ledger import UnityLedger
from churn.core.errors import WriteConflict
from tests.databricks.on_spark.test_unity_ledger import entry
from tests.databricks.sail import sail_catalog

ledger = UnityLedger(sail_catalog(Path(sys.argv[1])))
ledger.read()
print("ready", flush=True)
for line in sys.stdin:
    try:
        ledger.append(entry(int(sys.argv[2])), after=line.strip())
        print("wrote", flush=True)
    except WriteConflict:
        print("told", flush=True)
"""


def entry(version: int) -> Entry:
    at = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    return Entry(kind="approved", model="churn", version=version, champion=None, at=at, who="ada", why="Good.")


@pytest.fixture
def catalog() -> SailCatalog:
    return sail_catalog()


def test_of_two_processes_that_decide_at_once_one_writes_and_the_other_is_told(catalog: SailCatalog) -> None:
    ledger = UnityLedger(catalog)
    last = ledger.append(entry(0), after="").hash
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(catalog.path("decisions").parent), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        for number in (1, 2)
    ]
    try:
        assert [_said(writer) for writer in writers] == ["ready", "ready"]
        for _ in range(ROUNDS):
            for writer in writers:
                assert writer.stdin is not None
                writer.stdin.write(f"{last}\n")
                writer.stdin.flush()
            assert sorted(_said(writer) for writer in writers) == ["told", "wrote"]
            last = ledger.read()[-1].hash
    finally:
        for writer in writers:
            writer.communicate("")
    records = ledger.read()
    assert len(records) == 1 + ROUNDS
    assert list(breaks(records)) == []


def _said(writer: subprocess.Popen[str]) -> str:
    assert writer.stdout is not None
    return writer.stdout.readline().strip()


def test_delta_refuses_to_change_a_record(catalog: SailCatalog) -> None:
    UnityLedger(catalog).append(entry(1), after="")
    with pytest.raises(StoreError, match="append-only"):
        catalog.run("decisions", f"DELETE FROM {catalog.name('decisions')} WHERE sequence = 1")


class AnswerLost(SailCatalog):
    """Does what it is asked, and then says that it failed."""

    def run(self, table: str, statement: str):  # type: ignore[no-untyped-def]
        answer = super().run(table, statement)
        if statement.startswith("MERGE"):
            raise StoreError("the answer did not arrive")
        return answer


def test_a_record_whose_answer_is_lost_is_there_once(catalog: SailCatalog) -> None:
    ledger = UnityLedger(AnswerLost(catalog.session, catalog.schema))
    record = ledger.append(entry(1), after="")
    assert ledger.read() == [record]


def test_a_lease_is_held_by_one_and_renewed(catalog: SailCatalog) -> None:
    events: list[str] = []

    def second() -> None:
        with Lease(catalog, seconds=2).held("deciding"):
            events.append("second in")

    with Lease(catalog, seconds=2).held("deciding"):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(3)  # longer than the lease lasts without a sign of life
        events.append("first done")
    waiting.join(30)
    assert events == ["first done", "second in"]


def test_whoever_dies_lets_go(catalog: SailCatalog) -> None:
    _left_by_a_dead_holder(catalog)
    began = time.monotonic()
    with Lease(catalog, seconds=2).held("deciding"):
        assert time.monotonic() - began > 0.5


def _left_by_a_dead_holder(catalog: UnityCatalog) -> None:
    with Lease(catalog, seconds=2).held("deciding"):
        pass
    name = catalog.name("churn_leases")
    catalog.run(
        "churn_leases", f"INSERT INTO {name} VALUES ('deciding', 'dead', current_timestamp() + INTERVAL 2 SECONDS)"
    )
