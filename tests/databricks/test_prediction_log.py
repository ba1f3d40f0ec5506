"""Logged requests, whoever logs them, end in the table of predictions with the columns of the laptop's log."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from adapters.databricks.inference_rows import read_requests
from adapters.databricks.prediction_log import InferenceLog, LogKind, arrange_log, table_of
from adapters.databricks.request_log import PostgresRequests
from adapters.databricks.served_model import SERVED_AS, ServedAs, ServedModel
from churn.core.errors import StoreError
from churn.data.tables import TABLES
from churn.ports.online import OnlineRow
from churn.ports.prediction_log import LoggedRow
from churn.scoring.logged import LOGGED_SCHEMA
from tests.fakes.data.answered import answered
from tests.fakes.data.endpoint import LoadedScorer
from tests.fakes.data.scorers import small_scorer
from tests.fakes.ports.prediction_log import InMemoryPredictionLog
from tests.fakes.ports.tables import MemoryFeatureStore

from .serving_case import DATASET, ServingCase
from .workspace import Workspace, as_json

AT = dt.datetime(2026, 11, 2, 9, 30, 15, 250_000, tzinfo=dt.UTC)
FEATURES_AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
ANSWER = {
    "customer": "a",
    "status": "ok",
    "probability": 0.25,
    "decision": "treat",
    "expected_value": 3.5,
    "customer_value": 200.0,
    "reasons": ["tenure: 3 (+0.2)"],
    "features_at": "2026-11-01T00:00:00+00:00",
    "features_version": 4,
    "model_name": "churn_gym",
    "model_version": 7,
    "model_alias": "Champion",
    "threshold_policy": "expected value > 0 USD",
    "score_ms": 0.5,
}
SAID = '{"predictions": [%s]}'
LOGGED = LoggedRow(
    customer="a",
    event_time=FEATURES_AT,
    scored_at=AT,
    request_id="r-1",
    role="answered",
    status="ok",
    probability=0.25,
    decision="treat",
    expected_value=3.5,
    customer_value=200.0,
    reasons=["tenure: 3 (+0.2)"],
    model_name="churn_gym",
    model_version=7,
    model_alias="Champion",
    threshold_policy="expected value > 0 USD",
    features_version=4,
    inputs=None,
    score_ms=0.5,
)
NOBODY = {"customer": "b", "status": "unknown", "model_name": "churn_gym", "model_version": 7, "reasons": []}
NOBODY |= {"model_alias": "Champion", "threshold_policy": "expected value > 0 USD", "features_at": None}


def request(*answers: Mapping[str, Any], number: int = 1, **changed: Any) -> dict[str, Any]:
    """Return a row as the AI gateway documents it."""
    return {
        "request_date": AT.date(),
        "databricks_request_id": f"r-{number}",
        "client_request_id": None,
        "request_time": AT,
        "status_code": 200,
        "sampling_fraction": 1.0,
        "execution_duration_ms": 12,
        "request": json.dumps({"dataframe_records": [{"customer_id": answer["customer"]} for answer in answers]}),
        "response": json.dumps({"predictions": answers}),
        "served_entity_id": "0a1b",
        "logging_error_codes": None,
        "requester": "crm@example.com",
        **changed,
    }


def of_before(*answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as inference tables were before the AI gateway."""
    return {
        "databricks_request_id": "r-1",
        "client_request_id": None,
        "date": AT.date(),
        "timestamp_ms": int(AT.timestamp() * 1000),
        "status_code": 200,
        "execution_time_ms": 12,
        "request": json.dumps({"dataframe_split": {"columns": ["customer_id"], "data": [["a"]]}}),
        "response": json.dumps({"predictions": answers}),
        "sampling_fraction": 1.0,
        "request_metadata": {"endpoint_name": "churn-gym", "model_name": "main.gym.churn_gym", "model_version": "7"},
    }


@pytest.mark.parametrize(
    "logged",
    [
        request(ANSWER),
        request(ANSWER, request_time="2026-11-02T09:30:15.250Z"),
        request(ANSWER, request_time=AT.replace(tzinfo=None)),
        request(ANSWER, status_code="200"),
        of_before(ANSWER),
    ],
)
def test_every_generation_of_inference_tables_gives_the_row_that_a_laptop_logs(logged: dict[str, Any]) -> None:
    found = read_requests([logged])
    assert found.rows.schema == LOGGED_SCHEMA
    assert found.rows.to_pylist() == [LOGGED._asdict()]
    assert (found.refused, found.unreadable) == (0, 0)


