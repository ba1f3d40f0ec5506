"""The endpoint's OpenAPI document: what may be asked, and every answer, refusals included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .refusals import error_code

__all__ = ["document"]

_VALUE = {"type": ["string", "number", "boolean", "null"]}
_ROW = {
    "type": "object",
    "description": "The customer's key, columns of the data set, or both.",
    "additionalProperties": _VALUE,
}
_NOT_READ = {"description": "Not read."}
_ROWS = {"type": "array", "minItems": 1, "items": _ROW}
_FORMS = {
    "dataframe_records": _ROWS,
    "instances": _ROWS,
    "inputs": {
        "description": "Rows as objects, or an array of values for each column; all arrays have the same length.",
        "anyOf": [
            _ROWS,
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"anyOf": [_VALUE, {"type": "array", "minItems": 1, "items": _VALUE}]},
            },
        ],
    },
    "dataframe_split": {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
            "data": {"type": "array", "minItems": 1, "items": {"type": "array", "items": _VALUE}},
            "index": _NOT_READ,
        },
    },
}
_PARAMS = {
    "type": ["object", "null"],
    "properties": {
        "reasons": {"type": "boolean", "description": "Whether to say why, in words; false by default."},
        "contributions": {"type": "boolean", "description": "Whether to say what each value added; false by default."},
        "what_if": {
            "type": "boolean",
            "description": "Whether nobody acts on the answers, for the rows are made up or a test: "
            "they are logged as such.",
        },
    },
    "additionalProperties": False,
}
_REQUEST = {
    "type": "object",
    "description": "One of the four forms of a table. Of a name that is there twice the last one counts.",
    "oneOf": [{"required": [name]} for name in _FORMS],
    "properties": {**_FORMS, "params": _PARAMS, "client_request_id": _NOT_READ, "usage_context": _NOT_READ},
    "additionalProperties": False,
    "examples": [{"dataframe_records": [{"customer_id": "0000-HCAIT"}], "params": {"reasons": True}}],
}
_NUMBER, _AMOUNT, _TEXT = {"type": ["number", "null"]}, {"type": "number"}, {"type": "string"}
_PREDICTION = {
    "type": "object",
    "required": ["customer", "status", "model_version", "probability", "decision", "expected_value"],
    "properties": {
        "customer": {"type": ["string", "null"], "description": "The key, null where the row had none."},
        "status": {
            "enum": ["ok", "stale", "unknown"],
            "description": "Scored, scored on old features, or not online and not scored.",
        },
        "model_version": {**_TEXT, "description": "The version that answered this row."},
        "probability": {"type": ["number", "null"], "minimum": 0, "maximum": 1, "description": "Of churn."},
        "decision": {"enum": ["treat", "leave", None]},
        "expected_value": {**_NUMBER, "description": "What an offer is expected to earn, in the model's currency."},
        "customer_value": {**_NUMBER, "description": "What keeping the customer is worth, in that currency."},
        "reasons": {"type": "array", "items": _TEXT, "description": "What raises the risk most, strongest first."},
        "features_at": {"type": "string", "format": "date-time", "description": "Of features that were looked up."},
        "base": {
            "type": "number",
            "description": "Log-odds that the model starts from; with all contributions, those of the probability.",
        },
        "contributions": {
            "type": "array",
            "description": "What each input and feature added to the log-odds, in the model's order.",
            "items": {
                "type": "object",
                "required": ["name", "value", "added"],
                "properties": {"name": _TEXT, "value": {"type": ["string", "number", "null"]}, "added": _AMOUNT},
            },
        },
        "threshold": {**_NUMBER, "description": "The probability from which an offer pays; null: at none."},
    },
    "additionalProperties": False,
}
_ANSWER = {
    "type": "object",
    "required": ["predictions", "served-model-name", "model"],
    "properties": {
        "predictions": {"type": "array", "items": _PREDICTION, "description": "One for each row, in their order."},
        "served-model-name": {**_TEXT, "description": "Model and version; of two versions both, with a comma between."},
        "model": {
            "type": "object",
            "required": ["name", "version"],
            "properties": {"name": _TEXT, "version": _TEXT},
        },
        "ignored_columns": {"type": "array", "items": _TEXT, "description": "Columns that the data set has not."},
        "unseen_values": {
            "type": "object",
            "additionalProperties": {"type": "integer", "minimum": 1},
            "description": "Rows with a category that training did not know, or a text for a number, by column; "
            "scored as missing.",
        },
    },
    "additionalProperties": False,
}
_ERROR = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": _TEXT, "message": _TEXT},
    "additionalProperties": False,
}
_MODEL = {
    "type": "object",
    "required": ["key", "currency", "window_days", "inputs", "features"],
    "properties": {
        "key": {**_TEXT, "description": "The column of the customer's key."},
        "currency": {**_TEXT, "description": "Of every amount of money."},
        "window_days": {"type": "integer", "description": "Churn is predicted within so many days."},
        "inputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "description", "type", "nullable", "actionable", "values", "min", "max"],
                "properties": {
                    "name": _TEXT,
                    "description": _TEXT,
                    "type": {"enum": ["categorical", "integer", "number"]},
                    "nullable": {"type": "boolean"},
                    "actionable": {"type": "boolean", "description": "Whether the business can change it."},
                    "values": {"type": ["array", "null"], "items": _TEXT},
                    "min": _NUMBER,
                    "max": _NUMBER,
                },
            },
        },
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "description"],
                "properties": {"name": _TEXT, "description": _TEXT},
            },
        },
    },
}
_READY = {
    "type": "object",
    "required": ["ready", "version", "preparing", "challenger", "challenger_share", "degraded"],
    "properties": {
        "ready": {"type": "boolean"},
        "version": {"type": ["integer", "null"]},
        "preparing": {"type": ["integer", "null"], "description": "The version that is being loaded."},
        "challenger": {"type": ["integer", "null"], "description": "The version that is rolled out beside it."},
        "challenger_share": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Of customers whom that one answers.",
        },
        "degraded": {"type": "array", "items": _TEXT, "description": "What does not work."},
        "predictions": {
            "type": "object",
            "description": "Rows of this process that were logged, and that were answered and could not be.",
            "properties": {"logged": {"type": "integer"}, "dropped": {"type": "integer"}},
        },
    },
}
_STATE = {
    "type": "object",
    "required": ["name", "state", "config"],
    "properties": {
        "name": _TEXT,
        "state": {
            "type": "object",
            "required": ["ready", "config_update"],
            "properties": {
                "ready": {"enum": ["READY", "NOT_READY"]},
                "config_update": {"enum": ["NOT_UPDATING", "IN_PROGRESS", "UPDATE_FAILED"]},
            },
        },
        "config": {"type": "object", "required": ["served_entities", "traffic_config"]},
    },
}
_STATES = {"type": "array", "items": {"$ref": "#/components/schemas/State"}}
_ERRORS = {
    400: "The request cannot be read: no JSON, another form, no row or too many, or a value that is a list.",
    401: "No token, or one that nobody made.",
    403: "The token may not do that.",
    404: "Another endpoint.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    415: "The request is not JSON.",
    429: "Too many requests at a time: come again after `Retry-After` seconds.",
    500: "A fault of the program; its log has the request's id.",
    503: "The online store, or a version, is not there: come again after `Retry-After` seconds.",
}
_SCORING = (400, 401, 404, 408, 413, 415, 429, 500, 503)
_REQUEST_ID = {"X-Request-Id": {"description": "The request's id, as it is in the log.", "schema": _TEXT}}
_WAIT = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_NAME = {"name": "name", "in": "path", "required": True, "description": "Of the endpoint."}


def document(name: str, version: str) -> dict[str, Any]:
    """Return the document of the endpoint `name`, of this version of the program."""
    score = {
        "summary": "Score customers",
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": _json("Request")},
        "responses": _responses("Answer", _SCORING, headers={"served-model-name": {"schema": _TEXT}}),
    }
    state = _get("State, served version and traffic", "State", (401, 404, 500, 503))
    ready = _get("Whether a version is loaded, and what does not work", "Readiness", (), open_to_all=True)
    ready["responses"]["503"] = {**_described("No version is loaded.", "Readiness"), "headers": _REQUEST_ID}
    metrics = _get("Counts and times, for Prometheus", "Answer", (401, 403, 500, 503))
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": _TEXT}}
    named = {"parameters": [{**_NAME, "schema": {"enum": [name]}}]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": version,
            "description": "Scores customers, in the protocol of Databricks Model Serving.",
        },
        "paths": {
            "/invocations": {"post": score},
            "/serving-endpoints/{name}/invocations": {**named, "post": score},
            "/api/2.0/serving-endpoints/{name}": {**named, "get": state},
            "/api/2.0/serving-endpoints": {"get": _get("The one endpoint that is here", "States", (401, 500, 503))},
            "/model": {"get": _get("What the model reads", "Model", (401, 500, 503))},
            "/health/live": {"get": _get("Whether the process answers", "Status", (), open_to_all=True)},
            "/health/ready": {"get": ready},
            "/version": {"get": _get("The versions of program and model", "Versions", (), open_to_all=True)},
            "/metrics": {"get": metrics},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Request": _REQUEST,
                "Answer": _ANSWER,
                "Error": _ERROR,
                "Model": _MODEL,
                "Readiness": _READY,
                "State": _STATE,
                "States": {"type": "object", "required": ["endpoints"], "properties": {"endpoints": _STATES}},
                "Status": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
                "Versions": {
                    "type": "object",
                    "required": ["program", "model_version"],
                    "properties": {"program": _TEXT, "model_version": {"type": ["integer", "null"]}},
                },
            },
        },
    }


def _get(summary: str, schema: str, errors: tuple[int, ...], *, open_to_all: bool = False) -> dict[str, Any]:
    security: dict[str, Any] = {} if open_to_all else {"security": [{"token": []}]}
    return {"summary": summary, **security, "responses": _responses(schema, errors)}


def _responses(schema: str, errors: tuple[int, ...], headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    responses = {"200": {**_described("Answered.", schema), "headers": {**_REQUEST_ID, **(headers or {})}}}
    for status in errors:
        said = f"`{error_code(status)}`. {_ERRORS[status]}"
        waits = _WAIT if status in (429, 503) else {}
        responses[str(status)] = {**_described(said, "Error"), "headers": {**_REQUEST_ID, **waits}}
    return responses


def _described(said: str, schema: str) -> dict[str, Any]:
    return {"description": said, "content": _json(schema)}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
