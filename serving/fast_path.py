"""Plain scoring requests without the layers of a web framework, which take longer than a score.

A request of some rows whose bytes have all arrived needs no task and no application: it waits until the server has
read what came at the same time. Then all of them are scored one by one, logged by one write, and answered. Whatever is
not plain, or is to be refused, is left to the application, which answers the same to plain ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple, Protocol

from churn.core.errors import ChurnError
from churn.lifecycle.endpoint import Answers
from churn.ports.prediction_log import LoggedRow
from churn.scoring.answers import Spent

from .refusals import REQUEST_ID, Refused, is_this_machine, refusal_of, request_id_of
from .schema import Request, read_request
from .service import IN_LOOP_ROWS, Service, first_of, require_json

__all__ = ["FAST_PATH", "Connection", "FastPath"]

FAST_PATH = "fast_path"
"""Where a server's connections find it in the state of its lifespan."""
_LARGEST = 16_384  # bytes of a body
_AT_ONCE = 32  # rows; more are scored as a table, which takes as long
_REQUEST_ID = REQUEST_ID.decode()


class Connection(Protocol):
    """What a request came on."""

    @property
    def is_open(self) -> bool:
        """Whether somebody waits for the answer."""

    def reply(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Answer the request that waits on it, in JSON."""


class _Waiting(NamedTuple):
    """A request that was read: what it asks, its id, when it came, and the seconds that reading it took."""

    asked: Request
    request_id: str
    begun: float
    parse: float


class FastPath:
    """The plain requests of one process.

    Attributes:
        paths: The paths of scoring requests, as clients write them; none where each answer waits for the disk.
    """

    def __init__(self, service: Service) -> None:
        """Wait for requests."""
        self._service, self._waiting = service, dict[Connection, _Waiting]()
        waits = service.log is not None and service.log.waits_for_the_disk
        named = f"/serving-endpoints/{service.name}/invocations".encode()
        self.paths = frozenset() if waits else frozenset([b"/invocations", named])

    def take(self, connection: Connection, sent: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Return whether a request will be answered here: at the end of this turn of the event loop."""
        service, begun, headers = self._service, time.perf_counter(), first_of(sent)
        if service.is_full or service.has_shadow or len(body) > _LARGEST:
            return False
        if service.authority is None and not is_this_machine(headers.get(b"host", b"")):
            return False  # see `server.for_this_machine`
        try:
            service.allow(headers, "query")
            require_json(headers)
            asked = read_request(body, service.settings.max_rows)
        except (Refused, ChurnError):
            return False
        if len(asked.rows) > IN_LOOP_ROWS:
            return False
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_all)
        service.running += 1
        request_id = request_id_of(headers.get(REQUEST_ID, b""))
        self._waiting[connection] = _Waiting(asked, request_id, begun, time.perf_counter() - begun)
        return True

    def answer_now(self, connection: Connection) -> None:
        """Answer what waits on a connection, if something does, since something else is to happen there."""
        if (request := self._waiting.pop(connection, None)) is not None:
            self._answer({connection: request})

    def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._answer(waiting)

    def _answer(self, waiting: Mapping[Connection, _Waiting]) -> None:
        service, log = self._service, self._service.log
        outcomes: list[tuple[Connection, _Waiting, Answers | Exception]] = []
        rows: list[LoggedRow] = []
        asking = [(connection, request) for connection, request in waiting.items() if connection.is_open]
        for start in range(0, len(asking), _AT_ONCE):
            part = asking[start : start + _AT_ONCE]
            scored = self._scored([request for _, request in part])
            outcomes += [(*asked, answers) for asked, answers in zip(part, scored, strict=True)]
        for number, (connection, request, answers) in enumerate(outcomes):
            try:
                if log is not None and isinstance(answers, Answers):
                    rows += log.rows(answers, request.request_id, request.asked.role)
            except Exception as error:  # noqa: BLE001 - told in words below
                outcomes[number] = (connection, request, error)
        before, logged, fault = time.perf_counter(), None, None
        try:
            if log is not None and rows:
                logged = log.append(rows)
        except ChurnError as error:
            fault = error
        seconds = time.perf_counter() - before
        answered: list[tuple[Answers, float]] = []
        for connection, request, outcome in outcomes:
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                if fault is not None:
                    raise fault
                content, headers = service.written(outcome, parse=request.parse, log=seconds)
                status = 200
                answered.append((outcome, time.perf_counter() - request.begun))
            except Exception as error:  # noqa: BLE001 - the last place where it can be told in words
                service.failed(error)
                refused = refusal_of(error, request.request_id)
                status, content = refused.status_code, bytes(refused.body)
                headers = {name: text for name, text in refused.headers.items() if not name.startswith("content-")}
            headers[_REQUEST_ID] = request.request_id
            connection.reply(status, headers, content)
        service.count(answered, logged)
        service.running -= len(waiting)

    def _scored(self, waiting: Sequence[_Waiting]) -> list[Answers | Exception]:
        """Return what is said of requests, scored as if they were one where nothing has to be told apart.

        All features are then looked up before anything is scored, which spares the processor's caches: that takes a
        quarter less time than to change between the two for each request.
        """
        alike = len({request.asked[1:] for request in waiting}) == 1 and self._service.endpoint.trial is None
        sizes = [len(request.asked.rows) for request in waiting]
        if alike and len(waiting) > 1 and sum(sizes) <= _AT_ONCE:
            every = [row for request in waiting for row in request.asked.rows]
            with suppress(Exception):  # it is met again below, by the request that it concerns
                answers = self._service.answers(waiting[0].asked._replace(rows=every))
                if not answers.ignored and not answers.unseen:
                    spent, rows = Spent(*[seconds / len(waiting) for seconds in answers.spent]), iter(answers.rows)
                    return [answers._replace(rows=[*islice(rows, size)], spent=spent) for size in sizes]
        return [self._alone(request) for request in waiting]

    def _alone(self, request: _Waiting) -> Answers | Exception:
        try:
            return self._service.answers(request.asked)
        except Exception as error:  # noqa: BLE001 - told in words by whoever asked
            return error
