"""A rollout over HTTP: each answer names its version, the state says who answers whom, shadow costs no answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from churn.lifecycle.rollouts import check_rollout, rollout_report
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, EndpointCase
from tests.unit.serving.test_app import client, logging_client

pytestmark = pytest.mark.slow

ROWS = [{"customer_id": f"c{number}", **FULL} for number in range(40)]
STATE = f"/api/2.0/serving-endpoints/{MODEL}"


@pytest.fixture
def case() -> EndpointCase:
    return EndpointCase()


@pytest.fixture
def http(case: EndpointCase) -> Iterator[TestClient]:
    with client(case) as opened:
        yield opened


def entity(version: int, deployment: str = "DEPLOYMENT_READY") -> dict[str, object]:
    about = {"entity_name": MODEL, "entity_version": str(version), "name": f"{MODEL}-{version}"}
    return {**about, "state": {"deployment": deployment}}


def route(version: int, percentage: int) -> dict[str, object]:
    return {"served_entity_name": f"{MODEL}-{version}", "traffic_percentage": percentage}


def test_a_request_of_one_row_names_exactly_one_version(case: EndpointCase, http: TestClient) -> None:
    case.roll_out()
    named = set()
    for row in ROWS:
        answer = http.post("/invocations", json={"instances": [row]})
        body = answer.json()
        version = body["predictions"][0]["model_version"]
        assert body["model"] == {"name": MODEL, "version": version}
        assert body["served-model-name"] == answer.headers["served-model-name"] == f"{MODEL}-{version}"
        named.add(version)
    assert named == {"1", "2"}


def test_of_several_rows_each_names_its_version_and_the_header_names_both(case: EndpointCase, http: TestClient) -> None:
    case.roll_out()
    answer = http.post("/invocations", json={"instances": ROWS})
    body = answer.json()
    assert {row["model_version"] for row in body["predictions"]} == {"1", "2"}
    assert [row["customer"] for row in body["predictions"]] == [row["customer_id"] for row in ROWS]
    assert body["model"] == {"name": MODEL, "version": "1,2"}
    assert body["served-model-name"] == answer.headers["served-model-name"] == f"{MODEL}-1,{MODEL}-2"


@pytest.mark.parametrize(("share", "percentage"), [(0.1, 10), (0.25, 25), (0.5, 50), (0.999, 100), (0.001, 0)])
def test_the_state_has_both_versions_and_the_traffic(
    case: EndpointCase, http: TestClient, share: float, percentage: int
) -> None:
    case.roll_out(share=share)
    state = http.get(STATE).json()
    assert state["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert state["config"] == {
        "served_entities": [entity(1), entity(2)],
        "traffic_config": {"routes": [route(1, 100 - percentage), route(2, percentage)]},
    }


def test_in_shadow_the_challenger_has_no_traffic_and_its_failures_are_counted(
    case: EndpointCase, http: TestClient
) -> None:
    case.roll_out(shadow=True)
    assert http.get(STATE).json()["config"]["traffic_config"]["routes"] == [route(1, 100), route(2, 0)]
    case.scorers[2].fails = True
    answer = http.post("/invocations", json={"instances": ROWS[:3]})
    assert {row["model_version"] for row in answer.json()["predictions"]} == {"1"}
    assert "churn_challenger_failures_total 3.0" in http.get("/metrics").text


def test_a_challenger_that_cannot_be_loaded_has_no_traffic_and_is_said_to_have_failed(
    case: EndpointCase, http: TestClient
) -> None:
    case.broken.add(2)
    case.roll_out()
    state = http.get(STATE).json()
    assert state["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED"}
    assert state["config"]["served_entities"] == [entity(1), entity(2, "DEPLOYMENT_FAILED")]
    assert state["config"]["traffic_config"]["routes"] == [route(1, 100), route(2, 0)]
    ready = http.get("/health/ready")
    assert (ready.status_code, ready.json()["challenger"], ready.json()["challenger_share"]) == (200, 2, 0)
    assert "cannot be loaded, and version 1 answers everybody" in ready.json()["degraded"][0]


def test_without_a_rollout_one_version_has_all_of_the_traffic(http: TestClient) -> None:
    assert http.get(STATE).json()["config"]["traffic_config"]["routes"] == [route(1, 100)]
    assert http.get("/health/ready").json()["challenger"] is None


@pytest.mark.parametrize("shadow", [False, True])
def test_what_both_versions_said_is_logged_and_a_look_at_the_rollout_finds_it(case: EndpointCase, shadow: bool) -> None:
    with logging_client(case) as http:
        case.roll_out(shadow=shadow)
        case.now = case.office.clock()
        answers = [http.post("/invocations", json={"instances": [row]}).json() for row in ROWS]
        case.scorers[2].fails = True
        http.post("/invocations", json={"instances": ROWS})
    report = rollout_report(case.workspace, settings())
    champion, challenger = report.arms
    by_challenger = sum(answer["model"]["version"] == "2" for answer in answers)
    drawn = len(ROWS) if shadow else by_challenger
    assert drawn > 0
    assert (challenger.rows, challenger.failed) == (2 * drawn, drawn)
    assert (champion.rows, champion.failed) == (2 * len(ROWS) if shadow else 2 * len(ROWS) - drawn, 0)
    assert challenger.mean_score is not None
    assert report.next == "abort" if drawn > 5 else "wait"


def test_a_check_while_the_endpoint_runs_sees_what_waits_in_the_log_and_its_abort_reaches_the_endpoint(
    case: EndpointCase,
) -> None:
    with logging_client(case) as http:
        case.roll_out()
        case.now = case.office.clock()
        case.scorers[2].fails = True
        http.post("/invocations", json={"instances": ROWS})
        done = check_rollout(case.workspace, settings())
        assert (done.done, done.report.arms[1].failed > 5) == ("aborted", True)
        case.endpoint.refresh()
        assert http.get(STATE).json()["config"]["traffic_config"]["routes"] == [route(1, 100)]
