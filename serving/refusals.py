"""Answers other than scores, in the form of Databricks' errors, and what every answer carries."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import wraps
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response

from churn.core.errors import ChurnError, DataError, NotFound, StoreError

__all__ = [
    "ALWAYS",
    "REQUEST_ID",
    "Headers",
    "Refused",
    "answered",
    "error_code",
    "is_this_machine",
    "json_response",
    "refusal",
    "refusal_of",
    "request_id_of",
    "status_of",
]

_LOG = logging.getLogger(__name__)
Handler = Callable[..., Awaitable[Response]]
_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
"""Headers of every answer."""
REQUEST_ID = b"x-request-id"
_THIS_MACHINE = re.compile(rb"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: The HTTP status.
        headers: Further headers.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def error_code(status: int) -> str:
    """Return Databricks' word for an HTTP status that is an error."""
    return _CODES.get(status, "BAD_REQUEST")


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as Databricks' clients read it."""
    return json_response({"error_code": error_code(status), "message": message}, status, headers)


def status_of(error: BaseException) -> int:
    """Return the HTTP status of an error: 400 for what the client can mend, 503 for what may pass, else 500."""
    match error:
        case Refused():
            return error.status
        case DataError():
            return 400
        case StoreError() | NotFound():  # what is not loaded yet may be soon
            return 503
    return 500


def refusal_of(error: Exception, request_id: str) -> Response:
    """Return an error in words, and no traceback; see `status_of`."""
    status = status_of(error)
    match error:
        case Refused():
            return refusal(status, str(error), error.headers)
        case ChurnError():
            return refusal(status, str(error), {"Retry-After": "5"} if status == 503 else None)
    _LOG.error("request %s failed", request_id, exc_info=error)
    return refusal(status, f"The request could not be answered. The log has why, under its id {request_id}.")


def answered(handler: Handler) -> Handler:
    """Let a route answer errors as `refusal_of` says them."""

    @wraps(handler)
    async def answering(request: Request, *arguments: Any, **options: Any) -> Response:
        try:
            return await handler(request, *arguments, **options)
        except Exception as error:  # noqa: BLE001 - the last place where it can be told in words
            return refusal_of(error, request.scope["request_id"])

    return answering


def request_id_of(sent: bytes) -> str:
    """Return the id of a request: what a client gave, if it is 1 to 100 printable ASCII characters, or a new one."""
    is_fit = 0 < len(sent) <= 100 and all(32 < letter < 127 for letter in sent)
    return sent.decode() if is_fit else os.urandom(16).hex()


def is_this_machine(host: bytes) -> bool:
    """Return whether the header `Host` names this machine, as seen from itself."""
    return _THIS_MACHINE.fullmatch(host) is not None


class Headers:
    """An ASGI application whose every answer has the id of its request and headers that keep browsers careful.

    A client may give the id as `X-Request-Id`.
    """

    def __init__(self, application: Any) -> None:
        """Take the application."""
        self._application = application

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
        scope["request_id"] = request_id_of(sent)
        added = [*ALWAYS, (REQUEST_ID, scope["request_id"].encode())]

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._application(scope, receive, sending)
