"""Several processes of one endpoint answer with one version at any time."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.core.errors import StoreError
from serving.agreement import SharedVersion
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, EndpointCase


def test_the_first_process_answers_at_once_and_the_next_ones_join_it(tmp_path: Path) -> None:
    first = SharedVersion(tmp_path / "versions")
    assert first.current() == 0
    first.prepared(1)
    second = SharedVersion(tmp_path / "versions")
    assert (first.current(), second.current()) == (1, 1)


def test_a_version_answers_everywhere_once_the_last_process_has_it(tmp_path: Path) -> None:
    processes = [SharedVersion(tmp_path) for _ in range(3)]
    for process in processes:
        process.prepared(1)
    for process in processes[:2]:
        process.prepared(2)
        assert {one.current() for one in processes} == {1}
    processes[2].prepared(2)
    assert {one.current() for one in processes} == {2}


def test_a_process_that_starts_is_waited_for_and_one_that_ended_is_not(tmp_path: Path) -> None:
    one, two = SharedVersion(tmp_path), SharedVersion(tmp_path)
    one.prepared(1)
    two.prepared(1)
    starting = SharedVersion(tmp_path)
    one.prepared(2)
    two.prepared(2)
    assert one.current() == 1
    del starting
    one.prepared(2)
    assert (one.current(), two.current()) == (2, 2)


def test_a_process_that_is_held_back_keeps_all_of_them_and_says_why(tmp_path: Path) -> None:
    one, two = SharedVersion(tmp_path), SharedVersion(tmp_path)
    one.prepared(1)
    two.prepared(1)
    one.prepared(2)
    two.held_back("The files of version 2 are gone.")
    assert (one.current(), one.troubles(), two.troubles()) == (1, ["The files of version 2 are gone."], [])
    two.prepared(2)
    assert (one.current(), one.troubles()) == (2, [])


@pytest.mark.slow
def test_an_endpoint_has_a_largest_number_of_processes(tmp_path: Path) -> None:
    processes = [SharedVersion(tmp_path) for _ in range(64)]
    with pytest.raises(StoreError, match="may have 64 processes: give fewer --workers"):
        SharedVersion(tmp_path)
    assert len(processes) == 64


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_order_no_process_answers_with_what_it_has_not_loaded(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    cases = [EndpointCase(agreement=SharedVersion(tmp_path)) for _ in range(3)]
    for case in cases:
        case.endpoint.refresh()
    for _ in range(30):
        case = draw.choice(cases)
        case.broken = {draw.choice([1, 2, 3])} if draw.random() < 0.2 else set()
        if draw.random() < 0.3:
            case.office.go_live(draw.choice([number for number in (1, 2, 3) if number != case.office.champion]))
        case.endpoint.refresh()
        assert len({one.endpoint.answer([FULL], explain=False).served.version for one in cases}) == 1


def serving(folder: Path, listening: socket.socket) -> None:
    """Serve in a process of its own; version 2 is live as soon as there is a file `promoted`."""
    import uvicorn

    from serving.app import create_app
    from serving.service import Service
    from tests.fakes.data.case import settings

    case = EndpointCase(agreement=SharedVersion(folder / "versions"))

    class Promoted(Service):
        async def watch(self) -> None:
            while not (folder / "promoted").exists():
                await asyncio.sleep(random.uniform(0.01, 0.1))
            case.office.go_live(2)
            await super().watch()

    service = Promoted(case.endpoint, MODEL, settings("serving.refresh_seconds=0.05").serving, None)
    uvicorn.Server(uvicorn.Config(create_app(service, "1"), log_level="warning")).run([listening])


@pytest.mark.slow
def test_after_the_first_answer_of_a_new_version_none_of_the_old_one_is_given(tmp_path: Path) -> None:
    """Two processes under load, and a clock that all clients read."""
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/invocations"
    started = multiprocessing.get_context("spawn")
    processes = [started.Process(target=serving, args=(tmp_path, listening), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    answers: list[tuple[float, float, str]] = []
    ending = threading.Event()

    def ask() -> None:
        body = json.dumps({"instances": [FULL]}).encode()
        while not ending.is_set():
            begun = time.monotonic()
            request = urllib.request.Request(address, body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                version = json.load(answer)["model"]["version"]
            answers.append((begun, time.monotonic(), version))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    try:
        for client in clients:
            client.start()
        _wait(lambda: len(answers) > 50)
        (tmp_path / "promoted").touch()
        _wait(lambda: any(version == "2" for _, _, version in [*answers]))
        switched = len(answers)
        _wait(lambda: len(answers) > switched + 50)
    finally:
        listening.close()
        ending.set()
        for client in clients:
            client.join(20)
        for process in processes:
            process.terminate()
            process.join(20)
    first = min(ended for _, ended, version in answers if version == "2")
    assert not [version for begun, _, version in answers if begun > first and version == "1"]


def _wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
