"""What every prediction log keeps of its port's promises."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters.local.feature_store import LocalFeatureStore
from adapters.local.prediction_spool import LocalPredictionLog
from churn.core.errors import StoreError
from churn.data.tables import EVENT_TIME, INGESTED_AT, TABLES
from churn.ports.prediction_log import PredictionLog, PredictionWriter
from churn.ports.tables import FeatureStore
from tests.fakes.data.answered import NOW
from tests.fakes.data.answered import answered as row
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.tables import MemoryFeatureStore

PREDICTIONS = TABLES["predictions"].spec("member_id")
ROOM = 10_000_000


class Case:
    def __init__(self, store: FeatureStore, open_log: Callable[[], PredictionLog]) -> None:
        self.store, self.open_log = store, open_log
        self.log = open_log()

    def writer(self, **changed: Any) -> PredictionWriter:
        return self.log.writer(**{"max_bytes": ROOM, "when_full": "drop_new", "synced": False, **changed})

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.store.read(self.store.latest(PREDICTIONS.name)).to_pylist()


@pytest.fixture(params=["memory", "disk"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "memory":
        store = MemoryFeatureStore("gym")
        memory = InMemoryPredictionLog(store, PREDICTIONS, "member_id")
        return Case(store, lambda: memory)
    on_disk = LocalFeatureStore(tmp_path / "tables", "gym")
    return Case(on_disk, lambda: LocalPredictionLog(tmp_path / "log", on_disk, PREDICTIONS, "member_id"))


def test_a_log_that_nobody_wrote_to_is_empty(case: Case) -> None:
    assert case.log.counts() == (0, 0, 0)
    assert case.log.move() == 0
    writer = case.writer()
    assert (writer.logged, writer.dropped, writer.trouble, writer.is_due) == (0, 0, None, False)
    writer.close()


def test_a_row_comes_into_the_table_as_it_was_logged(case: Case) -> None:
    writer = case.writer()
    assert writer.append([row(inputs='{"plan":"basic"}')])
    assert case.log.counts()[0] == writer.logged == 1
    assert case.log.move() == 1
    (moved,) = case.rows
    batch_id = moved.pop("batch_id")
    assert batch_id.startswith("endpoint-")
    assert moved.pop(INGESTED_AT)
    assert moved == {
        "member_id": "a",
        EVENT_TIME: NOW - dt.timedelta(days=1),
        "row_number": 0,
        "scored_at": NOW,
        "source": "endpoint",
        "request_id": "r1",
        "role": "answered",
        "status": "ok",
        "probability": 0.1 + 0.2,
        "decision": "treat",
        "expected_value": 3.5,
        "customer_value": 200.0,
        "reason_1": "tenure: 3 (+0.2)",
        "reason_2": "plan: basic (+0.1)",
        "reason_3": None,
        "model_name": "churn_gym",
        "model_version": 7,
        "model_alias": "Champion",
        "threshold_policy": "expected value > 0 USD",
        "features_version": 4,
        "inputs": '{"plan":"basic"}',
        "score_ms": 0.25,
    }


def test_a_row_without_score_reasons_or_customer_is_kept_too(case: Case) -> None:
    nothing = dict.fromkeys(("probability", "decision", "expected_value", "customer_value"))
    case.writer().append([row("", status="unknown", reasons=(), features_version=None, **nothing)])
    case.log.move()
    (moved,) = case.rows
    assert (moved["member_id"], moved["status"], moved["role"]) == ("", "unknown", "answered")
    assert {moved[name] for name in (*nothing, "reason_1", "features_version", "inputs")} == {None}


def test_as_many_reasons_are_kept_as_were_given(case: Case) -> None:
    case.writer().append([row(reasons=[f"reason {rank}" for rank in range(count)]) for count in (5, 0, 1)])
    case.log.move()
    first = next(moved for moved in case.rows if moved["row_number"] == 0)
    assert [first[f"reason_{rank}"] for rank in range(1, 6)] == [f"reason {rank}" for rank in range(5)]
    assert [moved["reason_4"] for moved in case.rows].count(None) == 2


def test_the_same_customer_may_be_answered_any_number_of_times(case: Case) -> None:
    writer = case.writer()
    for _ in range(3):
        writer.append([row(), row(role="shadow", model_version=8)])
    case.log.move()
    assert len({(moved["batch_id"], moved["row_number"]) for moved in case.rows}) == len(case.rows) == 6


def test_what_was_moved_is_not_moved_again_and_what_comes_later_is(case: Case) -> None:
    writer = case.writer()
    writer.append([row("a"), row("b")])
    assert [case.log.move(), case.log.move()] == [2, 0]
    assert case.log.counts()[:2] == (0, 0)
    writer.append([row("c")])
    assert case.open_log().move() == 1
    assert sorted(moved["member_id"] for moved in case.rows) == ["a", "b", "c"]
    assert writer.logged == 3


def test_every_process_that_writes_is_moved(case: Case) -> None:
    writers = [case.writer() for _ in range(3)]
    for number, writer in enumerate(writers):
        writer.append([row(str(number))])
    writers[0].close()
    assert case.open_log().counts()[0] == 3
    assert case.open_log().move() == 3
    writers[1].append([row("3")])
    assert case.open_log().move() == 1
    assert sorted(moved["member_id"] for moved in case.rows) == ["0", "1", "2", "3"]


def test_threads_may_write_while_others_move(case: Case) -> None:
    writer, moved = case.writer(), [0]
    threads = [
        threading.Thread(target=lambda part=part: [writer.append([row(f"{part}-{i}")]) for i in range(100)])  # type: ignore[misc]
        for part in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        moved[0] += case.log.move()
    moved[0] += case.log.move()
    customers = [found["member_id"] for found in case.rows]
    assert (moved[0], len(customers), len(set(customers))) == (400, 400, 400)


def test_rows_of_batches_and_of_the_endpoint_stand_in_one_table(case: Case) -> None:
    case.writer().append([row("a")])
    case.log.move()
    before = {name: value for name, value in case.rows[0].items() if name not in ("request_id", "role", "status")}
    batch = {**before, "batch_id": "b1", "source": "batch", "row_number": 0}
    case.store.replace_batch(PREDICTIONS, "batch_id", "b1", pa.Table.from_pylist([batch]).to_reader())
    case.writer().append([row("b")])
    case.log.move()
    assert sorted((moved["source"], moved["role"] or "") for moved in case.rows) == [
        ("batch", ""),
        ("endpoint", "answered"),
        ("endpoint", "answered"),
    ]


def test_a_table_of_an_earlier_version_takes_rows_of_the_endpoint(case: Case) -> None:
    old = {"batch_id": ["b1"], "member_id": ["a"], EVENT_TIME: pa.array([NOW]), "probability": [0.5]}
    spec = PREDICTIONS.model_copy(update={"key": ("batch_id", "member_id", EVENT_TIME)})
    case.store.replace_batch(spec, "batch_id", "b1", pa.table(old).to_reader())
    case.writer().append([row("b")])
    assert case.log.move() == 1
    assert sorted((moved["batch_id"][:2], moved["source"]) for moved in case.rows) == [("b1", None), ("en", "endpoint")]


def test_rows_for_which_there_is_no_room_are_dropped_and_counted(case: Case) -> None:
    writer = case.writer(max_bytes=30_000)
    answers = [writer.append([row(str(number))]) for number in range(200)]
    assert 10 < answers.index(False) < 100
    assert (writer.logged, writer.dropped) == (sum(answers), 200 - sum(answers))
    assert writer.trouble is not None
    assert "Predictions are not logged" in writer.trouble
    counts = case.open_log().counts()
    assert (counts.waiting, counts.dropped) == (sum(answers), 200 - sum(answers))
    assert counts.size <= 30_000
    assert case.log.move() == sum(answers)


def test_where_the_policy_is_to_refuse_nothing_is_dropped(case: Case) -> None:
    writer = case.writer(max_bytes=10_000, when_full="refuse")
    with pytest.raises(StoreError, match="Predictions are not logged"):  # noqa: PT012
        while True:
            assert writer.append([row()])
    assert writer.dropped == case.log.counts().dropped == 0
    assert case.log.move() == writer.logged > 0


def test_room_that_was_made_is_used_again(case: Case, clock_passes: Callable[[], None]) -> None:
    writer = case.writer(max_bytes=10_000)
    while writer.append([row()]):
        pass
    case.log.move()
    clock_passes()
    assert writer.append([row()])
    assert writer.trouble is None


@pytest.fixture
def clock_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    now = time.monotonic

    def passes() -> None:
        monkeypatch.setattr(time, "monotonic", lambda: now() + 60)

    return passes


def test_any_text_comes_back_as_it_was(case: Case) -> None:
    texts = ["ü\n\r\t\x00\"'\\", "{}", "\u2028", "\U0001d518", "a" * 100_000]
    case.writer().append([row(text, reasons=(text,), inputs=json.dumps({"x": text})) for text in texts])
    case.log.move()
    assert sorted(moved["member_id"] for moved in case.rows) == sorted(texts)
    assert all(moved["member_id"] == moved["reason_1"] == json.loads(moved["inputs"])["x"] for moved in case.rows)


def test_a_table_that_refuses_leaves_the_rows_waiting(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.writer().append([row()])
    with monkeypatch.context() as patch:
        patch.setattr(type(case.store), "replace_batch", _refuses)
        with pytest.raises(StoreError, match="no space"):
            case.log.move()
    assert case.log.counts().waiting == 1
    assert case.log.move() == 1


def _refuses(*_: Any) -> None:
    raise StoreError("There is no space.")
