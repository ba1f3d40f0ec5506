"""Requests, answers and refusals of the loopback workspace, and its table of routes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Refused", "Reply", "Request", "Routes", "refusal"]


@dataclass(frozen=True)
class Request:
    """One request; `user` is whom its token belongs to, empty where a route asks for none."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    user: str = ""

    @property
    def json(self) -> dict[str, Any]:
        try:
            parsed = json.loads(self.body or b"{}")
        except ValueError as error:
            raise refusal(400, "MALFORMED_REQUEST", f"the body is no JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise refusal(400, "MALFORMED_REQUEST", "the body is no JSON object")
        return parsed


@dataclass
class Reply:
    """One answer: a JSON value, or bytes."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Refused(Exception):
    """The workspace refuses; `reply` is what the client is answered."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body)
        self.reply = reply


def refusal(status: int, code: str, message: str, **headers: str) -> Refused:
    """Return an error as Databricks words it."""
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refused(Reply({"error_code": code, "message": message}, status, shown))


Handler = Callable[..., Any]


class Routes:
    """`METHOD pattern` → handler; `{name}` takes one part of a path, `{name...}` the rest of it."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, route: str, handler: Handler) -> None:
        method, pattern = route.split(" ", 1)
        text = re.sub(r"\\{(\w+)\\\.\\\.\\\.\\}", r"(?P<\1>.*)", re.escape(pattern))
        text = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", text)
        self._routes.append((method, re.compile(text), handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        for known, pattern, handler in self._routes:
            if known in (method, "*") and (match := pattern.fullmatch(path)):
                return handler, match.groupdict()
        return None
