"""The endpoint does what its OpenAPI document says, for whatever schemathesis makes of that document."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.testclient import TestClient

from serving.app import create_app
from serving.service import Service
from tests.fakes.data.case import settings as configured
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, EndpointCase, Gone
from tests.unit.serving.test_app import PATH, Tokens

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
SCORED: dict[str, Any] = {"instances": [{**FULL, "contract": "new", "odd": 1}, {"customer_id": "a"}]}


def service(*overrides: str, **options: Any) -> Service:
    case = EndpointCase(**options)
    case.online_features("a")
    case.endpoint.refresh()
    return Service(case.endpoint, MODEL, configured(*overrides).serving, Tokens())


def described(service: Service) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(service, "1.2.3"))


@pytest.mark.parametrize(
    ("token", "negative", "expected"),
    [(None, False, {200, 401}), (None, True, {401}), ("rules", False, {200, 400}), ("rules", True, {400, 404})],
)
def test_every_answer_is_one_that_the_document_has(token: str | None, negative: bool, expected: set[int]) -> None:
    mode = schemathesis.GenerationMode.NEGATIVE if negative else schemathesis.GenerationMode.POSITIVE
    operations = [found.ok() for found in described(service()).get_all_operations()]
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    checks = [*CHECKS, *([ignored_auth] if token else []), *([negative_data_rejection] if token and negative else [])]
    seen: Counter[int] = Counter()
    for operation in operations:
        if negative and not (operation.body or operation.path_parameters):
            continue  # it reads nothing that could be wrong

        @settings(
            max_examples=25 if operation.body else 3,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def conforms(case: schemathesis.Case) -> None:
            answer = case.call(headers=headers)
            seen[answer.status_code] += 1
            case.validate_response(answer, checks=checks, headers=headers)

        conforms()
    assert expected <= set(seen)


@pytest.mark.parametrize(
    ("status", "made", "sent"),
    [
        (200, {}, {"json": SCORED}),
        (200, {}, {"json": {**SCORED, "params": {"reasons": True, "contributions": True}}}),
        (200, {}, {"json": {"inputs": {"customer_id": ["a", "nobody"]}}}),
        (400, {}, {"content": b"{"}),
        (401, {}, {"json": SCORED, "headers": {"authorization": "Bearer nobody"}}),
        (413, {"overrides": ("serving.max_megabytes=0.0001",)}, {"json": SCORED}),
        (415, {}, {"content": b"a,b", "headers": {"content-type": "text/csv"}}),
        (503, {"online": Gone()}, {"json": SCORED}),
    ],
)
def test_each_kind_of_answer_is_described(status: int, made: dict[str, Any], sent: dict[str, Any]) -> None:
    served = service(*made.get("overrides", ()), **{name: made[name] for name in made if name != "overrides"})
    operation = described(served)[PATH.replace(MODEL, "{name}")]["POST"]
    with TestClient(create_app(served, "1.2.3")) as http:  # type: ignore[arg-type]
        answer = http.post(PATH, **{**sent, "headers": {"authorization": "Bearer rules", **sent.get("headers", {})}})
    assert answer.status_code == status
    case = operation.Case(path_parameters={"name": MODEL}, body=SCORED, media_type="application/json")
    case.validate_response(answer, checks=CHECKS[1:])  # a server error is what one of them is


def test_the_document_names_every_refusal() -> None:
    responses = described(service()).raw_schema["paths"]["/invocations"]["post"]["responses"]
    assert set(responses) == {str(status) for status in (200, 400, 401, 404, 408, 413, 415, 429, 500, 503)}
    assert {"Retry-After", "X-Request-Id"} == set(responses["429"]["headers"]) == set(responses["503"]["headers"])
