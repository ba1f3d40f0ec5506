"""What the laptop's feature store does with writers at once, killed processes and disks that refuse."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.local.delta_table import DeltaVersion, Outrun
from adapters.local.feature_store import LocalFeatureStore
from adapters.local.vacuum import committed_files
from churn.core.errors import StoreError, WriteConflict
from churn.ports.tables import TableSpec
from tests.adapters.local.delta_tables import FEATURES, KEY, START, assert_whole, files, some
from tests.forks import Python
from tests.permissions import may_only_be_read, public_folder

# What every child process starts with.
CHILD = """
import os, signal, sys
from pathlib import Path
from adapters.local import delta_table
from adapters.local.feature_store import LocalFeatureStore
from churn.core.errors import StoreError
from tests.adapters.local.delta_tables import FEATURES, some
store = LocalFeatureStore(Path(sys.argv[1]), "telco")
"""


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    return LocalFeatureStore(tmp_path, "telco")


def child(root: Path, script: str) -> Python:
    return Python(CHILD + script, str(root))


def test_two_processes_that_write_at_once_both_succeed(store: LocalFeatureStore, tmp_path: Path) -> None:
    script = "for step in range(8): store.upsert(FEATURES, some({first} + 5 * step, 10))"
    writers = [child(tmp_path, script.format(first=first)) for first in (0, 20)]
    for writer in writers:
        _, said = writer.communicate(timeout=120)
        assert writer.returncode == 0, said
    ref = store.latest("features")
    assert ref.rows == 65
    assert sorted(store.read(ref, ["x"])["x"].to_pylist()) == list(range(65))
    assert_whole(store, ref)


def test_threads_may_share_a_store(store: LocalFeatureStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda first: store.upsert(FEATURES, some(first, 10)), range(0, 40, 10)))
    ref = store.latest("features")
    assert (ref.rows, ref.version) == (40, 3)
    assert_whole(store, ref)


def interrupted(root: Path, times: float, write: Callable[[LocalFeatureStore, int], object]) -> LocalFeatureStore:
    """Return a store whose first `times` attempts to write are each overtaken by another writer."""
    other, calls = LocalFeatureStore(root, "telco"), iter(range(10**6))

    def clock() -> dt.datetime:
        # The store looks at the clock between reading the newest version and writing the next.
        call = next(calls)
        if call < times:
            write(other, call)
        return START

    return LocalFeatureStore(root, "telco", clock=clock)


@pytest.mark.parametrize("there", [True, False])
def test_a_writer_that_was_overtaken_writes_after_the_other(tmp_path: Path, there: bool) -> None:
    if there:
        LocalFeatureStore(tmp_path, "telco").upsert(FEATURES, some(0, 1))
    store = interrupted(tmp_path, 1, lambda other, _: other.upsert(FEATURES, some(0, 5)))
    ref = store.upsert(FEATURES, some(4, 5, note=["n"] * 5))
    assert ref.rows == 9
    assert_whole(store, ref)


def test_a_writer_that_is_always_overtaken_gives_up_and_has_written_nothing(tmp_path: Path) -> None:
    first = LocalFeatureStore(tmp_path, "telco").upsert(FEATURES, some(0, 1))
    store = interrupted(tmp_path, float("inf"), lambda other, call: other.replace(FEATURES, some(100 + call, 1)))
    with pytest.raises(WriteConflict, match=r"features was changed by others at each of 20 attempts: run again"):
        store.upsert(FEATURES, some(50, 1))
    assert store.latest("features").version == first.version + 20
    assert store.read(store.latest("features"), ["x"])["x"].to_pylist() == [119.0]
    assert {*(tmp_path / "telco" / "features").rglob("*.parquet")} == committed_files(tmp_path / "telco" / "features")


@pytest.mark.parametrize("commit", ["overwrite", "exchange"])
def test_a_table_that_loses_every_race_leaves_no_files(
    store: LocalFeatureStore, tmp_path: Path, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.upsert(FEATURES, some(0, 10))
    before = {*tmp_path.rglob("*.parquet")}

    def lose(*_: object) -> None:
        raise Outrun

    monkeypatch.setattr(DeltaVersion, commit, lose)
    write = store.replace if commit == "overwrite" else store.upsert
    with pytest.raises(WriteConflict, match="changed by others at each of 20 attempts"):
        write(FEATURES, some(5, 10))
    assert {*tmp_path.rglob("*.parquet")} == before


def test_streamed_rows_leave_no_files_but_those_of_the_table(store: LocalFeatureStore, tmp_path: Path) -> None:
    for first in (0, 5, 5):
        store.upsert(FEATURES, some(first, 10).to_reader(max_chunksize=3))
        folder = tmp_path / "telco" / "features"
        assert {*folder.rglob("*.parquet")} == committed_files(folder)


def test_what_killed_writers_left_is_removed_at_once_where_nobody_is_at_work(tmp_path: Path) -> None:
    script = """
