"""Explaining a customer who is in no table any more: by a batch, never by what the endpoint answered."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from churn.core.errors import NotFound
from churn.lifecycle.answer_log import AnswerLog
from churn.lifecycle.explain import explain_customer
from tests.fakes.data.case import settings
from tests.fakes.data.endpoint import CONTRACT, FULL, NOW, EndpointCase

EARLIER = pa.array([NOW - dt.timedelta(days=2)])


@pytest.fixture
def case() -> EndpointCase:
    case = EndpointCase()
    case.endpoint.refresh()
    features = {
        "customer_id": ["somebody"],
        "transaction_ts": EARLIER,
        **{name: [value] for name, value in FULL.items()},
    }
    case.tables.upsert(CONTRACT.table("features"), pa.table(features))
    AnswerLog(case.workspace, settings().serving.log).log(
        case.endpoint.answer([{**FULL, "customer_id": "z"}], explain=False), "r"
    )
    case.log.move()
    return case


def test_an_answer_of_the_endpoint_explains_nothing(case: EndpointCase) -> None:
    with pytest.raises(NotFound, match="'z'") as caught:
        explain_customer(case.workspace, settings(), "z")
    assert "said" not in str(caught.value)


def test_the_batch_before_the_answer_does(case: EndpointCase) -> None:
    scored = {
        "batch_id": ["b1"],
        "row_number": [0],
        "customer_id": ["z"],
        "transaction_ts": EARLIER,
        "scored_at": EARLIER,
    }
    said = {"probability": [0.25], "decision": ["treat"], "model_version": [1], "source": ["batch"]}
    case.tables.upsert(CONTRACT.table("predictions"), pa.table({**scored, **said}))
    with pytest.raises(NotFound, match=r"The batch b1, scored at .* said: 25"):
        explain_customer(case.workspace, settings(), "z")
