"""The endpoint on Model Serving keeps its port's promises, changes in place, and tells faults."""

from __future__ import annotations

import re
from typing import Any

import pytest

from adapters.databricks.endpoint import ModelServingEndpoint, OnTrial, endpoint_name
from churn.core.errors import ConfigError, StoreError
from churn.profile import DatabricksSettings
from tests.contract.test_endpoint_host import (
    BROKEN,
    Hosted,
    test_an_endpoint_is_started_changed_asked_and_ended,  # noqa: F401 - the suite of the port
)
from tests.fakes.data.endpoint import FULL

from .serving_case import FULL_NAME, ServingCase
from .workspace import Workspace, as_json

CREATE, CONFIG = "POST /api/2.0/serving-endpoints", "PUT /api/2.0/serving-endpoints/churn_gym/config"


@pytest.fixture
def case(workspace: Workspace) -> ServingCase:
    return ServingCase(workspace)


@pytest.fixture
def hosted(case: ServingCase) -> Hosted:
    case.case.broken.add(BROKEN)
    return Hosted(case.host, lambda version: None, counts=False, keeps_logs=False)


def test_a_name_that_is_too_long_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"has 64 characters, and Model Serving takes 63: set a shorter profile"):
        endpoint_name(DatabricksSettings(), "x" * 58)
    assert endpoint_name(DatabricksSettings(), "x" * 57) == "churn-" + "x" * 57


def test_one_endpoint_serves_every_version_by_an_entity_for_each_alias(workspace: Workspace, case: ServingCase) -> None:
    for version in (1, 2, 3):
        case.host.ensure(version, within=1)
    assert [len(workspace.calls(route)) for route in (CREATE, CONFIG)] == [1, 2]
    (entity,) = as_json(workspace.calls(CONFIG)[-1])["served_entities"]
    assert (entity["name"], entity["entity_name"], entity["entity_version"]) == ("champion", FULL_NAME, "3")
    assert (entity["workload_size"], entity["scale_to_zero_enabled"]) == ("Small", True)
    assert {tag["key"]: tag["value"] for tag in case.there["tags"]} == {
        "managed_by": "churn",
        "churn_project": "churn",
        "churn_dataset": "gym",
        "churn_log": "telemetry",
    }
    case.host.ensure(3, within=1)
    assert len(workspace.calls(CONFIG)) == 2, "what is there already is not changed"


@pytest.mark.parametrize(("share", "percent"), [(0.0, 0), (0.1, 10), (0.25, 25), (1.0, 100)])
def test_a_rollout_is_a_traffic_split_and_in_shadow_a_version_without_traffic(
    case: ServingCase, share: float, percent: int
) -> None:
    case.host.ensure(1, within=1)
    case.trial = OnTrial(2, share)
    case.host.ensure(1, within=1)
    routes = {route["served_model_name"]: route["traffic_percentage"] for route in case.routes}
    assert routes == {"champion": 100 - percent, "challenger": percent}
    answered = [case.host.query([FULL]).versions[0] for _ in range(100)]
    assert answered.count(2) == percent
    case.trial = None
    case.host.ensure(1, within=1)
    assert [route["served_model_name"] for route in case.routes] == ["champion"]


def test_size_and_scale_to_zero_are_settings_and_a_change_of_them_changes_the_endpoint(workspace: Workspace) -> None:
    ServingCase(workspace).host.ensure(1, within=1)
    case = ServingCase(workspace, workload_size="Medium", scale_to_zero=False)
    case.host.ensure(1, within=1)
    (entity,) = case.there["config"]["served_entities"]
    assert (entity["workload_size"], entity["scale_to_zero_enabled"]) == ("Medium", False)


def test_who_may_query_is_granted_by_the_endpoints_id(workspace: Workspace) -> None:
    case = ServingCase(workspace, can_query=["group:crm", "service_principal:0a1b", "bob@example.com"])
    for _ in range(2):
        case.host.ensure(1, within=1)
    level = {"permission_level": "CAN_QUERY"}
    assert workspace.serving.grants[case.there["id"]] == [
        {"group_name": "crm", **level},
        {"service_principal_name": "0a1b", **level},
        {"user_name": "bob@example.com", **level},
    ]


def test_a_failed_update_leaves_what_answered_and_says_why_with_the_build_logs(case: ServingCase) -> None:
    case.host.ensure(1, within=1)
    case.case.broken.add(2)
    case.serving.build_logs["champion"] = "Step 4\nERROR: No matching distribution found for xgboost==9"
    with pytest.raises(StoreError) as told:
        case.host.ensure(2, within=1)
    for part in (
        "cannot change to version 2: The files of version 2 are gone.",
        "The build ended with: 'ERROR: No matching distribution found for xgboost==9'",
        f"Build logs: {case.workspace.url}/ml/endpoints/churn_gym; version 1 goes on answering.",
    ):
        assert part in str(told.value)
    assert case.host.query([FULL]).versions == [1]
    case.case.broken.clear()
    assert case.host.ensure(2, within=1).version == 2, "the same command again"