store.upsert(FEATURES, some(0, 1000))
delta_table.DeltaVersion.overwrite = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.replace(FEATURES, some(500, 1000))
"""
    child(tmp_path, script).communicate(timeout=60)
    (tmp_path / "telco" / ".spill-1").mkdir()
    (tmp_path / "telco" / ".campaign.lock").touch()
    store = LocalFeatureStore(tmp_path, "telco")
    assert set(store.vacuum(dt.datetime.now(dt.UTC) - dt.timedelta(days=30))) == {"features"}
    assert {path.name for path in (tmp_path / "telco").iterdir()} == {"features"}
    folder = tmp_path / "telco" / "features"
    assert {*folder.rglob("*.parquet")} == committed_files(folder)
    assert_whole(store, store.latest("features"))


def test_what_killed_writers_and_queries_left_is_removed_after_a_day_where_somebody_is_at_work(
    store: LocalFeatureStore, tmp_path: Path
) -> None:
    ref = store.upsert(FEATURES, some(0, 1000))
    script = """
delta_table.DeltaVersion.overwrite = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.replace(FEATURES, some(500, 1000))
"""
    child(tmp_path, script).communicate(timeout=60)
    spill = tmp_path / "telco" / ".spill-1"
    spill.mkdir()
    (spill / "block").write_bytes(b"x" * 100)
    left = [*({*tmp_path.rglob("*.parquet")} - committed_files(tmp_path / "telco" / "features")), spill]
    assert len(left) > 1
    now = dt.datetime.now(dt.UTC)
    assert store.vacuum(now) == {}
    for path in left:
        os.utime(path, (now.timestamp() - 90_000,) * 2)
    freed = store.vacuum(now - dt.timedelta(days=30))
    assert (set(freed), freed[""]) == ({"", "features"}, 100)
    assert not any(path.exists() for path in left)
    assert_whole(store, ref)


def test_a_table_whose_log_another_program_has_shortened_keeps_its_files(
    store: LocalFeatureStore, tmp_path: Path
) -> None:
    for number in range(3):
        store.replace(FEATURES, some(number, 10))
    (tmp_path / "telco" / "features" / "_delta_log" / f"{0:020}.json").unlink()
    assert store.vacuum(dt.datetime.now(dt.UTC)) == {}


@pytest.mark.parametrize("last_act", ["exchange", "overwrite"])
def test_a_writer_killed_before_its_commit_leaves_the_last_version(
    store: LocalFeatureStore, tmp_path: Path, last_act: str
) -> None:
    ref = store.upsert(FEATURES, some(0, 1000))
    script = f"""
delta_table.DeltaVersion.{last_act} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
(store.upsert if "{last_act}" == "exchange" else store.replace)(FEATURES, some(500, 1000))
"""
    writer = child(tmp_path, script)
    writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    assert store.latest("features") == ref
    assert_whole(store, ref)
    assert store.upsert(FEATURES, some(500, 1000)).rows == 1500


def test_a_writer_killed_at_any_moment_leaves_a_whole_version(store: LocalFeatureStore, tmp_path: Path) -> None:
    writer = child(
        tmp_path, "for n in range(10**6):\n    print(store.upsert(FEATURES, some(n, 5000)).version, flush=True)"
    )
    for line in writer.stdout:
        if int(line) == 3:
            break
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    ref = store.latest("features")
    assert ref.version >= 3
    assert_whole(store, ref)
    assert store.upsert(FEATURES, some(10**6, 1)).rows == ref.rows + 1


def test_a_disk_that_takes_no_more_says_so_and_keeps_the_last_version(store: LocalFeatureStore, tmp_path: Path) -> None:
    ref = store.upsert(FEATURES, some(0, 10))
    before = files(tmp_path)
    script = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for write in (store.upsert, store.replace):
    try:
        write(FEATURES, some(5, 100_000))
    except StoreError as error:
        print(error)
"""
    out, err = child(tmp_path, script).communicate(timeout=60)
    told = out.splitlines()
    assert len(told) == 2, err
    assert all(f"{tmp_path}/telco/features cannot be used: files of this size are not allowed" in line for line in told)
    assert store.latest("features") == ref
    assert files(tmp_path) == before
    assert_whole(store, ref)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder with a table that may only be read."""
    with public_folder() as folder:
        LocalFeatureStore(folder, "telco").upsert(FEATURES, some(0, 3))
        with may_only_be_read(folder):
            yield folder


def test_a_folder_that_may_only_be_read_says_so_and_can_be_read(unprivileged: Path) -> None:
    store = LocalFeatureStore(unprivileged, "telco")
    for write in (store.upsert, store.replace):
        with pytest.raises(StoreError, match=r"features cannot be used: this user may not write there; change"):
            write(FEATURES, some(0, 4))
    with pytest.raises(StoreError, match=r"new cannot be used: this user may not write there; change"):
        store.upsert(TableSpec(name="new", key=KEY), some(0, 4))
    assert store.read(store.latest("features"), ["x"])["x"].to_pylist() == [0.0, 1.0, 2.0]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "telco").write_text("a file")
    with pytest.raises(StoreError, match=r"telco/features cannot be used: a file is in the way"):
        LocalFeatureStore(tmp_path, "telco").upsert(FEATURES, some(0, 1))
