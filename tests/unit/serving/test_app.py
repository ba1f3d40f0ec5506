"""The endpoint over HTTP: answers, refusals, headers, tokens, limits; without a socket."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import httpx
import pytest
from starlette.testclient import TestClient

from churn.core.errors import StoreError
from churn.lifecycle.answer_log import AnswerLog
from churn.ports.online import OnlineRow
from serving.app import create_app
from serving.log import KeptLog
from serving.service import Service
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, EndpointCase, Gone
from tests.fakes.ports.online import InMemoryOnlineStore

pytestmark = pytest.mark.slow

PATH = f"/serving-endpoints/{MODEL}/invocations"


class Tokens:
    """Two tokens by their names."""

    def scope_of(self, text: str) -> Literal["query", "admin"] | None:
        return {"asks": "query", "rules": "admin"}.get(text)  # type: ignore[return-value]


def client(case: EndpointCase, *overrides: str, tokens: Tokens | None = None) -> TestClient:
    service = Service(case.endpoint, MODEL, settings(*overrides).serving, tokens)
    return TestClient(create_app(service, "1.2.3"))  # type: ignore[arg-type]


@pytest.fixture
def case() -> EndpointCase:
    case = EndpointCase()
    case.online_features("a")
    return case


@pytest.fixture
def http(case: EndpointCase) -> Iterator[TestClient]:
    with client(case) as opened:
        yield opened


def test_an_answer_names_customer_score_and_version(http: TestClient, case: EndpointCase) -> None:
    answer = http.post(PATH, json={"dataframe_records": [{"customer_id": "a"}], "params": {"reasons": True}})
    assert answer.status_code == 200
    body = answer.json()
    (row,) = body["predictions"]
    assert (row["customer"], row["status"], row["decision"]) == ("a", "ok", "treat")
    assert 0 < row["probability"] < 1
    assert row["features_at"] == "2024-05-02T00:00:00+00:00"
    assert len(row["reasons"]) == 3
    assert (body["model"], body["served-model-name"]) == ({"name": MODEL, "version": "1"}, f"{MODEL}-1")
    assert answer.headers["served-model-name"] == f"{MODEL}-1"
    spans = [part.partition(";")[0] for part in answer.headers["server-timing"].split(", ")]
    assert spans == ["parse", "lookup", "encode", "score", "log", "write"]


def test_contributions_on_request_add_up_to_the_probability(http: TestClient) -> None:
    rows = [{"customer_id": "nobody"}, {"customer_id": "a", "contract": "Two year"}, FULL]
    answer = http.post(PATH, json={"instances": rows, "params": {"contributions": True}})
    unknown, *scored = answer.json()["predictions"]
    assert "contributions" not in unknown
    for row in scored:
        assert "reasons" not in row
        log_odds = row["base"] + sum(part["added"] for part in row["contributions"])
        assert 1 / (1 + math.exp(-log_odds)) == pytest.approx(row["probability"], abs=1e-9)
        assert 0 < row["threshold"] < 1
    assert scored[0]["contributions"][0] == {"name": "contract", "value": "Two year", "added": pytest.approx(-0.5)}


def test_the_model_says_what_it_reads(http: TestClient) -> None:
    said = http.get("/model").json()
    assert (said["key"], said["window_days"]) == ("customer_id", 30)
    assert said["inputs"][0] == {
        **{"name": "contract", "description": "length of the contract", "type": "categorical", "nullable": False},
        **{"actionable": True, "values": ["Month-to-month", "Two year"], "min": None, "max": None},
    }


def test_both_paths_answer_the_same(http: TestClient) -> None:
    body = {"instances": [FULL]}
    assert http.post(PATH, json=body).json() == http.post("/invocations", json=body).json()


def test_many_rows_are_answered_in_their_order(http: TestClient) -> None:
    rows = [{**FULL, "customer_id": f"c{number}", "tenure": number} for number in range(100)]
    answered = http.post(PATH, json={"instances": rows}).json()["predictions"]
    assert [row["customer"] for row in answered] == [f"c{number}" for number in range(100)]


def test_an_unknown_customer_is_an_answer(http: TestClient) -> None:
    answer = http.post(PATH, json={"instances": [{"customer_id": "nobody"}]})
    (row,) = answer.json()["predictions"]
    assert (answer.status_code, row["status"], row["probability"]) == (200, "unknown", None)


def test_unknown_columns_and_values_are_said(http: TestClient) -> None:
    body = http.post(PATH, json={"instances": [{**FULL, "tenurre": 1, "contract": "x"}]}).json()
    assert (body["ignored_columns"], body["unseen_values"]) == (["tenurre"], {"contract": 1})


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        (
            "POST",
            "/serving-endpoints/other/invocations",
            {"json": {"instances": [FULL]}},
            404,
            "RESOURCE_DOES_NOT_EXIST",
        ),
        ("GET", "/api/2.0/serving-endpoints/other", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "/nowhere", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", PATH, {}, 405, "BAD_REQUEST"),
        ("POST", PATH, {"content": b"{"}, 400, "BAD_REQUEST"),
        ("POST", PATH, {"json": {"instances": [{}]}}, 400, "BAD_REQUEST"),
        ("POST", PATH, {"content": b"a,b", "headers": {"content-type": "text/csv"}}, 415, "BAD_REQUEST"),
    ],
)
def test_a_refusal_has_the_form_of_databricks_errors(
    http: TestClient, method: str, path: str, sent: Any, status: int, code: str
) -> None:
    answer = http.request(method, path, **sent)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.json()["message"]


def test_every_answer_has_an_id_and_careful_headers(http: TestClient) -> None:
    for answer in (http.get("/health/live"), http.get("/nowhere"), http.post(PATH, content=b"{")):
        assert len(answer.headers["x-request-id"]) == 32
        assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")
    assert http.get("/version", headers={"x-request-id": "mine-7"}).headers["x-request-id"] == "mine-7"
    for odd in ("x" * 101, "a b", "a\tb"):
        assert http.get("/version", headers={"x-request-id": odd}).headers["x-request-id"] != odd


def test_state_and_health_say_which_version_answers(http: TestClient) -> None:
    state = http.get(f"/api/2.0/serving-endpoints/{MODEL}").json()
    assert state["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert state["config"]["served_entities"][0]["entity_version"] == "1"
    assert state["config"]["traffic_config"]["routes"] == [
        {"served_entity_name": f"{MODEL}-1", "traffic_percentage": 100}
    ]
    assert http.get("/health/ready").json() == {
        **{"ready": True, "version": 1, "preparing": None, "degraded": []},
        **{"challenger": None, "challenger_share": 0},
    }
    assert http.get("/version").json() == {"program": "1.2.3", "model_version": 1}


def test_what_is_not_there_is_said_with_its_path_and_method(http: TestClient) -> None:
    assert http.get(f"/api/2.0/serving-endpoints/{MODEL}/").json()["message"] == (
        f"There is nothing at '/api/2.0/serving-endpoints/{MODEL}/': /openapi.json says which paths there are."
    )
    assert http.put(PATH).json()["message"] == f"'{PATH}' is asked by POST, not by 'PUT'."


def test_a_version_that_cannot_be_loaded_shows_in_state_and_health(http: TestClient, case: EndpointCase) -> None:
    case.office.go_live(2)
    case.broken.add(2)
    case.endpoint.refresh()
    assert http.get(f"/api/2.0/serving-endpoints/{MODEL}").json()["state"]["config_update"] == "UPDATE_FAILED"
    assert http.get("/health/ready").json()["degraded"] == ["The files of version 2 are gone."]
    assert http.post(PATH, json={"instances": [FULL]}).json()["model"]["version"] == "1"


def test_another_champion_answers_within_the_time_of_a_refresh(case: EndpointCase) -> None:
    with client(case, "serving.refresh_seconds=0.02") as http:
        assert http.get("/version").json()["model_version"] == 1
        case.office.go_live(2)
        for _ in range(200):
            if http.get("/version").json()["model_version"] == 2:
                break
        else:
            pytest.fail("version 2 never answered")


def test_an_online_store_that_is_gone_is_503_and_whole_rows_are_answered() -> None:
    with client(EndpointCase(online=Gone())) as http:
        refused = http.post(PATH, json={"instances": [{"customer_id": "a"}]})
        assert 'churn_requests_total{status="503",version=""} 1.0' in http.get("/metrics").text
        assert (refused.status_code, refused.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert refused.headers["retry-after"] == "5"
        assert http.post(PATH, json={"instances": [FULL]}).status_code == 200


def test_a_fault_of_the_program_shows_a_client_its_id_and_nothing_else(case: EndpointCase) -> None:
    class Broken(InMemoryOnlineStore):
        def rows(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
            raise ZeroDivisionError("secret")

    case.online = Broken()
    with client(case) as http:
        answer = http.post(PATH, json={"instances": [{"customer_id": "a"}]}, headers={"x-request-id": "r1"})
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert answer.json()["message"] == "The request could not be answered. The log has why, under its id r1."


@pytest.mark.parametrize(
    ("header", "path", "status"),
    [
        (None, PATH, 401),
        ("Bearer nobody", PATH, 401),
        ("Basic asks", PATH, 401),
        ("Bearer", PATH, 401),
        ("Bearer asks", PATH, 200),
        ("bearer rules", PATH, 200),
        ("Bearer asks", "/metrics", 403),
        ("Bearer rules", "/metrics", 200),
        (None, "/metrics", 401),
        (None, f"/api/2.0/serving-endpoints/{MODEL}", 401),
        (None, "/model", 401),
        ("Bearer asks", "/model", 200),
        ("Bearer asks", f"/api/2.0/serving-endpoints/{MODEL}", 200),
        (None, "/health/live", 200),
        (None, "/health/ready", 200),
    ],
)
def test_who_may_ask_what(case: EndpointCase, header: str | None, path: str, status: int) -> None:
    headers = {} if header is None else {"authorization": header}
    with client(case, tokens=Tokens()) as http:
        sent: Any = {"json": {"instances": [FULL]}} if path == PATH else {}
        answer = http.request("POST" if path == PATH else "GET", path, headers=headers, **sent)
    assert answer.status_code == status
    assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)


def test_a_request_has_a_largest_size(case: EndpointCase) -> None:
    with client(case, "serving.max_megabytes=0.001") as http:
        small, large = (b'{"instances": [{"x": "' + b"y" * size + b'"}]}' for size in (900, 1100))
        assert http.post(PATH, content=small).status_code == 400  # no customer in it
        answer = http.post(PATH, content=large)
        assert (answer.status_code, "0.001 MB" in answer.json()["message"]) == (413, True)


def test_more_requests_at_a_time_than_allowed_are_told_to_come_again(case: EndpointCase) -> None:
    async def ask() -> tuple[list[int], str | None]:
        app = create_app(Service(case.endpoint, MODEL, settings("serving.max_concurrent=2").serving, None), "1")
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        waiting = asyncio.Event()

        async def slowly() -> Any:
            yield b'{"instances": ['
            await waiting.wait()
            yield b"{}]}"

        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            slow = [asyncio.create_task(http.post(PATH, content=slowly())) for _ in range(2)]
            await asyncio.sleep(0.1)
            refused = await http.post(PATH, json={"instances": [FULL]})
            waiting.set()
            return [refused.status_code, *[(await task).status_code for task in slow]], refused.headers["retry-after"]

    case.endpoint.refresh()
    assert asyncio.run(ask()) == ([429, 400, 400], "1")


@pytest.mark.parametrize(("at_a_time", "sent"), [(1, 2), (4, 4), (4, 5), (4, 50), (64, 200)])
def test_of_requests_that_come_together_as_many_are_answered_as_allowed(
    case: EndpointCase, at_a_time: int, sent: int
) -> None:
    async def ask() -> list[httpx.Response]:
        limits = settings(f"serving.max_concurrent={at_a_time}").serving
        transport = httpx.ASGITransport(create_app(Service(case.endpoint, MODEL, limits, None), "1"))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            together = await asyncio.gather(*(http.post(PATH, json={"instances": [FULL]}) for _ in range(sent)))
            return [*together, await http.post(PATH, json={"instances": [FULL]})]

    case.endpoint.refresh()
    *together, afterwards = asyncio.run(ask())
    answered = [answer for answer in together if answer.status_code == 200]
    refused = [answer for answer in together if answer.status_code == 429]
    assert (len(answered), len(refused)) == (min(at_a_time, sent), max(sent - at_a_time, 0))
    assert {answer.headers["retry-after"] for answer in refused} <= {"1"}
    assert {answer.json()["error_code"] for answer in refused} <= {"RESOURCE_EXHAUSTED"}
    assert afterwards.status_code == 200


def test_a_client_that_does_not_send_its_request_is_refused(case: EndpointCase) -> None:
    async def ask() -> int:
        app = create_app(Service(case.endpoint, MODEL, settings("serving.body_seconds=0.05").serving, None), "1")

        async def never() -> Any:
            yield b"{"
            await asyncio.sleep(5)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:  # type: ignore[arg-type]
            return (await http.post(PATH, content=never())).status_code

    case.endpoint.refresh()
    assert asyncio.run(ask()) == 408


def test_what_was_asked_is_counted(http: TestClient) -> None:
    http.post(PATH, json={"instances": [FULL, {"customer_id": "nobody"}]})
    http.post(PATH, content=b"{")
    http.post("/serving-endpoints/other/invocations", json={"instances": [FULL]})
    text = http.get("/metrics").text
    answered = ['churn_requests_total{status="200",version="1"} 1.0', 'churn_rows_total{status="unknown"} 1.0']
    for line in [*answered, *(f'churn_requests_total{{status="{status}",version=""}} 1.0' for status in (400, 404))]:
        assert line in text
    assert "churn_request_seconds_count 1.0" in text


def test_the_protocol_is_described(http: TestClient) -> None:
    document = http.get("/openapi.json").json()
    assert document["info"]["version"] == "1.2.3"
    assert set(document["paths"]) == {
        *("/invocations", "/serving-endpoints/{name}/invocations"),
        *("/api/2.0/serving-endpoints", "/api/2.0/serving-endpoints/{name}"),
        *("/health/live", "/health/ready", "/version", "/metrics", "/model"),
    }
    assert [http.get(page).status_code for page in ("/docs", "/redoc")] == [404, 404]  # they load from other servers
    form = document["components"]["schemas"]["Request"]
    assert {"dataframe_records", "dataframe_split", "inputs", "instances"} <= set(form["properties"])


@contextmanager
def logging_client(case: EndpointCase, *overrides: str) -> Iterator[TestClient]:
    serving = settings(*overrides).serving
    log = KeptLog(AnswerLog(case.workspace, serving.log), case.log.move, serving.log)
    service = Service(case.endpoint, MODEL, serving, None, log=log)
    with TestClient(create_app(service, "1.2.3")) as http:  # type: ignore[arg-type]
        yield http


def predictions(case: EndpointCase) -> list[dict[str, Any]]:
    return case.tables.read(case.tables.latest("churn_predictions")).to_pylist()


@pytest.mark.parametrize("sync_seconds", [0, 1])
def test_every_answer_is_logged_under_its_request_and_moved_at_the_end(case: EndpointCase, sync_seconds: int) -> None:
    with logging_client(case, f"serving.log.sync_seconds={sync_seconds}") as http:
        rows = [{"customer_id": "a"}, {"customer_id": "b"}]
        answer = http.post(PATH, json={"instances": rows}, headers={"x-request-id": "mine"})
        many = http.post(PATH, json={"instances": [FULL] * 20})
        assert [row.status for row in case.log.waiting[:2]] == ["ok", "unknown"]
        assert http.post(PATH, json={"instances": [{}]}).status_code == 400
        assert http.get("/health/ready").json()["predictions"] == {"logged": 22, "dropped": 0}
        assert 'churn_logged_rows_total{outcome="logged"} 22.0' in http.get("/metrics").text
    moved = predictions(case)
    assert len(moved) == 22
    assert {row["request_id"] for row in moved} == {"mine", many.headers["x-request-id"]}
    (told, _) = answer.json()["predictions"]
    (kept,) = [row for row in moved if row["customer_id"] == "a"]
    assert (kept["probability"], kept["decision"]) == (told["probability"], told["decision"])


def test_what_waits_is_moved_while_requests_are_answered(case: EndpointCase) -> None:
    with logging_client(case, "serving.log.move_seconds=0.02") as http:
        http.post(PATH, json={"instances": [FULL]})
        for _ in range(200):
            http.get("/health/live")
            if not case.log.waiting:
                break
            time.sleep(0.01)
        assert len(predictions(case)) == 1


def test_rows_that_are_made_up_are_logged_as_such(case: EndpointCase) -> None:
    with logging_client(case) as http:
        for params in ({"what_if": True}, {"what_if": False}, {}):
            body = {"instances": [{"customer_id": "a", "contract": "Two year"}], "params": params}
            assert http.post(PATH, json=body).status_code == 200
        assert [row.role for row in case.log.waiting] == ["what_if", "answered", "answered"]


def test_a_log_that_refuses_costs_no_answer_and_is_seen(case: EndpointCase) -> None:
    case.log.is_broken = True
    with logging_client(case) as http:
        assert http.post(PATH, json={"instances": [FULL]}).status_code == 200
        ready = http.get("/health/ready")
        assert (ready.status_code, ready.json()["predictions"]) == (200, {"logged": 0, "dropped": 1})
        assert ready.json()["degraded"] == ["Predictions are not logged: there is no room."]
        assert 'churn_logged_rows_total{outcome="dropped"} 1.0' in http.get("/metrics").text
        case.log.is_broken = False
        assert http.post(PATH, json={"instances": [FULL]}).status_code == 200
        assert http.get("/health/ready").json()["degraded"] == []


def test_where_the_policy_is_to_refuse_an_answer_that_cannot_be_logged_is_none(case: EndpointCase) -> None:
    case.log.is_broken = True
    with logging_client(case, "serving.log.when_full=refuse") as http:
        answer = http.post(PATH, json={"instances": [FULL]})
        assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert answer.headers["retry-after"]


def test_a_table_that_refuses_is_seen_and_the_rows_wait(case: EndpointCase, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> int:
        raise StoreError("The table is gone.")

    monkeypatch.setattr(case.log, "move", refuses)
    with logging_client(case, "serving.log.move_seconds=0.01") as http:
        http.post(PATH, json={"instances": [FULL]})
        for _ in range(200):
            if degraded := http.get("/health/ready").json()["degraded"]:
                break
            time.sleep(0.01)
        assert degraded == ["Predictions are logged and cannot be moved: The table is gone."]
        assert http.post(PATH, json={"instances": [FULL]}).status_code == 200
    assert len(case.log.waiting) == 2


@pytest.mark.parametrize(("rows", "in_loop"), [(8, True), (9, False)])
def test_answers_of_many_rows_are_logged_beside_the_event_loop(case: EndpointCase, rows: int, in_loop: bool) -> None:
    threads: list[int] = []
    clock = case.workspace.clock

    def noting() -> dt.datetime:
        threads.append(threading.get_ident())
        return clock()

    serving = settings().serving
    case.endpoint.refresh()
    log = KeptLog(AnswerLog(replace(case.workspace, clock=noting), serving.log), case.log.move, serving.log)
    assert asyncio.run(log.keep(case.endpoint.answer([FULL] * rows, explain=False), "r"))
    assert (threads == [threading.get_ident()]) == in_loop
