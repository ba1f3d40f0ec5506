"""The processes of the endpoint: each loads the champion, and all of them listen on one socket."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from starlette.middleware.trustedhost import TrustedHostMiddleware

from adapters import wiring
from churn.core.errors import ConfigError
from churn.core.frozen import Frozen
from churn.data.contract import DatasetContract
from churn.lifecycle.answer_log import AnswerLog
from churn.lifecycle.endpoint import Endpoint
from churn.lifecycle.workspace import Workspace
from churn.settings import Settings

from .agreement import SharedVersion
from .app import Service, create_app
from .connection import limits_of
from .log import KeptLog

__all__ = ["ServeOptions", "application", "for_this_machine", "serve"]

_OPTIONS = "CHURN_SERVE"
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_AGREEMENT = "versions"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DRAIN_SECONDS = 30


class ServeOptions(Frozen):
    """How the endpoint is started.

    Attributes:
        contract: The data set.
        settings: Its settings.
        host: The address to listen at.
        port: The port; 0 takes a free one.
        workers: Processes.
        authenticated: Whether requests need a token; without, `host` must be of this machine alone.
        certificate: A TLS certificate (PEM), and `key` its private key; None for plain HTTP.
        key: See `certificate`.
    """

    contract: DatasetContract
    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    authenticated: bool = True
    certificate: Path | None = None
    key: Path | None = None


def serve(options: ServeOptions, announce: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those that are under way then are finished, within 30 seconds.

    Args:
        options: How.
        announce: Called once everything that can be checked before has been.

    Raises:
        ConfigError: the port is taken, a file of TLS is missing, or others could ask without a token.
        ChurnError: no version is live, or it cannot be loaded.
    """
    import uvicorn

    if not options.authenticated and options.host not in _LOOPBACK:
        raise ConfigError(
            f"Without tokens the endpoint answers this machine alone, and {options.host} is open to others: leave "
            "--no-auth out, or listen at 127.0.0.1."
        )
    for path in filter(None, (options.certificate, options.key)):
        if not path.is_file():
            raise ConfigError(f"There is no file {path}: give a certificate and its key, both in PEM.")
    _require_free(options.host, options.port)
    workspace = _workspace(options)
    Endpoint(workspace, options.settings).refresh()  # what cannot be loaded or logged is said here, once
    AnswerLog(workspace, options.settings.serving.log)
    announce()
    os.environ[_OPTIONS] = options.model_dump_json()
    with tempfile.TemporaryDirectory(prefix="churn-metrics-") as folder:
        if options.workers > 1:
            os.environ[_METRICS] = folder
        tls: dict[str, Any] = {"ssl_certfile": options.certificate, "ssl_keyfile": options.key}
        uvicorn.run(
            f"{__name__}:application",
            factory=True,
            host=options.host,
            port=options.port,
            workers=options.workers,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here depends on where a client is
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            **limits_of(options.settings.serving),
            **{name: value for name, value in tls.items() if value is not None},
        )


def application() -> Any:
    """Return the application of one process; `serve` has left its options in the environment."""
    options = ServeOptions.model_validate_json(os.environ[_OPTIONS])
    agreement = SharedVersion(Path(os.environ[_METRICS]) / _AGREEMENT) if options.workers > 1 else None
    if agreement is not None:
        threading.Thread(target=_end_with_the_parent, daemon=True).start()
    workspace, serving = _workspace(options), options.settings.serving
    endpoint, tokens = Endpoint(workspace, options.settings, agreement), wiring.tokens_of(options.contract)
    log = KeptLog(AnswerLog(workspace, serving.log), workspace.prediction_log.move, serving.log)
    name = options.settings.registered_name(options.contract)
    service = Service(
        endpoint,
        name,
        serving,
        tokens if options.authenticated else None,
        log=log,
        one_of_several=options.workers > 1,
    )
    gc.freeze()  # what is imported stays: no collection need look at it again while requests wait
    made = create_app(service, _program_version())
    return made if options.authenticated else for_this_machine(made)


def for_this_machine(application: Any) -> Any:
    """Return an application that answers under the names of this machine alone.

    A web page from elsewhere, whose name somebody lets point to this machine, is refused.
    """
    return TrustedHostMiddleware(application, ["127.0.0.1", "localhost", "[::1]"], www_redirect=False)


def _program_version() -> str:
    try:
        return version("churn-lifecycle")
    except PackageNotFoundError:
        return "0+checkout"


def _workspace(options: ServeOptions) -> Workspace:
    return wiring.connect(options.contract, options.settings.model_name)


def _end_with_the_parent() -> None:
    """Let this process end with the one that started it, also where that was killed: nobody else would end it."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"The endpoint cannot listen at {host}:{port} ({error.strerror}): end what listens there, or give "
                "another --port."
            ) from error
