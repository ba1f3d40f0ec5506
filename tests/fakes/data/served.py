"""An endpoint in a process of its own, with the limits of the real one: `python -m tests.fakes.data.served SETTING…`.

It prints its port, answers the tokens of `Tokens`, knows the customer `a`, and fails on the customer `broken`.
"""

from __future__ import annotations

import socket
import sys

import uvicorn

from churn.ports.online import OnlineRow
from serving.app import Service, create_app
from serving.connection import limits_of
from tests.fakes.data.case import settings
from tests.fakes.data.deciding import MODEL
from tests.fakes.data.endpoint import EndpointCase
from tests.fakes.ports.online import InMemoryOnlineStore
from tests.unit.serving.test_app import Tokens


class Broken(InMemoryOnlineStore):
    """A store with a fault that shows for one customer."""

    def get(self, customer: str) -> OnlineRow | None:
        if customer == "broken":
            raise ZeroDivisionError("a secret")
        return super().get(customer)


def main() -> None:
    """Answer until the process is ended."""
    serving = settings(*sys.argv[1:]).serving
    case = EndpointCase(*sys.argv[1:], online=Broken())
    case.online_features("a")
    app = create_app(Service(case.endpoint, MODEL, serving, Tokens()), "1")  # type: ignore[arg-type]
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, **limits_of(serving))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
