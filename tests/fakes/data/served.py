"""An endpoint in a process of its own, with the limits of the real one: `python -m tests.fakes.data.served SETTING…`.

It prints its port, answers the tokens of `Tokens`, knows the customers of `KNOWN`, and fails on the customer `broken`.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from churn.ports.online import OnlineRow
from serving.app import create_app
from serving.connection import limits_of
from serving.service import Service
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import NOW, EndpointCase
from tests.fakes.ports.online import InMemoryOnlineStore
from tests.unit.serving.test_app import Tokens

ROOT = Path(__file__).parents[3]
TLS = "TEST_SERVED_TLS"
"""The environment variable with the files of certificate and key."""
OPEN = "TEST_SERVED_OPEN"
"""The environment variable that is there where no token is asked for."""
HOSTILE = "<img src=x onerror=alert(1)>"
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "a": {},
    "old": {"at": NOW - dt.timedelta(days=300)},
    "sparse": {"total_charges": None},
    HOSTILE: {"contract": "</script><script>alert(2)</script>"},
}


class Server:
    """Such a process; what it writes to its standard error goes to a file."""

    def __init__(self, log: Path, *overrides: str, tls: tuple[Path, Path] | None = None, tokens: bool = True) -> None:
        more = ({TLS: ":".join(map(str, tls))} if tls else {}) | ({} if tokens else {OPEN: "yes"})
        self.log, environment = log, {**os.environ, **more}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.data.served", *overrides],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
            )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


class Broken(InMemoryOnlineStore):
    """A store with a fault that shows for one customer."""

    def rows(self, customers: Sequence[str]) -> Sequence[OnlineRow]:
        if "broken" in customers:
            raise ZeroDivisionError("a secret")
        return super().rows(customers)


def main() -> None:
    """Answer until the process is ended."""
    serving = settings(*sys.argv[1:]).serving
    case = EndpointCase(*sys.argv[1:], online=Broken())
    for customer, options in KNOWN.items():
        case.online_features(customer, **options)
    app = create_app(Service(case.endpoint, MODEL, serving, None if OPEN in os.environ else Tokens()), "1")  # type: ignore[arg-type]
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    options = {**limits_of(serving), "log_level": "warning", "access_log": False, "server_header": False}
    if TLS in os.environ:
        options |= dict(zip(("ssl_certfile", "ssl_keyfile"), os.environ[TLS].split(":"), strict=True))
    config = uvicorn.Config(app, **options)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
