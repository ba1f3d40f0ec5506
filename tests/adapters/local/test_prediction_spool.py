"""The prediction log on a disk: what a kill, a full disk and a damaged file leave."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.local.feature_store import LocalFeatureStore
from adapters.local.prediction_spool import LocalPredictionLog, read_segment
from churn.core.errors import StoreError
from churn.core.progress import LOGGER
from churn.data.tables import TABLES
from churn.ports.prediction_log import PredictionWriter
from tests.fakes.data.answered import answered as row
from tests.forks import Python

PREDICTIONS = TABLES["predictions"].spec("member_id")
PROCESS = """
import os, sys, threading
from pathlib import Path
from tests.adapters.local.test_prediction_spool import log_in
from tests.fakes.data.answered import answered as row

log, name = log_in(Path(sys.argv[1])), sys.argv[2]
print("begun", flush=True)
if name == "mover":
    while True:
        log.move()
writer = log.writer(max_bytes=int(sys.argv[3]), when_full="drop_new", synced=False)

def answer(part):
    number = 0
    while True:
        requests = f"{name}-{part}-{number}"
        if writer.append([row(requests), row(requests, role="shadow")]):
            os.write(1, f"{requests}\\n".encode())  # the answer that a client receives
        number += 1

for part in range(2):
    threading.Thread(target=answer, args=(part,), daemon=True).start()
threading.Event().wait()
"""


def log_in(folder: Path) -> LocalPredictionLog:
    return LocalPredictionLog(folder / "log", LocalFeatureStore(folder / "tables", "gym"), PREDICTIONS, "member_id")


def writer_in(folder: Path, **changed: object) -> PredictionWriter:
    options = {"max_bytes": 10_000_000, "when_full": "drop_new", "synced": False, **changed}
    return log_in(folder).writer(**options)  # type: ignore[arg-type]


def customers(folder: Path) -> list[str]:
    store = LocalFeatureStore(folder / "tables", "gym")
    rows = store.read(store.latest(PREDICTIONS.name), ["member_id", "batch_id", "row_number"]).to_pylist()
    assert len({(found["batch_id"], found["row_number"]) for found in rows}) == len(rows)
    return [found["member_id"] for found in rows]


def segments(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "log").iterdir() if path.name != "dropped")


class Killed:
    """Processes that log or move, each killed after a while that nobody chose, and another one in its place."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._draw = folder, random.Random(seed)
        self.received: list[str] = []

    def run(self, name: str, max_bytes: int) -> None:
        with Python(PROCESS, str(self._folder), name, str(max_bytes)) as process:
            assert process.stdout.readline() == "begun\n"
            threading.Timer(self._draw.uniform(0.02, 0.6), process.kill).start()
            self.received += [line.strip() for line in process.stdout if line.endswith("\n")]
        assert process.returncode == -signal.SIGKILL


def test_killed_at_any_time_nothing_that_was_answered_is_lost_or_doubled(tmp_path: Path) -> None:
    killed = Killed(tmp_path, seed=time.time_ns())
    plans = [["writer0", "writer1"], ["mover", "mover", "mover"]]
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(lambda plan: [killed.run(name, 5_000_000) for name in plan], plan) for plan in plans]
    for plan in done:
        plan.result()
    log_in(tmp_path).move()
    logged = customers(tmp_path)
    assert len(killed.received) > 100
    assert {*killed.received} <= {*logged}
    assert len(logged) == 2 * len({*logged}), "each request has two rows, and is there as a whole"
    assert segments(tmp_path) == []


def test_a_kill_between_the_commit_and_the_removal_of_a_segment_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer_in(tmp_path).append([row("a"), row("b")])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _killed)
        with pytest.raises(KeyboardInterrupt):
            log_in(tmp_path).move()
    assert (sorted(customers(tmp_path)), len(segments(tmp_path))) == (["a", "b"], 1)
    version = LocalFeatureStore(tmp_path / "tables", "gym").latest(PREDICTIONS.name)
    assert log_in(tmp_path).move() == 2
    assert LocalFeatureStore(tmp_path / "tables", "gym").latest(PREDICTIONS.name) == version
    assert segments(tmp_path) == []


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_torn_last_record_was_never_logged_and_the_ones_before_it_are_moved(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    writer.append([row("a")])
    writer.append([row("b"), row("c")])
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    first = whole.index(b"ROWS", whole.index(b"ROWS") + 4)
    for end in range(len(whole)):
        found = read_segment(whole[:end], "x")
        assert found.rows["customer"].to_pylist() == (["a"] if end >= first else [])
        assert found.damaged == 0
    segment.write_bytes(whole[:-1])
    assert log_in(tmp_path).counts().waiting == 1
    assert log_in(tmp_path).move() == 1
    assert (customers(tmp_path), segments(tmp_path)) == (["a"], [])


@pytest.mark.parametrize("position", [0, 4, 12, 60])  # mark, size, checksum, rows
def test_damage_costs_the_record_that_it_is_in(tmp_path: Path, position: int, progress: list[str]) -> None:
    writer = writer_in(tmp_path)
    for name in "abc":
        writer.append([row(name)])
    (segment,) = segments(tmp_path)
    content = bytearray(segment.read_bytes())
    content[content.index(b"ROWS", content.index(b"ROWS") + 4) + position] ^= 1
    segment.write_bytes(content)
    assert log_in(tmp_path).move() == 2
    assert sorted(customers(tmp_path)) == ["a", "c"]
    assert segments(tmp_path) == []
    (said,) = progress
    assert "are damaged, and what they held is lost" in said


@pytest.fixture
def progress() -> Iterator[list[str]]:
    said: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    listening = Listening()
    logging.getLogger(LOGGER).addHandler(listening)
    logging.getLogger(LOGGER).setLevel(logging.INFO)
    yield said
    logging.getLogger(LOGGER).removeHandler(listening)


def test_a_segment_of_another_format_is_refused_and_stays(tmp_path: Path) -> None:
    writer_in(tmp_path).append([row("a")])
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes().replace(b"predictions 1", b"predictions 2"))
    for act in (log_in(tmp_path).move, log_in(tmp_path).counts):
        with pytest.raises(StoreError, match="move it with the version that wrote it"):
            act()
    assert len(segments(tmp_path)) == 1