def test_a_first_version_that_does_not_start_leaves_one_endpoint_that_the_next_attempt_takes(case: ServingCase) -> None:
    case.case.broken.add(1)
    with pytest.raises(StoreError, match=r"cannot change to version 1: .*no version answers"):
        case.host.ensure(1, within=1)
    state = case.host.state()
    assert state is not None
    assert (state.ready, state.version, state.update) == (False, None, "failed")
    case.case.broken.clear()
    assert case.host.ensure(1, within=1).ready
    assert len(case.serving.endpoints) == 1


def test_an_update_of_somebody_else_is_waited_for(workspace: Workspace, case: ServingCase) -> None:
    case.host.ensure(1, within=1)
    case.serving.polls = 3
    other = case.host_of()
    other._client.serving_endpoints.update_config("churn_gym", *(), **_config(case.host, 2))
    assert case.host.ensure(3, within=1).version == 3
    assert len(workspace.calls(CONFIG)) == 2


def test_an_update_that_comes_between_look_and_change_is_waited_for_too(
    workspace: Workspace, case: ServingCase
) -> None:
    case.host.ensure(1, within=1)
    workspace.faults.lose(CONFIG)  # the SDK asks again, and finds its own first request under way
    assert case.host.ensure(2, within=1).version == 2


@pytest.mark.parametrize("fault", ["lose", "drop"])
def test_an_answer_that_is_lost_makes_no_second_endpoint(workspace: Workspace, case: ServingCase, fault: str) -> None:
    getattr(workspace.faults, fault)(CREATE)
    assert case.host.ensure(1, within=1).version == 1
    assert len(case.serving.endpoints) == 1
    getattr(workspace.faults, fault)("DELETE /api/2.0/serving-endpoints/churn_gym")
    assert case.host.stop(within=1)
    assert not case.serving.endpoints


def test_a_deadline_says_what_goes_on_and_the_same_command_waits_on(workspace: Workspace) -> None:
    case = ServingCase(workspace, update_seconds=0.05)
    case.serving.polls = 1_000_000
    with pytest.raises(StoreError, match=r"after 0\.05 seconds .*update_seconds.*Creating container image.*goes on"):
        case.host.ensure(1, within=0)
    case.serving.hurry()
    assert case.host.ensure(1, within=0).version == 1
    assert len(workspace.calls(CREATE)) == 1


@pytest.mark.parametrize("status", ["PENDING_REGISTRATION", "FAILED_REGISTRATION"])
def test_a_version_that_is_not_ready_is_waited_for_or_refused(case: ServingCase, status: str) -> None:
    version = case.workspace.mlflow.models[FULL_NAME]["versions"][2]
    version.update(status=status, polls=3)
    if status == "PENDING_REGISTRATION":
        assert case.host.ensure(2, within=1).version == 2
    else:
        with pytest.raises(StoreError, match=r"Version 2 of main\.gym\.churn_gym is FAILED_REGISTRATION"):
            case.host.ensure(2, within=1)
        assert not case.serving.endpoints


def test_a_token_that_ends_while_an_endpoint_is_waited_for_says_so_and_the_update_goes_on(case: ServingCase) -> None:
    case.host.ensure(1, within=1)
    case.serving.polls, token = 20, case.host._client.config.token
    case.serving.on_update = lambda: case.workspace.expire(str(token))
    with pytest.raises(StoreError, match=r"expired.*Your login has ended"):
        case.host.ensure(2, within=1)
    again = case.host_of()
    assert again.ensure(2, within=1).version == 2
    assert len(case.workspace.calls(CONFIG)) == 1


def test_an_endpoint_whose_owner_changed_is_left_alone(case: ServingCase) -> None:
    case.host.ensure(1, within=1)
    case.there["creator"] = "eve@example.com"
    for act in (lambda: case.host.ensure(2, within=1), lambda: case.host.stop(within=1)):
        with pytest.raises(StoreError, match=r"not have 'Manage' permission on serving endpoint churn_gym.*privilege"):
            act()
    assert case.host.query([FULL]).versions == [1]


def test_an_endpoint_that_this_project_did_not_make_is_neither_changed_nor_deleted(case: ServingCase) -> None:
    case.host.ensure(1, within=1)
    case.there["tags"] = []
    for act in (lambda: case.host.ensure(2, within=1), lambda: case.host.stop(within=1)):
        with pytest.raises(StoreError, match=r"churn_gym \(http.*was not made by this project"):
            act()


def test_a_query_says_in_inference_tables_that_it_is_a_test(workspace: Workspace, case: ServingCase) -> None:
    case.host.ensure(1, within=1)
    case.host.query([{"customer_id": "a"}])
    asked = as_json(workspace.calls("POST /serving-endpoints/churn_gym/invocations")[-1])
    assert re.fullmatch(r"what_if-[0-9a-f-]{36}", asked["client_request_id"])
    assert asked["dataframe_records"] == [{"customer_id": "a", "churn_reasons": False, "churn_what_if": True}]


def _config(host: ModelServingEndpoint, version: int) -> dict[str, Any]:
    entities, traffic = host._config(version, None)
    return {"served_entities": entities, "traffic_config": traffic}
