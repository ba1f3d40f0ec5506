"""Parses rows of an inference table (requests and answers as JSON) into rows of the prediction log.

Tables of the AI gateway (`request_time`, `execution_duration_ms`), of telemetry, and those of before (`timestamp_ms`,
`execution_time_ms`) differ in names alone; so does the project's own log of requests.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from churn.ports.prediction_log import LoggedRow, PredictionRole
from churn.scoring.logged import LOGGED_SCHEMA

from .served_model import WHAT_IF

__all__ = ["Read", "read_requests"]


class Read(NamedTuple):
    """What requests hold.

    Attributes:
        rows: Columns as `LOGGED_SCHEMA` has them.
        refused: Requests that the endpoint refused; they say nothing of a customer.
        unreadable: Requests whose answer is cut off or is none of this project's.
    """

    rows: pa.Table
    refused: int
    unreadable: int


def read_requests(requests: Iterable[Mapping[str, Any]]) -> Read:
    """Return what an endpoint answered.

    Args:
        requests: Rows of an inference table, by column.
    """
    rows: list[LoggedRow] = []
    refused = unreadable = 0
    for request in requests:
        if int(request.get("status_code") or 200) != 200:
            refused += 1
            continue
        try:
            rows += _rows(request)
        except (ValueError, KeyError, TypeError, AttributeError):
            unreadable += 1
    return Read(pa.Table.from_pylist([row._asdict() for row in rows], LOGGED_SCHEMA), refused, unreadable)


def _rows(request: Mapping[str, Any]) -> list[LoggedRow]:
    at, request_id = _time(request), str(request.get("client_request_id") or "")
    said = json.loads(request["response"])["predictions"]
    asked = _asked(request.get("request"))
    flagged = [bool(row.get(WHAT_IF)) for row in asked] if len(asked) == len(said) else [False] * len(said)
    rows = []
    for answer, is_test in zip(said, flagged, strict=True):
        role: PredictionRole = "what_if" if is_test or request_id.startswith("what_if-") else "answered"
        features_at, scored = answer.get("features_at"), answer.get("probability") is not None
        rows.append(
            LoggedRow(
                customer=str(answer.get("customer") or ""),
                event_time=dt.datetime.fromisoformat(features_at) if features_at else at,
                scored_at=at,
                request_id=request_id or str(request["databricks_request_id"]),
                role=role,
                status=str(answer["status"]),
                probability=float(answer["probability"]) if scored else None,
                decision=answer.get("decision"),
                expected_value=answer.get("expected_value"),
                customer_value=answer.get("customer_value"),
                reasons=[*answer.get("reasons", ())],
                model_name=str(answer["model_name"]),
                model_version=int(answer["model_version"]),
                model_alias=str(answer["model_alias"]),
                threshold_policy=str(answer["threshold_policy"]),
                features_version=answer.get("features_version"),
                score_ms=answer.get("score_ms"),
            )
        )
    return rows


def _time(request: Mapping[str, Any]) -> dt.datetime:
    time = request.get("request_time")
    if time is None:
        return dt.datetime.fromtimestamp(int(request["timestamp_ms"]) / 1000, dt.UTC)
    moment = dt.datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _asked(body: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a request; none where it is cut off or has another form."""
    try:
        asked = json.loads(body or "{}")
    except ValueError:
        return []
    if "dataframe_split" in asked:
        split = asked["dataframe_split"]
        return [dict(zip(split["columns"], values, strict=False)) for values in split["data"]]
    return list(asked.get("dataframe_records") or ())
