"""Requests and answers in the protocol of Databricks Model Serving and of MLflow's scoring server.

https://docs.databricks.com/aws/en/machine-learning/model-serving/score-custom-model-endpoints
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from churn.core.errors import DataError, nearest
from churn.lifecycle.endpoint import Answers
from churn.ports.prediction_log import PredictionRole
from churn.scoring.answers import Answer

__all__ = ["Request", "answer_of", "read_request"]

_FORMS = ("dataframe_records", "dataframe_split", "inputs", "instances")
_PARAMS = ("reasons", "contributions", "what_if")
_OPTIONS = {"params", "client_request_id", "usage_context"}
_NAMES = {*_FORMS, *_OPTIONS}


class Request(NamedTuple):
    """What a client asks.

    Attributes:
        rows: JSON objects, one a customer.
        explain: Whether to give reasons.
        contributions: Whether to say what each value added to the prediction.
        what_if: Whether the rows are made up; they are logged as such.
    """

    rows: list[dict[str, object]]
    explain: bool
    contributions: bool
    what_if: bool

    @property
    def role(self) -> PredictionRole:
        """What its rows are logged as."""
        return "what_if" if self.what_if else "answered"


def read_request(body: bytes, max_rows: int) -> Request:
    """Return what the body of a request asks.

    Raises:
        DataError: it is no JSON, has none or several of the forms, no row, too many rows, or a table that has not the
            shape of its form.
    """
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DataError(f"The body is no JSON ({error}): send one object in UTF-8.") from error
    if not isinstance(asked, dict):
        raise DataError(f"The body is {_kind(asked)}: send an object with one of {', '.join(_FORMS)}.")
    if not asked.keys() <= _NAMES:
        unknown = sorted(asked.keys() - _NAMES)
        raise DataError(
            f"The body has {unknown[0]!r:.80}, which is no part of a request"
            f"{nearest(unknown[0], [*_FORMS, *_OPTIONS]) or '.'} Send one of {', '.join(_FORMS)}, beside it "
            f"{', '.join(sorted(_OPTIONS))} if you like."
        )
    forms = [name for name in _FORMS if asked.get(name) is not None]
    if len(forms) != 1:
        had = " and ".join(forms) or "none of them"
        raise DataError(f"The body must have exactly one of {', '.join(_FORMS)}, and has {had}.")
    count = _count(forms[0], asked[forms[0]])  # before there is an object for each row
    if count == 0:
        raise DataError(f"{forms[0]!r} has no rows: send at least one.")
    if count is not None and count > max_rows:
        raise DataError(
            f"{forms[0]!r} has {count:,} rows, and a request may have {max_rows:,} (`serving.max_rows`): send "
            "several requests, or score the table by `--pipeline inference`."
        )
    rows = _split(asked[forms[0]]) if forms[0] == "dataframe_split" else _rows(forms[0], asked[forms[0]])
    return Request(rows, *_wanted(asked.get("params")))


def answer_of(answers: Answers, served_name: str) -> dict[str, Any]:
    """Return the body of an answer."""
    body: dict[str, Any] = {
        "predictions": [
            _prediction(answer, str(answers.by(number).version)) for number, answer in enumerate(answers.rows)
        ],
        "served-model-name": served_name,
        "model": {
            "name": answers.served.name,
            "version": ",".join([str(served.version) for served in answers.versions]),
        },
    }
    if answers.ignored:
        body["ignored_columns"] = answers.ignored
    if answers.unseen:
        body["unseen_values"] = answers.unseen
    return body


def _prediction(answer: Answer, version: str) -> dict[str, Any]:
    score = answer.score
    said: dict[str, Any] = {"customer": answer.customer, "status": answer.status, "model_version": version}
    if score is None:
        return {**said, "probability": None, "decision": None, "expected_value": None}
    said["probability"], said["decision"] = score.probability, score.decision
    said["expected_value"], said["customer_value"] = score.expected_value, score.customer_value
    if score.reasons:
        said["reasons"] = score.reasons
    if answer.features_at is not None:
        said["features_at"] = answer.features_at
    if answer.contributions is not None:
        said["base"], said["threshold"] = answer.contributions.base, answer.contributions.threshold
        said["contributions"] = [part._asdict() for part in answer.contributions.parts]
    return said


def _count(form: str, table: object) -> int | None:
    """Return how many rows a table has; None where it has another shape than its form."""
    if form == "inputs" and isinstance(table, dict):
        return max((len(values) if isinstance(values, list) else 1 for values in table.values()), default=0)
    rows = table.get("data") if form == "dataframe_split" and isinstance(table, dict) else table
    return len(rows) if isinstance(rows, list) else None


def _split(table: object) -> list[dict[str, object]]:
    names = table.get("columns") if isinstance(table, dict) else None
    data = table.get("data") if isinstance(table, dict) else None
    if not isinstance(names, list) or not isinstance(data, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            "'dataframe_split' must be an object with `columns`, a list of names, and `data`, a list of rows."
        )
    if len(set(names)) < len(names):
        raise DataError("'dataframe_split' names a column twice: keep one of each name.")
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise DataError(f"Row {number} of 'dataframe_split' is not a list of {len(names)} values, one a column.")
    return [dict(zip(names, row, strict=True)) for row in data]


def _rows(form: str, table: object) -> list[dict[str, object]]:
    if form == "inputs" and isinstance(table, dict):
        table = _of_columns(table)
    if not isinstance(table, list):
        raise DataError(f"{form!r} is {_kind(table)}: send a list of objects, one a customer.")
    for number, row in enumerate(table):
        if not isinstance(row, dict):
            raise DataError(f"Row {number} of {form!r} is {_kind(row)}: send an object with the customer's columns.")
    return table


def _of_columns(columns: Mapping[str, object]) -> list[dict[str, object]]:
    lists = {name: values if isinstance(values, list) else [values] for name, values in columns.items()}
    if len({len(values) for values in lists.values()}) > 1:
        raise DataError("The columns of 'inputs' have different lengths: give one value a row in each.")
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _wanted(params: object) -> tuple[bool, bool, bool]:
    if params is None:
        return False, False, False
    if (
        not isinstance(params, dict)
        or params.keys() - {*_PARAMS}
        or not all(isinstance(value, bool) for value in params.values())
    ):
        raise DataError(f"'params' may hold {', '.join(_PARAMS)}, each true or false.")
    reasons, contributions, what_if = (params.get(name, False) for name in _PARAMS)
    return reasons, contributions, what_if


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
