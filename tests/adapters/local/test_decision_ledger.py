"""What the laptop's ledger does with killed processes, disks that refuse, and hands that reach into its table."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from adapters.local.decision_ledger import LocalDecisionLedger
from adapters.local.delta_table import DeltaVersion
from adapters.local.feature_store import LocalFeatureStore
from churn.core.errors import StoreError, WriteConflict
from churn.ports.ledger import breaks
from churn.ports.tables import TableSpec
from tests.adapters.local.delta_tables import files
from tests.contract.test_decision_ledger import entry
from tests.forks import Python
from tests.permissions import may_only_be_read, public_folder

CHILD = """
import os, signal, sys
from pathlib import Path
from adapters.local import decision_ledger
from adapters.local.decision_ledger import LocalDecisionLedger
from adapters.local.delta_table import DeltaVersion
from churn.core.errors import StoreError, WriteConflict
from tests.contract.test_decision_ledger import entry
ledger = LocalDecisionLedger(Path(sys.argv[1]), "gym")
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
def last(): return records[-1].hash if (records := ledger.read()) else ""
"""


@pytest.fixture
def ledger(tmp_path: Path) -> LocalDecisionLedger:
    return LocalDecisionLedger(tmp_path, "gym")


def filled(ledger: LocalDecisionLedger, records: int) -> str:
    """Append records and return the hash of the last."""
    last = ""
    for version in range(1, records + 1):
        last = ledger.append(entry(version), after=last).hash
    return last


def add_by_hand(root: Path, **changes: object) -> None:
    """Append a copy of the first row, with changes, as any program that knows Delta can."""
    path = root / "gym" / "decisions"
    there = DeltaTable(path).to_pyarrow_table().sort_by("sequence")
    row = there.slice(0, 1).to_pylist()[0] | changes
    write_deltalake(path, pa.Table.from_pylist([row], there.schema), mode="append")


def child(root: Path, script: str) -> Python:
    return Python(CHILD + script, str(root))


def test_the_table_is_read_like_the_others(ledger: LocalDecisionLedger, tmp_path: Path) -> None:
    filled(ledger, 3)
    store = LocalFeatureStore(tmp_path, "gym")
    ref = store.latest("decisions")
    assert (ref.rows, ref.version, ref.key) == (3, 2, ("decision_id",))
    rows = store.read(ref)
    assert rows["sequence"].to_pylist() == [1, 2, 3]
    assert rows["hash"].to_pylist() == [record.hash for record in ledger.read()]
    assert store.replace(TableSpec(name="copy", key=ref.key), rows).content_id == ref.content_id


def test_the_table_takes_no_change_of_what_is_there(ledger: LocalDecisionLedger, tmp_path: Path) -> None:
    filled(ledger, 2)
    before, table = ledger.read(), DeltaTable(tmp_path / "gym" / "decisions")
    with pytest.raises(DeltaError, match="append-only"):
        table.delete("sequence = 1")
    with pytest.raises(DeltaError, match="append-only"):
        table.update(new_values={"who": "mallory"}, predicate="sequence = 1")
    with pytest.raises(StoreError, match="append-only"):
        LocalFeatureStore(tmp_path, "gym").replace(
            TableSpec(name="decisions", key=("who",)), pa.table({"who": ["eve"]})
        )
    assert ledger.read() == before


def test_many_files_are_joined_and_every_record_stays(tmp_path: Path) -> None:
    ledger, table = LocalDecisionLedger(tmp_path, "gym", many=3), tmp_path / "gym" / "decisions"
    appended = []
    for version in range(1, 10):
        appended.append(ledger.append(entry(version), after=appended[-1].hash if appended else ""))
        assert len(DeltaTable(table).file_uris()) <= 3
        assert ledger.read() == appended
    store = LocalFeatureStore(tmp_path, "gym")
    ref = store.latest("decisions")
    assert (ref.rows, ref.key) == (9, ("decision_id",))
    assert store.replace(TableSpec(name="copy", key=ref.key), store.read(ref)).content_id == ref.content_id
    with pytest.raises(DeltaError, match="append-only"):
        DeltaTable(table).delete("sequence = 1")


def test_a_row_that_another_program_adds_breaks_the_chain_and_can_be_read(
    ledger: LocalDecisionLedger, tmp_path: Path
) -> None:
    last = filled(ledger, 2)
    add_by_hand(tmp_path, sequence=3, who="mallory")
    assert [record.who for record in ledger.read()] == ["ada", "ada", "mallory"]
    assert len(list(breaks(ledger.read()))) == 2
    with pytest.raises(WriteConflict, match="nothing was written"):
        ledger.append(entry(9), after=last)
    ledger.append(entry(9), after=ledger.read()[-1].hash)
    assert LocalFeatureStore(tmp_path, "gym").latest("decisions").rows == 4


def test_a_table_that_holds_no_decisions_is_named(ledger: LocalDecisionLedger, tmp_path: Path) -> None:
    write_deltalake(tmp_path / "gym" / "decisions", pa.table({"decision_id": ["1"], "why": ["?"]}))
    with pytest.raises(StoreError, match="gym/decisions holds no decisions: it lacks sequence, at, kind"):
        ledger.read()


def test_a_record_that_makes_no_sense_is_named(ledger: LocalDecisionLedger, tmp_path: Path) -> None:
    filled(ledger, 1)
    add_by_hand(tmp_path, sequence=2, numbers="{")
    with pytest.raises(StoreError, match=r"Record 2 \(.*\) of the table at .* cannot be read: it is no decision"):
        ledger.read()


@pytest.mark.parametrize(
    ("there", "moment"),
    [(2, "before the file"), (0, "before the commit"), (2, "before the commit"), (2, "after the commit")],
)
def test_a_killed_writer_leaves_its_record_or_nothing(
    ledger: LocalDecisionLedger, tmp_path: Path, there: int, moment: str
) -> None:
    filled(ledger, there)
    before = ledger.read()
    script = {
        "before the file": "decision_ledger.stage = die",
        "before the commit": "DeltaVersion.create = DeltaVersion.exchange = die",
        "after the commit": "flush = decision_ledger._flush\n"
        "decision_ledger._flush = lambda *paths: die() if '_delta_log' in str(paths) else flush(*paths)",
    }[moment]
    writer = child(tmp_path, f"{script}\nledger.append(entry(9), after=last())")
    _, said = writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL, said
    records = ledger.read()
    assert records[:there] == before
    assert [record.version for record in records[there:]] == ([9] if moment == "after the commit" else [])
    ledger.append(entry(10), after=records[-1].hash if records else "")
    assert list(breaks(ledger.read())) == []


def test_a_killed_decider_lets_the_next_one_in(ledger: LocalDecisionLedger, tmp_path: Path) -> None:
    decider = child(tmp_path, "with ledger.exclusive():\n    print('in', flush=True)\n    sys.stdin.read()")
    assert decider.stdout.readline() == "in\n"
    decider.kill()
    decider.communicate()
    with ledger.exclusive():
        assert filled(ledger, 1)


def test_a_commit_whose_aftermath_fails_is_a_commit(
    ledger: LocalDecisionLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = filled(ledger, 1)
    exchange = DeltaVersion.exchange

    def fail_late(*arguments: object) -> None:
        exchange(*arguments)  # type: ignore[arg-type]
        raise DeltaError("the checkpoint could not be written")

    monkeypatch.setattr(DeltaVersion, "exchange", fail_late)
    assert ledger.append(entry(2), after=last).sequence == 2
    assert [record.version for record in ledger.read()] == [1, 2]


def test_a_disk_that_takes_no_more_says_so_and_nothing_is_half_written(
    ledger: LocalDecisionLedger, tmp_path: Path
) -> None:
    filled(ledger, 2)
    before, there = ledger.read(), files(tmp_path)
    script = """
