"""The processes of the endpoint: each loads the champion, and all of them listen on one socket."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from adapters import wiring
from churn.core.errors import ConfigError
from churn.core.progress import LOGGER, note
from churn.lifecycle.answer_log import AnswerLog
from churn.lifecycle.endpoint import Endpoint
from churn.lifecycle.rollouts import guard_rollout
from churn.lifecycle.serve_options import ServeOptions
from churn.lifecycle.workspace import Workspace

from .agreement import SharedVersion
from .app import create_app
from .connection import limits_of
from .guard import guard_until
from .log import KeptLog
from .refusals import Headers, is_this_machine, refusal
from .service import Service, first_of

__all__ = ["OPTIONS", "Workers", "application", "for_this_machine", "serve"]

OPTIONS = "CHURN_SERVE"
"""The environment variable that holds the options for the processes of the endpoint."""
_LOG = "CHURN_SERVE_LOG"
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_AGREEMENT = "versions"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DRAIN_SECONDS = 30


def serve(options: ServeOptions, announce: Callable[[str], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those that are under way then are finished, within 30 seconds.

    Args:
        options: How.
        announce: Called with the address once everything that can be checked before has been.

    Raises:
        ConfigError: an endpoint of the data set runs, the port is taken, a file of TLS is missing, or others could ask
            without a token.
        ChurnError: no version is live, or it cannot be loaded.
    """
    if not options.authenticated and options.host not in _LOOPBACK:
        raise ConfigError(
            f"Without tokens the endpoint answers this machine alone, and {options.host} is open to others: leave "
            "--no-auth out, or listen at 127.0.0.1."
        )
    _require_certificate(options.certificate, options.key)
    port = options.port or _free_port(options.host)
    scheme = "http" if options.certificate is None else "https"
    address = f"{scheme}://{options.host}:{port}"
    log = options.log or wiring.endpoint_log(options.contract)
    with wiring.noted_endpoint(options, _reached(scheme, options.host, port), log):
        _require_free(options.host, port)
        workspace = _workspace(options)
        Endpoint(workspace, options.settings).refresh()  # what cannot be loaded or logged is said here, once
        AnswerLog(workspace, options.settings.serving.log)
        _log_to(log, shown=options.log is None)
        note("serve", f"answers at {address}, processes: {options.workers}")
        announce(address)
        with _guarded(options):
            _run(options, port, log)
        note("serve", "ended")


@contextmanager
def _guarded(options: ServeOptions) -> Iterator[None]:
    """Look at the guardrails of a rollout meanwhile, once for all processes of the endpoint."""
    ended, seconds = threading.Event(), options.settings.rollout.guard_seconds

    def guard() -> None:
        workspace = _workspace(options)  # of this thread alone
        guard_until(ended, lambda: guard_rollout(workspace, options.settings), seconds)

    if seconds:
        threading.Thread(target=guard, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


class Workers(Multiprocess):
    """The processes of a server: one that has ended is replaced, and one that is slow is left alone.

    uvicorn asks each whether it lives, and waits for an answer that a process which is killed then never gives; neither
    signals nor other processes are looked after meanwhile.
    """

    def keep_subprocess_alive(self) -> None:
        """Replace those that have ended."""
        workers = self.processes
        ended = [number for number, worker in enumerate(workers) if not worker.process.is_alive()]
        self.processes = [workers[number] for number in ended]
        super().keep_subprocess_alive()
        for number, worker in zip(ended, self.processes, strict=True):
            workers[number] = worker
        self.processes = workers


def _run(options: ServeOptions, port: int, log: Path) -> None:
    os.environ[OPTIONS] = options.model_dump_json()
    os.environ[_LOG] = str(log)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that whoever called this goes on at the end
    with tempfile.TemporaryDirectory(prefix="churn-metrics-") as folder:
        if options.workers > 1:
            os.environ[_METRICS] = folder
        tls: dict[str, Any] = {"ssl_certfile": options.certificate, "ssl_keyfile": options.key}
        config = uvicorn.Config(
            f"{__name__}:application",
            factory=True,
            host=options.host,
            port=port,
            workers=options.workers,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here depends on where a client is
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            **limits_of(options.settings.serving),
            **{name: value for name, value in tls.items() if value is not None},
        )
        with suppress(KeyboardInterrupt):
            if options.workers > 1:
                Workers(config, [config.bind_socket()]).run()
            else:
                uvicorn.Server(config).run()


def application() -> Any:
    """Return the application of one process; `serve` has left its options in the environment."""
    options = ServeOptions.model_validate_json(os.environ[OPTIONS])
    agreement = SharedVersion(Path(os.environ[_METRICS]) / _AGREEMENT) if options.workers > 1 else None
    if agreement is not None:
        _log_to(Path(os.environ[_LOG]), shown=options.log is None)
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
    refused = Headers(
        refusal(400, "Without tokens the endpoint answers as localhost or 127.0.0.1 alone: ask for that.")
    )

    async def checked(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        is_here = scope["type"] != "http" or is_this_machine(first_of(scope["headers"]).get(b"host", b""))
        await (application if is_here else refused)(scope, receive, send)

    return checked


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


def _log_to(path: Path, *, shown: bool) -> None:
    """Append what happens in this process to the log, and show it where somebody watches."""
    from logging.handlers import WatchedFileHandler  # a log that was removed as an old one is begun anew

    written = logging.Formatter(f"%(asctime)s.%(msecs)03dZ {os.getpid():>7} %(message)s", "%Y-%m-%dT%H:%M:%S")
    written.converter = time.gmtime
    handlers: list[logging.Handler] = [WatchedFileHandler(path, encoding="utf-8")]
    for handler in [*handlers, *[logging.StreamHandler()] * shown]:
        handler.setFormatter(written)
        logging.getLogger().addHandler(handler)
    logging.getLogger(LOGGER).setLevel(logging.INFO)


def _require_certificate(certificate: Path | None, key: Path | None) -> None:
    """Raise ConfigError unless a server can answer with them, or neither is given."""
    for path in filter(None, (certificate, key)):
        if not path.is_file():
            raise ConfigError(f"There is no file {path}: give a certificate and its key, both in PEM.")
    if certificate is None:
        if key is not None:
            raise ConfigError(f"--tls-key {key} has no certificate: give --tls-cert too, or neither.")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The endpoint cannot answer with --tls-cert {certificate}{f' and --tls-key {key}' if key else ''} "
            f"({error}): give a certificate and the private key that belongs to it, both in PEM, the key without a "
            "password."
        ) from error


def _reached(scheme: str, host: str, port: int) -> str:
    """Return the address under which this machine reaches a server that listens at `host`."""
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{scheme}://{local}:{port}"


def _free_port(host: str) -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        port: int = probe.getsockname()[1]
    return port


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
