"""One connection of a client, with the limits that uvicorn lacks: on slow or endless headers, and on connections."""

from __future__ import annotations

import asyncio
import uuid
from itertools import chain
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from churn.scoring.settings import ServingSettings

from .refusals import ALWAYS, error_code

__all__ = ["LimitedConnection", "limits_of"]

_HEAD_BYTES = 65_536
"""What the first line and the headers of a request may have."""


def limits_of(settings: ServingSettings) -> dict[str, Any]:
    """Return uvicorn's options for connections that keep to the settings."""
    return {
        "http": LimitedConnection,
        "ws": "none",
        "timeout_keep_alive": settings.header_seconds,
        "limit_concurrency": settings.max_connections + 1,
    }


class LimitedConnection(HttpToolsProtocol):
    """Answers in words, and closes, where a client is not to be waited for; uvicorn's options are the limits.

    - The first line and the headers of a request have to arrive within `timeout_keep_alive` seconds, in 64 kB.
    - The rest of a body that was refused is read and dropped for as long, so that the client reads the answer.
    - From `limit_concurrency` connections on, one more is refused.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        self._head_bytes, self._in_body = 0, False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._refuse(503, "Too many connections: come again in a second.", b"retry-after: 1\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, or of several."""
        if not self._in_body:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_body or self.transport.is_closing():
            return
        if self._head_bytes > _HEAD_BYTES:
            self._refuse_head()
        elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._wait_no_longer()
        if self._head_bytes > _HEAD_BYTES and len(self.url) + sum(map(len, chain(*self.headers))) > _HEAD_BYTES:
            self._refuse_head()
            raise ValueError  # so that nothing more is read
        self._head_bytes, self._in_body = 0, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Take what comes for the next request."""
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the rest of a body that nobody reads."""
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, "This is no HTTP request: send one that keeps to RFC 9112.")

    def _wait(self) -> None:
        self._wait_no_longer()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self._head_bytes:
            seconds = f"{self.timeout_keep_alive:g} seconds (`serving.header_seconds`)"
            self._refuse(408, f"The headers of the request did not arrive within {seconds}.")
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        self._refuse(431, f"The first line and the headers of a request may have {_HEAD_BYTES:,} bytes: send less.")

    def _refuse(self, status: int, message: str, header: bytes = b"") -> None:
        if self.transport.is_closing():
            return
        content = orjson.dumps({"error_code": error_code(status), "message": message})
        common = b"".join(b"%s: %s\r\n" % (name, value) for name, value in ALWAYS)
        common += b"x-request-id: %s\r\ncontent-type: application/json\r\n" % uuid.uuid4().hex.encode()
        common += b"content-length: %d\r\nconnection: close\r\n" % len(content)
        self.transport.write(b"%s%s%s\r\n%s" % (STATUS_LINE[status], common, header, content))
        self.transport.close()
