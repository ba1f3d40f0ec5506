"""A Databricks workspace on this machine, over HTTP: small, strict, and with faults on demand.

It answers the routes that the project's clients ask for (`databricks-sdk`, MLflow), and refuses what the platform
refuses, with its error codes. What it does not know is recorded and answered with 404. It proves that our requests are
well formed and our adapters keep their promises; docs/databricks.md says what only a real workspace can prove.
"""

from __future__ import annotations

import itertools
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from .catalog import Catalog
from .faults import Faults
from .files import FilesApi
from .http import Refused, Reply, Request, Routes, refusal
from .jobs import Jobs
from .lakebase import Lakebase
from .monitors import Monitors
from .registry import MlflowApi
from .secret_scopes import SecretScopes
from .serving import Serving
from .statements import Statements
from .warm import Warm

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

__all__ = ["Workspace"]

ORG_ID = "900800700600"
USER = "ada@example.com"


class Workspace:
    """A running workspace; use it as a context manager.

    Args:
        folder: Where it keeps files, MLflow's database and the environments of jobs.
        catalogs: Catalogs that there are from the start.
        runtime: What the runtime of jobs adds to the environment of a task; `PYTHONPATH` has packages that it brings.
        warm: Starts the tasks of jobs in no time; None starts a new interpreter for each.

    Attributes:
        url: Its address, on loopback.
        requests: Every request that it was asked, in order; `calls("POST /api/2.2/jobs/create")` picks a route's.
        faults: What goes wrong, see `Faults`.
        catalog, files, jobs, lakebase, mlflow, monitors, secrets, serving, statements: What it holds, by service.
    """

    def __init__(
        self,
        folder: Path,
        catalogs: tuple[str, ...] = ("main",),
        runtime: Mapping[str, str] | None = None,
        warm: Warm | None = None,
    ) -> None:
        self.folder, self.runtime, self.warm = folder, dict(runtime or {}), warm
        self.requests: list[Request] = []
        self.faults = Faults()
        self._tokens: dict[str, tuple[str, float]] = {}
        self._clients: dict[str, str] = {}
        self._ids = itertools.count(1001)
        self.routes = Routes()
        self._open = {"/.well-known/databricks-config", "/oidc/.well-known/oauth-authorization-server"}
        self.routes.add("GET /.well-known/databricks-config", self._well_known)
        self.routes.add("GET /oidc/.well-known/oauth-authorization-server", self._oidc)
        self.routes.add("POST /oidc/v1/token", self._oauth_token)
        self.routes.add("GET /api/2.0/preview/scim/v2/Me", self._me)
        self.catalog = Catalog(self)
        self.files = FilesApi(self)
        self.jobs = Jobs(self)
        self.mlflow = MlflowApi(self)
        self.secrets = SecretScopes(self)
        self.statements = Statements(self)
        self.serving = Serving(self)
        self.lakebase = Lakebase(self)
        self.monitors = Monitors(self)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        for name in catalogs:
            self.catalog.add_catalog(name)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.jobs.close()
        self.mlflow.close()
        self._server.shutdown()
        self._server.server_close()

    def token(self, user: str = USER, seconds: float = 3600) -> str:
        """Return a new personal access token that expires after so many seconds."""
        token = f"dapi{secrets.token_hex(16)}"
        self._tokens[token] = (user, time.monotonic() + seconds)
        return token

    @property
    def tokens(self) -> list[str]:
        """Every token that was given out."""
        return list(self._tokens)

    def expire(self, token: str) -> None:
        """Let a token be expired from now on."""
        self._tokens[token] = (self._tokens[token][0], 0.0)

    def service_principal(self, name: str = "churn-ci") -> dict[str, str]:
        """Return the environment of a service principal whose OAuth tokens the SDK fetches and renews."""
        secret = f"dose{secrets.token_hex(16)}"
        self._clients[name] = secret
        return {"DATABRICKS_HOST": self.url, "DATABRICKS_CLIENT_ID": name, "DATABRICKS_CLIENT_SECRET": secret}

    def environment(self, user: str = USER) -> dict[str, str]:
        """Return the environment variables by which the clients find and may use this workspace."""
        return {"DATABRICKS_HOST": self.url, "DATABRICKS_TOKEN": self.token(user)}

    def client(self, user: str = USER, **config: Any) -> WorkspaceClient:
        """Return the real SDK's client of this workspace, which gives up after a few seconds."""
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.config import Config

        given = {"retry_timeout_seconds": 5, "http_timeout_seconds": 10, **config}
        return WorkspaceClient(config=Config(host=self.url, token=self.token(user), auth_type="pat", **given))

    def calls(self, route: str) -> list[Request]:
        """Return the requests of one `METHOD /path`, in their order."""
        method, _, path = route.partition(" ")
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    def next_id(self) -> int:
        return next(self._ids)

    def answer(self, request: Request) -> Reply:
        """Return what the workspace says to one request."""
        found = self.routes.find(request.method, request.path)
        user = ""
        if request.path not in self._open and not request.path.startswith(("/presigned/", "/oidc/")):
            user = self._user(request)
        request = Request(request.method, request.path, request.query, request.headers, request.body, user)
        self.requests.append(request)
        if found is None:
            raise refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path}'")
        handler, parts = found
        result = handler(request, **parts)
        return result if isinstance(result, Reply) else Reply({} if result is None else result)

    def _user(self, request: Request) -> str:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self._tokens:
            raise refusal(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
        user, until = self._tokens[token]
        if time.monotonic() > until:
            raise refusal(401, "UNAUTHENTICATED", "The access token has expired.")
        return user

    def _well_known(self, _: Request) -> dict[str, str]:
        return {"host_type": "workspace", "oidc_endpoint": f"{self.url}/oidc", "workspace_id": ORG_ID}

    def _oidc(self, _: Request) -> dict[str, str]:
        return {
            "authorization_endpoint": f"{self.url}/oidc/v1/authorize",
            "token_endpoint": f"{self.url}/oidc/v1/token",
        }

    def _oauth_token(self, request: Request) -> dict[str, Any]:
        import base64

        asked = dict(parse_qsl(request.body.decode()))
        given = base64.b64decode(request.headers.get("authorization", "").partition(" ")[2]).decode().partition(":")
        name, secret = given[0] or asked.get("client_id", ""), given[2] or asked.get("client_secret", "")
        if not secret or self._clients.get(name) != secret:
            raise Refused(Reply({"error": "invalid_client", "error_description": "Client authentication failed"}, 401))
        return {"access_token": self.token(name), "token_type": "Bearer", "expires_in": 3600}

    def _me(self, request: Request) -> Reply:
        return Reply({"id": "1", "userName": request.user, "displayName": request.user.partition("@")[0]})


def _handler(workspace: Workspace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            """Say nothing: a test that fails prints the requests."""

        def _handle(self) -> None:
            address = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body(headers)
            query = dict(parse_qsl(address.query, keep_blank_values=True))
            request = Request(self.command, unquote(address.path), query, headers, body)
            fault = workspace.faults.take(request)
            try:
                if fault is not None and fault.before is not None:
                    raise Refused(fault.before)
                if fault is not None and fault.kind == "drop":
                    return self._hang_up()
                reply = workspace.answer(request)
            except Refused as error:
                reply = error.reply
            except Exception as error:  # noqa: BLE001 - a fault of the loopback is told as the platform tells its own
                reply = Reply({"error_code": "INTERNAL_ERROR", "message": f"{type(error).__name__}: {error}"}, 500)
            if fault is not None and fault.kind == "lose":
                return self._hang_up()
            content = reply.content
            self.send_response(reply.status)
            shown = {"Content-Type": "application/json", "X-Databricks-Org-Id": ORG_ID, **reply.headers}
            for name, value in {**shown, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            return None

        def _body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

    return Handler


@contextmanager
def unreachable() -> Iterator[str]:
    """Yield the address of a workspace that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def as_json(request: Request) -> Any:
    """Return the body of a recorded request."""
    return json.loads(request.body or b"null")