import resource
after = last()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    ledger.append(entry(3), after=after)
except StoreError as error:
    print(error)
"""
    told, err = child(tmp_path, script).communicate(timeout=60)
    assert f"{tmp_path}/gym/decisions cannot be used: files of this size are not allowed here; raise" in told, err
    assert (ledger.read(), files(tmp_path)) == (before, there)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder with a ledger that may only be read."""
    with public_folder() as folder:
        filled(LocalDecisionLedger(folder, "gym"), 2)
        with may_only_be_read(folder):
            yield folder


def test_a_ledger_that_may_only_be_read_says_so_and_can_be_read(unprivileged: Path) -> None:
    ledger = LocalDecisionLedger(unprivileged, "gym")
    records = ledger.read()
    assert len(records) == 2
    with pytest.raises(StoreError, match=r"decisions cannot be used: this user may not write there; change"):
        ledger.append(entry(3), after=records[-1].hash)
    with (
        pytest.raises(StoreError, match=r"decisions cannot be used: this user may not write there"),
        ledger.exclusive(),
    ):
        pass
    assert ledger.read() == records


def test_a_commit_that_is_refused_leaves_no_file_behind(unprivileged: Path) -> None:
    table, user = unprivileged / "gym" / "decisions", os.geteuid()
    os.seteuid(os.getuid())
    table.chmod(0o777)
    os.seteuid(user)
    ledger, there = LocalDecisionLedger(unprivileged, "gym"), files(unprivileged)
    with pytest.raises(StoreError, match=r"decisions cannot be used: this user may not write there"):
        ledger.append(entry(3), after=ledger.read()[-1].hash)
    assert files(unprivileged) == there
