"""Plain requests past the application: what is taken, what is left to it, and that both say the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from churn.lifecycle.answer_log import AnswerLog
from serving.app import create_app
from serving.fast_path import FastPath
from serving.log import KeptLog
from serving.service import Service
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, EndpointCase
from tests.fakes.data.served import Broken
from tests.unit.serving.test_app import Tokens

HEADERS = ((b"host", b"localhost:8080"), (b"content-type", b"application/json"))
KNOWN = {"customer_id": "a"}


class Waiting:
    """A connection of a client, with the answers that came on it and how many rows were logged before each."""

    def __init__(self, case: EndpointCase) -> None:
        self._case, self.is_open = case, True
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.logged: list[int] = []

    def reply(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.answers.append((status, dict(headers), json.loads(content)))
        self.logged.append(len(self._case.log.waiting))


@pytest.fixture
def case() -> EndpointCase:
    case = EndpointCase(online=Broken())
    case.online_features("a")
    case.endpoint.refresh()
    return case


def service(case: EndpointCase, *overrides: str, tokens: Tokens | None = None) -> Service:
    serving = settings(*overrides).serving
    log = KeptLog(AnswerLog(case.workspace, serving.log), case.log.move, serving.log)
    return Service(case.endpoint, MODEL, serving, tokens, log=log)  # type: ignore[arg-type]


def body(*rows: Mapping[str, Any], **more: Any) -> bytes:
    return json.dumps({"instances": rows or [KNOWN], **more}).encode()


def asked(
    path: FastPath, case: EndpointCase, *bodies: bytes, headers: tuple[tuple[bytes, bytes], ...] = HEADERS
) -> tuple[list[bool], list[Waiting]]:
    """Let requests come at the same time; return which are taken, and their connections once they are answered."""
    connections = [Waiting(case) for _ in bodies]

    async def come() -> list[bool]:
        taken = [path.take(connection, headers, sent) for connection, sent in zip(connections, bodies, strict=True)]
        assert not any(connection.answers for connection in connections)
        await asyncio.sleep(0)
        return taken

    return asyncio.run(come()), connections


@pytest.mark.parametrize(
    "sent", [body(), body(FULL, KNOWN), body(KNOWN, params={"reasons": True}), body({**FULL, "x": 1})]
)
def test_a_plain_request_is_answered_as_the_application_does(case: EndpointCase, sent: bytes) -> None:
    served = service(case)
    taken, (connection,) = asked(FastPath(served), case, sent)
    assert taken == [True]
    ((status, headers, content),) = connection.answers
    with TestClient(create_app(served, "1")) as http:  # type: ignore[arg-type]
        told = http.post("/invocations", content=sent, headers={"content-type": "application/json"})
    assert (status, content) == (told.status_code, told.json())
    assert headers["served-model-name"] == told.headers["served-model-name"]
    assert headers["Server-Timing"].count(";dur=") == told.headers["server-timing"].count(";dur=")
    assert len(headers["x-request-id"]) == len(told.headers["x-request-id"])


@pytest.mark.parametrize(
    "rows",
    [
        [[KNOWN], [FULL, KNOWN], [{"customer_id": "nobody"}]],
        [[KNOWN], [{**KNOWN, "tenurre": 1}], [{**FULL, "contract": "new"}], [FULL]],
        [[KNOWN], [{}], [FULL]],
        [[FULL] * 8] * 5,
        [[KNOWN]] * 40,
    ],
)
@pytest.mark.parametrize("params", [{}, {"reasons": True}])
def test_requests_that_come_together_are_answered_as_each_alone(
    case: EndpointCase, rows: list[list[dict[str, Any]]], params: dict[str, bool]
) -> None:
    served = service(case)
    bodies = [body(*part, params=params) for part in rows]
    _, connections = asked(FastPath(served), case, *bodies)
    with TestClient(create_app(served, "1")) as http:  # type: ignore[arg-type]
        alone = [http.post("/invocations", content=sent).json() for sent in bodies]
    told = [connection.answers[0][2] for connection in connections]
    assert told == alone


def test_requests_that_come_together_are_logged_before_any_is_answered(case: EndpointCase) -> None:
    taken, connections = asked(FastPath(service(case)), case, body(), body(KNOWN, KNOWN), body({"customer_id": "no"}))
    assert taken == [True] * 3
    assert [connection.logged for connection in connections] == [[4]] * 3
    identities = [connection.answers[0][1]["x-request-id"] for connection in connections]
    assert [row.request_id for row in case.log.waiting] == [identities[number] for number in (0, 1, 1, 2)]


@pytest.mark.parametrize(("at_a_time", "sent"), [(1, 1), (1, 3), (4, 4), (4, 9)])
def test_no_more_are_taken_than_may_be_under_way(case: EndpointCase, at_a_time: int, sent: int) -> None:
    served = service(case, f"serving.max_concurrent={at_a_time}")
    path = FastPath(served)
    taken, connections = asked(path, case, *[body()] * sent)
    assert taken == [number < at_a_time for number in range(sent)]
    assert [len(connection.answers) for connection in connections] == [int(one) for one in taken]
    assert served.running == 0
    assert asked(path, case, body())[0] == [True]


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        (b"{", HEADERS),
        (b"", HEADERS),
        (body(*[FULL] * 9), HEADERS),
        (body(x="y" * 20_000), HEADERS),
        (body(), ((b"host", b"localhost"), (b"content-type", b"text/csv"))),
        (body(), (*HEADERS, (b"content-encoding", b"gzip"))),
        (body(), ((b"host", b"evil.example"),)),
        (body(), ((b"host", b"evil.example"), (b"host", b"localhost"))),
        (body(), ()),
    ],
)
def test_what_is_not_plain_is_left_to_the_application(
    case: EndpointCase, sent: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    served = service(case)
    taken, (connection,) = asked(FastPath(served), case, sent, headers=headers)
    assert (taken, connection.answers, served.running, case.log.waiting) == ([False], [], 0, [])


@pytest.mark.parametrize(
    ("token", "taken"), [(None, False), (b"Bearer nobody", False), (b"asks", False), (b"Bearer asks", True)]
)
def test_only_with_a_token_is_a_request_taken(case: EndpointCase, token: bytes | None, taken: bool) -> None:
    headers = ((b"host", b"any.example"), *([(b"authorization", token)] if token else []))
    assert asked(FastPath(service(case, tokens=Tokens())), case, body(), headers=headers)[0] == [taken]


def test_a_request_that_is_scored_in_shadow_too_is_left_to_the_application(case: EndpointCase) -> None:
    path = FastPath(service(case))
    case.roll_out(shadow=True)
    assert asked(path, case, body())[0] == [False]


def test_where_each_answer_waits_for_the_disk_nothing_is_taken_past_the_application(case: EndpointCase) -> None:
    assert FastPath(service(case)).paths == {b"/invocations", f"/serving-endpoints/{MODEL}/invocations".encode()}
    assert not FastPath(service(case, "serving.log.sync_seconds=0")).paths


def test_a_fault_is_told_in_words_and_costs_the_others_nothing(case: EndpointCase) -> None:
    bodies = (body(), body({"customer_id": "broken"}), body({}), body())
    _, connections = asked(FastPath(service(case)), case, *bodies)
    answers = [connection.answers[0] for connection in connections]
    assert [status for status, _, _ in answers] == [200, 500, 400, 200]
    assert "secret" not in json.dumps(answers)
    assert [content.keys() for _, _, content in answers[1:3]] == [{"error_code", "message"}] * 2
    assert len(case.log.waiting) == 2


@pytest.mark.parametrize(
    ("policy", "status", "dropped", "retry"), [("drop_new", 200, 2, None), ("refuse", 503, 0, "5")]
)
def test_a_log_that_refuses_is_obeyed(
    case: EndpointCase, policy: str, status: int, dropped: int, retry: str | None
) -> None:
    case.log.is_broken = True
    served = service(case, f"serving.log.when_full={policy}")
    _, connections = asked(FastPath(served), case, body(), body())
    assert [connection.answers[0][0] for connection in connections] == [status] * 2
    assert served.log is not None
    assert served.log.counts() == {"logged": 0, "dropped": dropped}
    assert {connection.answers[0][1].get("retry-after") for connection in connections} == {
        "5" if dropped == 0 else None
    }


def test_whoever_went_away_is_not_scored(case: EndpointCase) -> None:
    served = service(case)
    path, gone = FastPath(served), Waiting(case)

    async def come() -> None:
        path.take(gone, HEADERS, body())
        gone.is_open = False
        await asyncio.sleep(0)

    asyncio.run(come())
    assert (gone.answers, case.log.waiting, served.running) == ([], [], 0)


def test_what_waits_on_a_connection_is_answered_at_once_where_it_must_be(case: EndpointCase) -> None:
    served = service(case)
    path, first, second = FastPath(served), Waiting(case), Waiting(case)

    async def come() -> None:
        path.take(first, HEADERS, body())
        path.take(second, HEADERS, body())
        path.answer_now(first)
        assert (len(first.answers), len(second.answers), served.running) == (1, 0, 1)
        path.answer_now(first)
        await asyncio.sleep(0)

    asyncio.run(come())
    assert (len(first.answers), len(second.answers), served.running) == (1, 1, 0)
