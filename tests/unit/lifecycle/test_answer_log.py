"""What is logged of an answer: who, when, what was said by which version, and the columns that a setting names."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from churn.core.errors import ConfigError, StoreError
from churn.core.shares import hash_share
from churn.lifecycle.answer_log import AnswerLog
from churn.ports.prediction_log import LoggedRow
from churn.scoring.policy import policy_of
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import FULL, NOW, EndpointCase

BEFORE = NOW - dt.timedelta(days=3)


def logged(*rows: dict[str, Any], explain: bool = False, **changed: Any) -> list[LoggedRow]:
    """Return what is logged of the answer to these rows; customer a is online."""
    case = EndpointCase()
    case.online_features("a", at=BEFORE)
    case.endpoint.refresh()
    serving = settings(*(f"serving.log.{name}={value}" for name, value in changed.items())).serving
    log = AnswerLog(case.workspace, serving.log)
    assert log.log(case.endpoint.answer(rows, explain=explain), "r-1")
    return case.log.waiting


def test_what_was_said_is_logged_and_what_the_model_read_is_not() -> None:
    (row,) = logged({"customer_id": "a"})
    case = EndpointCase()
    case.endpoint.refresh()
    (answer,) = case.endpoint.answer([FULL], explain=False).rows
    score = answer.score
    assert score is not None
    assert row == LoggedRow(
        customer="a",
        event_time=BEFORE,
        scored_at=NOW,
        request_id="r-1",
        role="answered",
        status="ok",
        probability=score.probability,
        decision=score.decision,
        expected_value=score.expected_value,
        customer_value=score.customer_value,
        reasons=(),
        model_name=MODEL,
        model_version=1,
        model_alias="Champion",
        threshold_policy=policy_of(case.endpoint.served.model.scoring),  # type: ignore[union-attr]
        features_version=4,
        inputs=None,
        score_ms=row.score_ms,
    )


def test_facts_that_the_request_brought_are_of_the_time_of_the_request() -> None:
    (row,) = logged({**FULL, "customer_id": "a"})
    assert (row.event_time, row.features_version, row.status) == (NOW, None, "ok")


def test_a_row_without_a_key_and_an_unknown_customer_are_logged_too() -> None:
    nobody, unknown = logged(FULL, {"customer_id": "b"})
    assert (nobody.customer, nobody.status) == ("", "ok")
    assert unknown[5:10] == ("unknown", None, None, None, None)
    assert (unknown.customer, unknown.event_time) == ("b", NOW)


def test_reasons_are_logged_where_they_were_asked_for() -> None:
    (row,) = logged({"customer_id": "a"}, explain=True)
    assert len(row.reasons) == 3


@pytest.mark.parametrize(
    ("columns", "names"),
    [("inputs", {*FULL}), ("[tenure]", {"tenure"}), ("[total_charges, contract]", {"total_charges", "contract"})],
)
def test_columns_are_logged_as_the_model_read_them_where_a_setting_names_them(columns: str, names: set[str]) -> None:
    (row,) = logged({"customer_id": "a", "tenure": "7", "contract": 1}, columns=columns)
    inputs = json.loads(row.inputs or "")
    assert {*inputs} & {*FULL} == names
    read = {**FULL, "tenure": 7.0, "contract": "1"}
    assert {name: inputs[name] for name in names} == {name: read[name] for name in names}


def test_of_an_unknown_customer_no_columns_are_logged() -> None:
    (row,) = logged({"customer_id": "b"}, columns="inputs")
    assert row.inputs is None


@pytest.mark.parametrize("columns", ["[tenurre]", "[customer_id]", "[tenure, email]"])
def test_a_column_that_no_model_reads_is_refused_at_the_start(columns: str) -> None:
    with pytest.raises(ConfigError, match="which is no column of 'gym' that a model reads"):
        logged(FULL, columns=columns)


def test_a_shadow_is_told_from_an_answer() -> None:
    case = EndpointCase()
    case.endpoint.refresh()
    log = AnswerLog(case.workspace, settings().serving.log)
    log.log(case.endpoint.answer([FULL], explain=False), "r", role="shadow")
    (row,) = case.log.waiting
    assert (row.role, row.model_alias) == ("shadow", "Challenger")


def test_a_log_without_room_answers_or_refuses_as_the_setting_says() -> None:
    case = EndpointCase()
    case.endpoint.refresh()
    case.log.is_broken = True
    answers = case.endpoint.answer([FULL], explain=False)
    assert not AnswerLog(case.workspace, settings().serving.log).log(answers, "r")
    with pytest.raises(StoreError, match="not logged"):
        AnswerLog(case.workspace, settings("serving.log.when_full=refuse").serving.log).log(answers, "r")


def test_each_row_is_logged_under_the_version_that_answered_it() -> None:
    case = EndpointCase()
    case.endpoint.refresh()
    case.roll_out()
    log = AnswerLog(case.workspace, settings().serving.log)
    rows = [{"customer_id": f"c{number}", **FULL} for number in range(40)]
    answers = case.endpoint.answer(rows, explain=False)
    assert log.log(answers, "r")
    logged = {row.customer: row for row in case.log.waiting}
    for number, answer in enumerate(answers.rows):
        row, version = logged[str(answer.customer)], answers.by(number).version
        assert answer.score is not None
        assert (row.model_version, row.model_alias) == (version, {1: "Champion", 2: "Challenger"}[version])
        assert (row.probability, row.status, row.score_ms) == (answer.score.probability, "ok", answer.score_ms)
    assert {row.model_version for row in logged.values()} == {1, 2}


def test_what_a_version_on_trial_could_not_score_is_logged_as_answered_and_as_failed() -> None:
    case = EndpointCase()
    case.endpoint.refresh()
    rollout = case.roll_out()
    customer = next(key for key in map(str, range(99)) if hash_share(key, rollout.share, rollout.identity))
    case.scorers[2].fails = True
    log = AnswerLog(case.workspace, settings().serving.log)
    log.log(case.endpoint.answer([{"customer_id": customer, **FULL}], explain=False), "r")
    answered, failed = case.log.waiting
    assert (answered.model_version, answered.status, answered.role) == (1, "ok", "answered")
    assert (failed.model_version, failed.status, failed.role, failed.customer) == (2, "failed", "answered", customer)
    assert (failed.probability, failed.decision, failed.score_ms) == (None, None, None)


def test_a_failure_in_shadow_is_logged_as_one() -> None:
    case = EndpointCase()
    case.endpoint.refresh()
    case.roll_out(shadow=True)
    case.scorers[2].fails = True
    shadow = case.endpoint.shadow([{"customer_id": "c1", **FULL}])
    assert shadow is not None
    AnswerLog(case.workspace, settings().serving.log).log(shadow, "r", role="shadow")
    [row] = case.log.waiting
    assert (row.customer, row.role, row.status, row.model_version) == ("c1", "shadow", "failed", 2)
    assert row.model_alias == "Challenger"
