"""Middleware that answers requests of its own origin and host only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["OwnAddressOnly"]

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_REFUSAL = b"This server answers its own pages only: open it at the address that `python run.py ui` printed.\n"


class OwnAddressOnly:
    """Refuses what another page asks a browser to send, with 403 before the application sees it.

    A dashboard without a password must not do what a page of somebody else tells the user's browser to ask of it: a
    request from another origin (`Origin`, https://www.rfc-editor.org/rfc/rfc6454#section-7), or one that reached this
    address under a name of somebody else's (`Host`, DNS rebinding). Programs send no `Origin`.
    """

    def __init__(self, application: Application) -> None:
        """Guard an ASGI application; host and port are those at which the server listens."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Answer one request, or let the application do so."""
        if scope["type"] not in {"http", "websocket"} or _is_own(scope):
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(_REFUSAL)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})


def _is_own(scope: Scope) -> bool:
    port = scope["server"][1]
    hosts = {f"{name}:{port}".encode() for name in _NAMES}
    sent: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        sent.setdefault(name.lower(), []).append(value.lower())
    origins = {b"http://" + host for host in hosts}
    return len(sent.get(b"host", [])) == 1 and sent[b"host"][0] in hosts and set(sent.get(b"origin", [])) <= origins
