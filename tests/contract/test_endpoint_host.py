"""What every host of an endpoint keeps of its port's promises."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.local.endpoint_process import LocalEndpoint
from adapters.local.servers import Server, free_port, spawn
from adapters.local.tokens import TokenFile
from churn.core.errors import NotFound, StoreError
from churn.ports.endpoint import EndpointHost
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, EndpointCase
from tests.fakes.ports.endpoint import InMemoryEndpoint
from tests.fakes.served import REFRESH

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BROKEN = 3
"""The version whose files are gone."""


class Hosted:
    """A host, how the ledger of the model whose endpoint it runs is told what is live, and what the host can tell."""

    def __init__(
        self, host: EndpointHost, go_live: Callable[[int], object], *, counts: bool = True, keeps_logs: bool = True
    ) -> None:
        self.host, self.go_live, self.counts, self.keeps_logs = host, go_live, counts, keeps_logs


def in_memory(_: Path) -> Hosted:
    case = EndpointCase()
    case.broken.add(BROKEN)
    case.online_features("a")
    return Hosted(InMemoryEndpoint(case.endpoint, MODEL, runs=False), case.office.go_live)


def process(folder: Path) -> Hosted:
    def start() -> Server:
        port, log = free_port(18_080), folder / "logs" / "2024-05-01T08-00-00-serve-gym-1.log"
        log.parent.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LOG": str(log)}
        return spawn("The endpoint", port, ["tests.fakes.served", str(folder), str(port)], environment, log)

    def go_live(version: int) -> None:
        (folder / "live.new").write_text(str(version))
        (folder / "live.new").rename(folder / "live")

    go_live(1)
    host = LocalEndpoint(
        folder / "endpoint",
        folder / "logs",
        "gym",
        MODEL,
        tokens=TokenFile(folder / "endpoint" / "gym.tokens.json"),
        start=start,
        clock=lambda: dt.datetime.now(dt.UTC),
        refresh_seconds=REFRESH,
    )
    return Hosted(host, go_live)


@pytest.fixture(params=[in_memory, process])
def hosted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hosted]:
    made: Hosted = request.param(tmp_path)
    yield made
    made.host.stop(within=20)


def test_an_endpoint_is_started_changed_asked_and_ended(hosted: Hosted) -> None:
    host = hosted.host
    assert host.state() is None
    assert not host.stop(within=20)
    with pytest.raises(StoreError, match=r"No endpoint of 'gym' runs: start it by `python run.py serve`"):
        host.query([FULL])

    started = host.ensure(1, within=60)
    assert (started.name, started.ready, started.version, started.update, started.degraded) == (
        *(MODEL, True, 1, "none", ()),
    )
    assert host.ensure(1, within=60).version == 1

    answer = host.query([{"customer_id": "a"}, {"customer_id": "nobody"}], explain=True)
    assert answer.versions == [1, 1]
    assert [row["status"] for row in answer.predictions] == ["ok", "unknown"]
    assert 0 < answer.predictions[0]["probability"] < 1
    assert len(answer.predictions[0]["reasons"]) == 3
    state = host.state()
    assert state is not None
    assert state.requests == (1 if hosted.counts else None)
    with pytest.raises(StoreError, match=r"The endpoint answers 400: The customer's key 'customer_id' is"):
        host.query([{"customer_id": ["a"]}])

    hosted.go_live(2)
    assert host.ensure(2, within=60).version == 2
    assert host.query([FULL]).versions == [2]

    hosted.go_live(BROKEN)
    with pytest.raises(StoreError, match=r"cannot change to version 3: .*The files of version 3 are gone"):
        host.ensure(BROKEN, within=60)
    assert host.query([FULL]).versions == [2], "what answered goes on"
    failing = host.state()
    assert failing is not None
    assert (failing.ready, failing.version, failing.update) == (True, 2, "failed")

    hosted.go_live(1)
    assert host.ensure(1, within=60).update == "none"
    assert len([*host.logs(2)]) == 2
    assert host.stop(within=20)
    assert host.state() is None
    assert not host.stop(within=20)
    if hosted.keeps_logs:
        assert [*host.logs(100)]
    else:
        with pytest.raises(NotFound, match="keeps no log of one that is gone"):
            next(iter(host.logs(100)))


def test_what_is_asked_as_a_test_is_logged_as_what_nobody_acts_on(tmp_path: Path) -> None:
    hosted = process(tmp_path)
    hosted.host.ensure(1, within=60)
    hosted.host.query([{"customer_id": "a"}])
    hosted.host.stop(within=20)
    assert [*hosted.host.logs(1)] == ["ended, with ['what_if']"]
