"""One connection of a client, with what uvicorn lacks: limits, and a way past the application for plain requests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from churn.scoring.settings import ServingSettings

from .fast_path import FAST_PATH, FastPath
from .refusals import ALWAYS, REQUEST_ID, error_code, request_id_of

__all__ = ["LimitedConnection", "limits_of"]

_HEAD_BYTES = 65_536
"""What the first line and the headers of a request may have."""
_LAST_SECONDS = 0.5
"""How long a server that ends waits for what an idle client may have sent already."""
_UPGRADE = re.compile(rb"\r\n(?=upgrade:)", re.IGNORECASE)
"""An offer of another protocol, which some clients make with each request; the parser drops the body of such a one."""
_ALWAYS = b"".join(b"%s: %s\r\n" % (name, value) for name, value in ALWAYS) + b"content-type: application/json\r\n"


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

    A scoring request that arrives as a whole is held back from the application until its end, and given to the fast
    path if that takes it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        self._head_bytes, self._in_body = 0, False
        self._fast_path: FastPath | None = self.app_state.get(FAST_PATH)
        self._held: bytes | None = None
        self._is_last = self._is_ending = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._refuse(503, "Too many connections: come again in a second.", {"retry-after": "1"})

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, or of several."""
        if not self._in_body:
            self._head_bytes += len(data)
            if b"pgrade" in data or b"PGRADE" in data:
                data = _UPGRADE.sub(b"\r\nX-", data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._held is not None:  # the rest is to come
            self._hand_over()
        if self._in_body:
            return
        if self._head_bytes > _HEAD_BYTES:
            self._refuse_head()
        elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()

    def on_message_begin(self) -> None:
        """Begin with a request, after an answer to the one before that waits."""
        if self._fast_path is not None:
            self._fast_path.answer_now(self)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._wait_no_longer()
        if self._head_bytes > _HEAD_BYTES and len(self.url) + sum(map(len, chain(*self.headers))) > _HEAD_BYTES:
            self._refuse_head()
            raise ValueError  # so that nothing more is read
        self._head_bytes, self._in_body = 0, True
        if self._is_plain():
            self._held = b""
        else:
            self._begin()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """Take what comes for the next request."""
        self._in_body = False
        if self._held is not None and self._fast_path is not None:
            self._is_last = not self.parser.should_keep_alive()
            if self._fast_path.take(self, self.headers, self._held):
                self._held = None
                return
            self._hand_over()
        super().on_message_complete()

    @property
    def is_open(self) -> bool:
        """Whether somebody waits for the answer."""
        return not self.transport.is_closing()

    def reply(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Answer in JSON, past the application; without `Connection: close` others may follow."""
        if self.transport.is_closing():
            return
        if is_last := self._is_last or self._is_ending:
            headers = {**headers, "connection": "close"}
        lines = "".join([f"{name}: {text}\r\n" for name, text in headers.items()]).encode("latin-1")
        date = b"".join([b"%s: %s\r\n" % header for header in self.server_state.default_headers])
        length = b"content-length: %d\r\n\r\n" % len(content)
        self.transport.write(b"".join([STATUS_LINE[status], date, lines, _ALWAYS, length, content]))
        if is_last:
            self.transport.close()

    def shutdown(self) -> None:
        """Answer what waits, and what a client that was idle has sent already, before the connection is closed."""
        self._is_ending = True
        if self._fast_path is not None:
            self._fast_path.answer_now(self)
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(_LAST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _is_plain(self) -> bool:
        """Whether the fast path may take the request that begins."""
        parser = self.parser
        return (
            self._fast_path is not None
            and self.url in self._fast_path.paths
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)
        )

    def _begin(self) -> None:
        """Let the application begin with a request."""
        super().on_headers_complete()
        if self._is_ending:
            self.cycle.keep_alive = False

    def _hand_over(self) -> None:
        """Let the application answer the request that was held back."""
        held, self._held = self._held, None
        self._begin()
        if held:
            super().on_body(held)

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

    def _refuse(self, status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        content = orjson.dumps({"error_code": error_code(status), "message": message})
        self._is_last = True
        self.reply(status, {**headers, REQUEST_ID.decode(): request_id_of(b"")}, content)
