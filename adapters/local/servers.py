"""Processes of servers on this machine: started on a free port, waited for, stopped with their children."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from churn.core.errors import StoreError

__all__ = [
    "HOST",
    "Server",
    "end_with_this_process",
    "free_port",
    "open_local",
    "spawn",
    "stop",
    "wait_for_answers",
    "watch",
]

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """A server with a `/health` page: its name, its address, and the process group and log where it is ours.

    `group` is None for a server that somebody else runs; it is taken to be up, and never ended.
    """

    name: str
    address: str
    group: int | None = None
    log: str | None = None
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)

    @property
    def answers(self) -> bool:
        """Whether the server is up."""
        if self.group is None:
            return True
        try:
            with open_local(f"{self.address}/health", seconds=5) as answer:
                return answer.status == 200
        except (OSError, HTTPException):  # the latter from a port at which something else answers
            return False

    @property
    def runs(self) -> bool:
        """Whether any process of the server is there; a number that another program has by now does not count."""
        if self.group is None:
            return True
        return self.has_processes and (self.child is not None or self._is_leader() or self.answers)

    @property
    def has_processes(self) -> bool:
        """Whether there are processes in the group."""
        if self.child is not None:
            self.child.poll()  # a child that ended stays in the list of processes until somebody asks
        return self.group is not None and _signal(self.group, 0)

    def _is_leader(self) -> bool:
        """Whether the process that leads the group was started for this port."""
        listing = ["ps", "-o", "args=", "-p", str(self.group)]
        shown = subprocess.run(listing, capture_output=True, text=True, check=False).stdout
        return f"--port {self.address.rpartition(':')[2]}" in shown

    def last_words(self, characters: int = 800) -> str:
        """Return the end of the log, for a message about a server that ended."""
        text = Path(self.log).read_text(encoding="utf-8", errors="replace").strip() if self.log else ""
        return text[-characters:] or "nothing"


def free_port(first: int, attempts: int = 50, *, taken: Collection[int] = ()) -> int:
    """Return `wanted`, or the next port of this machine that is not `taken` and that nothing listens on.

    Raises:
        StoreError: none of the next ports is free.
    """
    for port in range(first, min(first + attempts, 65536)):
        if port in taken:
            continue
        with socket.socket() as client, socket.socket() as listener:
            # As the servers do: a port that was in use a moment ago is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
            if client.connect_ex((HOST, port)) != 0:  # some systems let two programs bind one port
                return port
    raise StoreError(f"No port from {first} on is free: choose another one, or stop what listens there.")


def spawn(name: str, port: int, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Server:
    """Start `python -m command…`, which is to listen on `port`, with its output in a file.

    It has a session of its own: a Ctrl-C reaches the calling program alone, which then ends server and children.
    """
    log.write_bytes(b"")
    with log.open("ab") as output:  # so that a server may add to its log by itself
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(name, f"http://{HOST}:{port}", child.pid, str(log), child)


def wait_for_answers(servers: Sequence[Server], deadline: float) -> None:
    """Return when every server answers; a signal to end ends the process.

    Args:
        servers: What `spawn` returned.
        deadline: The `time.monotonic()` at which to give up.

    Raises:
        StoreError: one ended, or did not answer in time.
    """
    while waiting := [server for server in servers if not server.answers]:
        for server in waiting:
            if not server.runs:
                raise StoreError(f"{server.name} did not start; the end of {server.log}: {server.last_words()}")
        if time.monotonic() > deadline:
            raise StoreError(f"{waiting[0].name} does not answer on {waiting[0].address}: see {waiting[0].log}.")
        time.sleep(0.1)
        _end_if_asked()


def watch(servers: Sequence[Server]) -> None:
    """Return at Ctrl-C; a signal to end ends the process.

    Raises:
        StoreError: a server ended by itself.
    """
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.2)
            _end_if_asked()
            for server in servers:
                if not server.runs:
                    raise StoreError(f"{server.name} ended by itself; the end of {server.log}: {server.last_words()}")


def end_with_this_process(servers: Sequence[Server]) -> None:
    """Stop the servers, also those still to be added to the list, however this process ends short of a kill -9.

    A signal to end is obeyed at the next look of `wait_for_answers` or `watch`.
    """
    atexit.register(stop, servers)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):  # by default they end a process without its exit handlers
            signal.signal(number, lambda received, _: _received.append(received))


_received: list[int] = []
"""Signals to end this process. A handler does not raise: what it interrupts may hold a lock that `stop` needs."""


def _end_if_asked() -> None:
    for number in _received:
        sys.exit(128 + number)


def stop(servers: Sequence[Server], patience: float = 10.0) -> None:
    """End every server of ours with its children; what has not ended after `patience` seconds is killed."""
    running = [(server, server.group) for server in servers if server.group is not None and server.runs]
    for _, group in running:
        _signal(group, signal.SIGTERM)
    deadline = time.monotonic() + patience
    for server, group in running:
        while server.has_processes and time.monotonic() < deadline:
            time.sleep(0.05)
        if server.has_processes:
            _signal(group, signal.SIGKILL)
        if server.child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # Ctrl-C may have left the child's lock taken
                server.child.wait(timeout=patience)


def open_local(
    target: str | urllib.request.Request, seconds: float, context: ssl.SSLContext | None = None
) -> HTTPResponse:
    """Open an address of this machine, never through a proxy; `context` says whom to trust over HTTPS.

    Raises:
        OSError: nothing answers.
    """
    secure = urllib.request.HTTPSHandler(context=context)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)
    answer: HTTPResponse = opener.open(target, timeout=seconds)
    return answer


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