def test_each_row_of_a_request_is_a_row_and_nobody_has_no_probability() -> None:
    first, second = read_requests([request(ANSWER, NOBODY)]).rows.to_pylist()
    assert (first["customer"], second["customer"], second["status"], second["probability"]) == (
        "a",
        "b",
        "unknown",
        None,
    )
    assert second["event_time"] == AT, "the time of the request, where nothing was looked up"


@pytest.mark.parametrize(
    ("changed", "role", "request_id"),
    [
        ({}, "answered", "r-1"),
        ({"client_request_id": "crm-17"}, "answered", "crm-17"),
        ({"client_request_id": "what_if-3f"}, "what_if", "what_if-3f"),
        ({"request": json.dumps({"dataframe_records": [{"churn_what_if": True}]})}, "what_if", "r-1"),
        ({"request": '{"dataframe_records": [{"cut'}, "answered", "r-1"),
    ],
)
def test_a_test_is_told_by_the_request_itself(changed: dict[str, Any], role: str, request_id: str) -> None:
    (row,) = read_requests([request(ANSWER, **changed)]).rows.to_pylist()
    assert (row["role"], row["request_id"]) == (role, request_id)


@pytest.mark.parametrize(
    "response",
    [None, "", '{"predictions": [{"cus', '{"choices": []}', '{"predictions": [0.5]}', '{"predictions": [{}]}'],
)
def test_an_answer_that_is_cut_off_or_not_ours_is_counted_and_stops_nothing(response: str | None) -> None:
    found = read_requests([request(ANSWER, response=response), request(ANSWER, status_code=400), request(ANSWER)])
    assert (found.rows.num_rows, found.refused, found.unreadable) == (1, 1, 1)


