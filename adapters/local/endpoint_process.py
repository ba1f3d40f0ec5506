"""The endpoint as a process of this machine: a file holds its pid and address, and a lock shows that it runs."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import ValidationError

from churn.core.clock import UtcTime
from churn.core.errors import ConfigError, NotFound, StoreError
from churn.core.frozen import Frozen
from churn.ports.endpoint import EndpointAnswer, EndpointHost, EndpointState

from .servers import Server, open_local, stop
from .tokens import Scope, TokenFile

__all__ = ["EndpointProcess", "LocalEndpoint", "log_of", "noted"]

_PAUSE = 0.1


class EndpointProcess(Frozen):
    """The process of an endpoint, as it notes itself.

    Attributes:
        pid: The process that is signalled; it ends its workers.
        address: Where it answers.
        workers: Its processes that answer.
        started_at: When it began to listen.
        authenticated: Whether requests need a token.
        certificate: Its TLS certificate; None for plain HTTP.
        log: Its log.
    """

    format: Literal[1] = 1
    pid: int
    address: str
    workers: int
    started_at: UtcTime
    authenticated: bool = True
    certificate: Path | None = None
    log: Path


def log_of(logs: Path, dataset: str, started_at: UtcTime) -> Path:
    """Return the log of an endpoint that is started at a time."""
    return logs / f"{started_at:%Y-%m-%dT%H-%M-%S}-serve-{dataset}-{os.getpid()}.log"


@contextmanager
def noted(folder: Path, dataset: str, process: EndpointProcess) -> Iterator[None]:
    """Let this process be the endpoint of a data set for a while.

    Args:
        folder: Of the notes of endpoints.
        dataset: Whose endpoint it is.
        process: What to note.

    Raises:
        ConfigError: another process is.
        StoreError: the folder cannot be written.
    """
    note, lock = _note(folder, dataset), _lock(folder, dataset)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=1)  # whoever looks whether it is held holds it for a moment
        note.write_text(process.model_dump_json(indent=1), encoding="utf-8")
    except Timeout as error:
        raise ConfigError(
            f"An endpoint of {dataset!r} runs on this machine already{_where(note)}: end it by `python run.py endpoint "
            "stop`, or let that one have more processes (`serve --workers N`)."
        ) from error
    except OSError as error:
        raise StoreError(f"{note} cannot be written ({error.strerror}): choose another `profile.state`.") from error
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


class LocalEndpoint(EndpointHost):
    """The server of this project, which follows the ledger by itself."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        dataset: str,
        name: str,
        *,
        tokens: TokenFile,
        start: Callable[[], Server],
        clock: Callable[[], UtcTime],
        refresh_seconds: float,
    ) -> None:
        """Ask nobody yet.

        Args:
            folder: Of the notes of endpoints.
            logs: The folder of the logs.
            dataset: Whose endpoint it is.
            name: The endpoint in its paths.
            tokens: Whom it answers; one is made for each question and revoked after it.
            start: Starts the server in the background.
            clock: Tells the time.
            refresh_seconds: How often the server asks the ledger which version is live.
        """
        self._folder, self._logs, self._dataset, self._name = folder, logs, dataset, name
        self._tokens, self._start, self._clock, self._refresh = tokens, start, clock, refresh_seconds

    def state(self) -> EndpointState | None:
        """Return how it does; one that does not answer, such as while it starts, is not ready."""
        process = self._process()
        if process is None:
            return None
        state = self._state(process)
        with suppress(StoreError), self._asking(process, "admin") as ask:
            counts = re.findall(r"^churn_requests_total\{.*\} (\S+)$", ask("/metrics").decode(), flags=re.MULTILINE)
            state = state.model_copy(update={"requests": round(sum(map(float, counts)))})
        return state

    def _state(self, process: EndpointProcess) -> EndpointState:
        health: dict[str, Any] = {"ready": False, "version": None, "preparing": None, "degraded": ()}
        try:
            with self._asking(process) as ask:
                health = json.loads(ask("/health/ready"))
        except StoreError as error:
            health["degraded"] = (str(error),)
        update: Literal["in_progress", "failed"] = "failed" if health["degraded"] else "in_progress"
        return EndpointState(
            name=self._name,
            address=process.address,
            ready=health["ready"],
            version=health["version"],
            update="none" if health["preparing"] is None else update,
            degraded=tuple(health["degraded"]),
            since=process.started_at,
            workers=process.workers,
            pid=process.pid,
            log=str(process.log),
        )

    def ensure(self, version: int, *, within: float) -> EndpointState:
        """Start it where none runs, and wait until the server has found in the ledger that the version is live."""
        server = None if self._process() else self._start()
        try:
            return self._wait_for(version, within, server)
        except BaseException:
            stop([server] if server else [])
            raise

    def _wait_for(self, version: int, within: float, server: Server | None) -> EndpointState:
        begun = time.monotonic()
        while True:
            process, passed = self._process(), time.monotonic() - begun
            state = None if process is None else self._state(process)
            if state is not None and state.ready and state.version == version:
                return state
            if state is None and (server is None or not server.runs):
                why = server.last_words() if server else "`python run.py endpoint logs` has its log."
                raise StoreError(f"The endpoint ended before it answered with version {version}: {why}")
            # What it says before it has looked again is about what was live before.
            if state is not None and state.update == "failed" and passed > 2 * self._refresh:
                raise StoreError(f"The endpoint cannot change to version {version}: {' '.join(state.degraded)}")
            if passed > within:
                answers = "does not answer yet" if state is None else f"answers with {_version(state.version)}"
                more = "".join(f" {text}" for text in state.degraded) if state else ""
                raise StoreError(
                    f"The endpoint {answers}, and not with version {version}, {within:g} seconds "
                    f"(`serving.update_seconds`) after that went live.{more}"
                )
            time.sleep(_PAUSE)

    def query(self, rows: Sequence[Mapping[str, object]], *, explain: bool = False) -> EndpointAnswer:
        """Ask for scores over HTTP."""
        process = self._process()
        if process is None:
            raise StoreError(f"No endpoint of {self._dataset!r} runs: start it by `python run.py serve`.")
        body = {"dataframe_records": list(rows), "params": {"reasons": explain, "what_if": True}}
        with self._asking(process, "query") as ask:
            answer = json.loads(ask(f"/serving-endpoints/{self._name}/invocations", json.dumps(body).encode()))
        predictions = answer["predictions"]
        return EndpointAnswer([int(row["model_version"]) for row in predictions], predictions)

    def stop(self, *, within: float) -> bool:
        """Send SIGTERM, and wait until the process has let go of its lock."""
        process = self._process()
        if process is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + within
        while self._is_running():
            if time.monotonic() > deadline:
                raise StoreError(
                    f"The endpoint (pid {process.pid}) still answers requests {within:g} seconds after it was told to "
                    f"end: wait for it, or end it at once by `kill -9 {process.pid}`."
                )
            time.sleep(_PAUSE)
        return True

    def logs(self, lines: int, *, follow: bool = False) -> Iterator[str]:
        """Yield from the log of the process that runs, or from the newest log of one that did."""
        process = self._process()
        earlier = sorted(self._logs.glob(f"*-serve-{self._dataset}-[0-9]*.log"))
        path = process.log if process else earlier[-1] if earlier else None
        if path is None or not path.is_file():
            raise NotFound(f"No endpoint of {self._dataset!r} has left a log in {self._logs}: `python run.py serve`.")
        with path.open(encoding="utf-8", errors="replace") as file:
            *whole, begun = file.read().split("\n")
            yield from whole[-lines:] if lines else ()
            while follow:
                runs = self._is_running()
                *whole, begun = (begun + file.read()).split("\n")
                yield from whole
                if not runs:
                    return
                time.sleep(_PAUSE)

    def _process(self) -> EndpointProcess | None:
        """Return the process that runs. The note of one that was killed is held by nobody, whoever has its number."""
        if not self._is_running():
            return None
        note = _note(self._folder, self._dataset)
        try:
            return EndpointProcess.model_validate_json(note.read_bytes())
        except FileNotFoundError:
            return None  # it is about to start, or has just ended
        except (OSError, ValidationError) as error:
            raise StoreError(
                f"An endpoint of {self._dataset!r} runs{_where(note)}, and what it noted in {note} cannot be read: it "
                "was started by another version of this project, so ask and end it with that one."
            ) from error

    def _is_running(self) -> bool:
        lock = _lock(self._folder, self._dataset)
        if not Path(lock.lock_file).exists():
            return False
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError as error:
            raise StoreError(f"{lock.lock_file} cannot be opened ({error.strerror}): whose is it?") from error
        lock.release()
        return False

    @contextmanager
    def _asking(self, process: EndpointProcess, scope: Scope | None = None) -> Iterator[Callable[..., bytes]]:
        """Yield what sends a request to the process, with a token of that scope which is good as long as this lasts."""
        name, headers = f"this-machine-{secrets.token_hex(4)}", {"Content-Type": "application/json"}
        if scope is not None and process.authenticated:
            headers["Authorization"] = f"Bearer {self._tokens.create(name, scope, self._clock())}"
        context = None
        if process.certificate is not None:
            # The server that has this certificate is the one that is meant, whatever name stands in it.
            context = ssl.create_default_context(cafile=str(process.certificate))
            context.check_hostname, context.verify_flags = False, context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN

        def ask(path: str, body: bytes | None = None) -> bytes:
            try:
                request = urllib.request.Request(process.address + path, body, headers)
                with open_local(request, seconds=30, context=context) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                if path == "/health/ready":  # which says why in the same form
                    return text.encode()
                with suppress(ValueError, KeyError):
                    text = json.loads(text)["message"]
                raise StoreError(f"The endpoint answers {error.code}: {text}") from error
            except (OSError, HTTPException) as error:
                raise StoreError(f"The endpoint does not answer at {process.address} ({error}).") from error

        try:
            yield ask
        finally:
            if "Authorization" in headers:
                self._tokens.revoke(name)


def _note(folder: Path, dataset: str) -> Path:
    return folder / f"{_here(dataset)}.json"


def _lock(folder: Path, dataset: str) -> FileLock:
    return FileLock(folder / f"{_here(dataset)}.lock")


def _here(dataset: str) -> str:
    """Return the name of what is on this machine alone: several may share a state folder, with an endpoint each."""
    return f"{dataset}@{socket.gethostname()}"


def _where(note: Path) -> str:
    """Return ` (pid 17 at http://…)`, as far as a note of any format says it."""
    try:
        running: Any = json.loads(note.read_text(encoding="utf-8"))
        return f" (pid {running['pid']} at {running['address']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _version(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