def test_a_full_disk_costs_no_row_that_is_logged_and_is_over_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_in(tmp_path)
    assert writer.append([row("a")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _torn(os.write))
        assert not writer.append([row("b")])
    assert writer.trouble == (
        f"Predictions are not logged (No space left on device): see that {tmp_path / 'log'} can be written and its "
        "disk has room."
    )
    assert not writer.append([row("c")]), "a disk that was full is not asked at once again"
    assert (writer.dropped, log_in(tmp_path).counts().dropped) == (2, 2)
    later = time.monotonic() + 2
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert writer.append([row("d")])
    assert writer.trouble is None
    assert log_in(tmp_path).move() == 2
    assert sorted(customers(tmp_path)) == ["a", "d"]


def _torn(write):  # type: ignore[no-untyped-def]
    return lambda file, content: write(file, content[: len(content) // 2])


@pytest.mark.parametrize("policy", ["drop_new", "refuse"])
def test_a_disk_that_is_full_from_the_beginning_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        patch.setattr(Path, "mkdir", full)
        writer = writer_in(tmp_path, when_full=policy)
        if policy == "refuse":
            with pytest.raises(StoreError, match="No space left on device"):
                writer.append([row("a")])
        else:
            assert not writer.append([row("a")])
    assert writer.dropped == (1 if policy == "drop_new" else 0)
    assert not (tmp_path / "log").exists()


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file is in the way")
    writer = writer_in(tmp_path)
    assert not writer.append([row("a")])
    assert writer.trouble is not None
    assert "exists" in writer.trouble


@pytest.mark.parametrize("synced", [False, True])
def test_what_is_logged_is_flushed_at_each_request_or_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    writer = writer_in(tmp_path, synced=synced)
    writer.append([row("a")])
    writer.append([row("b")])
    at_once = len(flushed)
    writer.sync()
    writer.sync()
    assert (at_once, len(flushed)) == ((3, 3) if synced else (0, 2))


def test_trouble_is_over_once_there_is_room_whether_or_not_somebody_asks(tmp_path: Path) -> None:
    writer = writer_in(tmp_path, max_bytes=10_000)
    while writer.append([row()]):
        pass
    writer.sync()
    assert "are taken by rows that wait" in str(writer.trouble)
    log_in(tmp_path).move()
    writer.sync()
    assert writer.trouble is None
    assert writer.append([row()])


def test_a_segment_that_is_full_is_due_until_it_is_moved(tmp_path: Path) -> None:
    writer = writer_in(tmp_path, max_bytes=320_000)
    while not writer.is_due:
        assert writer.append([row("a")])
    assert [path.suffix for path in segments(tmp_path)].count(".sealed") == 1
    log_in(tmp_path).move()
    assert not writer.is_due


def test_a_request_larger_than_a_segment_is_logged_where_there_is_room(tmp_path: Path) -> None:
    writer = writer_in(tmp_path, max_bytes=1_000_000)
    assert writer.append([row(str(number)) for number in range(1000)])
    assert not writer.append([row(str(number)) for number in range(3000)])
    log_in(tmp_path).move()
    assert len(customers(tmp_path)) == 1000


def test_one_row_costs_microseconds(tmp_path: Path) -> None:
    writer, given = writer_in(tmp_path, max_bytes=1 << 30), [row()]
    for _ in range(200):
        writer.append(given)
    begun = time.process_time()
    for _ in range(2000):
        writer.append(given)
    assert (time.process_time() - begun) / 2000 < 100e-6, "about 12 µs where nothing else works"


def test_a_damaged_count_begins_anew(tmp_path: Path) -> None:
    writer = writer_in(tmp_path, max_bytes=1)
    assert not writer.append([row()])
    (tmp_path / "log" / "dropped").write_text("x")
    assert log_in(tmp_path).counts().dropped == 0
    assert not writer.append([row()])
    assert log_in(tmp_path).counts().dropped == 1