class Kept:
    """Requests in a list."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def hours(self, since: dt.datetime | None) -> Sequence[dt.datetime]:
        found = {row["request_time"].replace(minute=0, second=0, microsecond=0) for row in self.rows}
        return sorted(hour for hour in found if since is None or hour >= since)

    def of(self, hour: dt.datetime) -> Iterable[Mapping[str, Any]]:
        return [row for row in self.rows if hour <= row["request_time"] < hour + dt.timedelta(hours=1)]

    def close(self) -> None:
        pass


PREDICTIONS = TABLES["predictions"].spec("member_id")


@pytest.fixture(params=["memory", "postgresql"])
def keep(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Callable[[dict[str, Any]], None]]]:
    if request.param == "memory":
        kept = Kept()
        yield kept, kept.rows.append
        return
    address = request.getfixturevalue("postgresql_server")
    log = PostgresRequests(lambda: {"conninfo": address, "password": "first"}, f"t_{abs(hash(request.node.nodeid))}")
    yield log, lambda row: log.append({name: row[name] for name in row if name in _OWN})
    log.close()


_OWN = ("databricks_request_id", "client_request_id", "request_time", "status_code", "request", "response")


def test_requests_come_into_the_table_once_however_often_and_late(keep: Any) -> None:
    requests, add = keep
    store = MemoryFeatureStore("gym")
    log = InferenceLog(requests, store, PREDICTIONS, "member_id")
    assert (log.move(), log.counts()) == (0, (0, 0, 0))
    add(request(ANSWER))
    add(request(ANSWER, NOBODY, number=2, request_time=AT + dt.timedelta(hours=3)))
    assert log.counts().waiting == 3
    assert [log.move(), log.move()] == [3, 0]
    add(request(ANSWER, number=3))  # an hour that was moved, later than the newest
    assert InferenceLog(requests, store, PREDICTIONS, "member_id").move() == 1
    rows = store.read(store.latest("churn_predictions")).to_pylist()
    assert sorted(row["request_id"] for row in rows) == ["r-1", "r-2", "r-2", "r-3"]
    assert {row["source"] for row in rows} == {"endpoint"}


def test_the_table_has_the_columns_of_a_laptops_log() -> None:
    kept, here, there = Kept(), MemoryFeatureStore("gym"), MemoryFeatureStore("gym")
    kept.rows.append(request(ANSWER))
    InferenceLog(kept, here, PREDICTIONS, "member_id").move()
    laptop = InMemoryPredictionLog(there, PREDICTIONS, "member_id")
    laptop.writer(max_bytes=1_000_000, when_full="refuse", synced=False).append([answered()])
    laptop.move()
    schemas = [store.read(store.latest("churn_predictions")).schema for store in (here, there)]
    assert schemas[0] == schemas[1]


def test_without_an_endpoint_nothing_waits() -> None:
    log = InferenceLog(None, MemoryFeatureStore("gym"), PREDICTIONS, "member_id")
    assert (log.move(), log.counts()) == (0, (0, 0, 0))
    writer = log.writer(max_bytes=1, when_full="refuse", synced=True)
    assert writer.append([LOGGED])
    writer.sync()
    assert (writer.logged, writer.dropped, writer.trouble, writer.is_due) == (0, 0, None, False)


def served(log: Any) -> ServedModel:
    scorer: Any = LoadedScorer(*(getattr(small_scorer(), name) for name in ("model", "settings")))
    values = {"contract": "Two year", "tenure": 60.0, "monthly_charges": 30.0, "total_charges": 1800.0}
    row = OnlineRow("a", values, FEATURES_AT, FEATURES_AT, 4)
    as_what = ServedAs(name="churn_gym", version=7, alias="Champion", digest="", stale_after_days=40)
    return ServedModel(
        scorer, DATASET, as_what, lambda customers: [row] if "a" in customers else [], clock=lambda: AT, log=log
    )


def test_what_a_served_version_logs_itself_is_read_like_an_inference_table() -> None:
    kept: list[dict[str, Any]] = []

    class Log:
        append = staticmethod(kept.append)

    model = served(Log())
    (said, _) = model.predict(pd.DataFrame([{"customer_id": "a", "churn_reasons": True}, {"customer_id": "b"}]))
    model.predict(pd.DataFrame([{"customer_id": "a", "churn_what_if": True}]))
    first, second, test = read_requests(kept).rows.to_pylist()
    assert (first["probability"], first["reasons"], first["event_time"]) == (
        said["probability"],
        said["reasons"],
        FEATURES_AT,
    )
    assert (second["status"], second["role"], test["role"]) == ("unknown", "answered", "what_if")


def test_a_log_that_refuses_does_not_keep_an_answer_back(caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        def append(self, _: object) -> None:
            raise StoreError("the disk is full")

    caplog.set_level("INFO")
    assert served(Full()).predict(pd.DataFrame([{"customer_id": "a"}]))[0]["status"] == "ok"
    assert "a request is not logged: the disk is full" in caplog.text


@pytest.mark.parametrize(
    ("telemetry", "gateway", "kind"), [(True, True, "telemetry"), (False, True, "ai_gateway"), (False, False, "own")]
)
def test_requests_are_logged_by_what_the_workspace_has_and_it_is_said(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, telemetry: bool, gateway: bool, kind: LogKind
) -> None:
    caplog.set_level("INFO")
    workspace.serving.telemetry, workspace.serving.gateway = telemetry, gateway
    case = ServingCase(workspace)
    for _ in range(2):
        case.host.ensure(1, within=1)
    assert {tag["key"]: tag["value"] for tag in case.there["tags"]}["churn_log"] == kind
    (entity,) = case.there["config"]["served_entities"]
    assert ServedAs.model_validate_json(entity["environment_vars"][SERVED_AS]).logs is (kind == "own")
    assert caplog.text.count("requests of churn_gym are logged by") == 1
    found = workspace.client().serving_endpoints.get("churn_gym")
    assert table_of(found) == (None if kind == "own" else "main.gym.churn_gym_payload")
    case.host.ensure(2, within=1)
    (entity,) = case.there["config"]["served_entities"]
    assert ServedAs.model_validate_json(entity["environment_vars"][SERVED_AS]).logs is (kind == "own")


def test_telemetry_is_asked_for_the_inference_table_alone_and_every_request(workspace: Workspace) -> None:
    ServingCase(workspace).host.ensure(1, within=1)
    (call,) = workspace.calls("PATCH /api/2.0/serving-endpoints/churn_gym/telemetry-config")
    assert as_json(call)["telemetry_config"] == {
        "enabled_telemetry_features": ["TELEMETRY_FEATURE_INFERENCE_TABLE"],
        "inference_table_config": {"sampling_fraction": 1.0},
        "table_names": {"logs_table": "main.gym.churn_gym_logs"},
    }


def test_what_is_wanted_and_not_there_is_refused_and_a_missing_privilege_is_no_lack(workspace: Workspace) -> None:
    workspace.serving.gateway = False
    ServingCase(workspace).host.ensure(1, within=1)
    client = workspace.client()
    with pytest.raises(StoreError, match=r"does not support endpoints with custom models.*serving\.log` be auto"):
        arrange_log(client, "churn_gym", "main.gym", "ai_gateway")
    workspace.faults.refuse("PATCH /api/2.0/serving-endpoints/churn_gym/telemetry-config", 403)
    with pytest.raises(StoreError, match="Ask an administrator for that privilege"):
        arrange_log(client, "churn_gym", "main.gym", "auto")


def test_the_schema_is_that_of_the_port() -> None:
    assert set(LoggedRow._fields) == set(LOGGED_SCHEMA.names)
    assert pa.types.is_list(LOGGED_SCHEMA.field("reasons").type)
