"""One endpoint in one process: who may ask, how much at a time, what is answered, logged and counted."""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Totals
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Protocol

import orjson
from fastapi import Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.background import BackgroundTask

from churn.core.errors import ChurnError
from churn.core.progress import note
from churn.lifecycle.endpoint import Answers, Endpoint
from churn.scoring.settings import ServingSettings

from .log import KeptLog
from .refusals import Refused, status_of
from .schema import Request as ScoringRequest
from .schema import answer_of, read_request

__all__ = ["IN_LOOP_ROWS", "Authority", "Scope", "Service", "first_of", "require_json"]

Scope = Literal["query", "admin"]
IN_LOOP_ROWS = 8
"""Requests of more rows are scored in a thread, so that small ones do not wait for them."""
_TIMING = ", ".join(f"{span};dur=%.3f" for span in ("parse", "lookup", "encode", "score", "log", "write"))
_JSON = b"application/json"
_LATE = "the body is late"
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Authority(Protocol):
    """Who may ask, such as `adapters.local.tokens.TokenFile`."""

    def scope_of(self, text: str) -> Scope | None:
        """Return what a bearer token may do, None for one that nobody made; raises StoreError."""


class Service:
    """One endpoint in one process, with its limits and what it counts.

    Attributes:
        running: Scoring requests that are under way.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        settings: ServingSettings,
        authority: Authority | None,
        *,
        log: KeptLog | None = None,
        one_of_several: bool = False,
    ) -> None:
        """Count from zero.

        Args:
            endpoint: What answers.
            name: The name of the endpoint in its paths.
            settings: Limits.
            authority: Who may ask; None answers everybody, which is for this machine alone.
            log: Keeps the answers; None keeps none.
            one_of_several: Whether other processes answer too, and count into the same folder.
        """
        self.endpoint, self.name, self.settings, self.authority = endpoint, name, settings, authority
        self.log = log
        self._registry, self.running, self._one_of_several = CollectorRegistry(), 0, one_of_several
        self._shadowing = 0
        requests = Counter("churn_requests", "Scoring requests.", ["status", "version"], registry=self._registry)
        rows = Counter("churn_rows", "Rows that were answered.", ["status"], registry=self._registry)
        logged = Counter("churn_logged_rows", "Rows for churn_predictions.", ["outcome"], registry=self._registry)
        # Each set of labels is looked up once.
        self._requests, self._rows, self._logged = cache(requests.labels), cache(rows.labels), cache(logged.labels)
        self._failed = Counter(
            "churn_challenger_failures", "Rows that a version on trial failed at.", registry=self._registry
        ).inc
        self._seconds = Histogram("churn_request_seconds", "A request.", registry=self._registry, buckets=_SECONDS)

    def allow(self, headers: Mapping[bytes, bytes], needed: Scope) -> None:
        """Refuse who may not ask for that; see `first_of`."""
        if self.authority is None:
            return
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        scope = self.authority.scope_of(token.strip()) if kind.lower() == "bearer" else None
        if scope is None:
            challenge = {"WWW-Authenticate": "Bearer"}
            raise Refused(401, "Send a token that exists, as `Authorization: Bearer TOKEN`.", challenge)
        if needed == "admin" and scope != "admin":
            raise Refused(403, "This token may ask for scores alone: take one with the scope admin.")

    def known(self, name: str) -> None:
        """Refuse the name of another endpoint."""
        if name != self.name:
            raise Refused(404, f"There is no endpoint {name!r:.200} here; there is {self.name!r}.")

    @property
    def is_full(self) -> bool:
        """Whether as many requests are under way as there may be at a time."""
        return self.running >= self.settings.max_concurrent

    @property
    def has_shadow(self) -> bool:
        """Whether a version on trial scores beside the champion, once a client has its answer."""
        trial = self.endpoint.trial
        return trial is not None and trial.rollout.shadow

    async def score(self, request: Request, name: str | None = None) -> Response:
        """Answer a scoring request, of the endpoint `name` where its path has one, unless too many are under way."""
        if self.is_full:
            refused = Refused(429, "Too many requests at a time: come again in a second.", {"Retry-After": "1"})
            self.failed(refused)
            raise refused
        self.running += 1
        try:
            await asyncio.sleep(0)  # whoever came at the same time is counted before anybody is scored
            return await self._scored(request, name)
        except BaseException as error:
            self.failed(error)
            raise
        finally:
            self.running -= 1

    async def _scored(self, request: Request, name: str | None) -> Response:
        begun, headers = time.perf_counter(), first_of(request.scope["headers"])
        self.allow(headers, "query")
        if name is not None:
            self.known(name)
        require_json(headers)
        asked = read_request(await self._body(request), self.settings.max_rows)
        parsed, logged = time.perf_counter(), None
        if len(asked.rows) > IN_LOOP_ROWS:
            answers = await asyncio.to_thread(self.answers, asked)
        else:
            answers = self.answers(asked)
        scored = time.perf_counter()
        if self.log is not None:
            logged = await self.log.keep(answers, request.scope["request_id"], asked.role)
        seconds = time.perf_counter() - scored
        content, answer_headers = self.written(answers, parse=parsed - begun, log=seconds)
        self.count([(answers, time.perf_counter() - begun)], logged)
        beside = None
        if not asked.what_if and self.has_shadow and self._shadowing < self.settings.max_concurrent:
            beside = BackgroundTask(self._shadow, asked, request.scope["request_id"])
        return Response(content, media_type="application/json", headers=answer_headers, background=beside)

    def answers(self, asked: ScoringRequest) -> Answers:
        """Score the rows of a request; see `Endpoint.answer`."""
        return self.endpoint.answer(asked.rows, explain=asked.explain, contributions=asked.contributions)

    @staticmethod
    def written(answers: Answers, *, parse: float, log: float) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of the answer to a request.

        Args:
            answers: What is said.
            parse: Seconds that reading it took.
            log: Seconds that logging took.
        """
        begun = time.perf_counter()
        served = ",".join([f"{version.name}-{version.version}" for version in answers.versions])
        content = orjson.dumps(answer_of(answers, served))
        spent = (parse, *answers.spent, log, time.perf_counter() - begun)
        timing = _TIMING % tuple([1000 * seconds for seconds in spent])
        return content, {"served-model-name": served, "Server-Timing": timing}

    def count(self, answered: Sequence[tuple[Answers, float]], logged: bool | None) -> None:
        """Count requests that are answered.

        Args:
            answered: What was said to each, and the seconds that it took.
            logged: Whether they are logged; None where there is no log.
        """
        requests = Totals([_versions(answers) for answers, _ in answered])
        statuses = Totals([row.status for answers, _ in answered for row in answers.rows])
        for versions, number in requests.items():
            self._requests("200", versions).inc(number)
        for status, number in statuses.items():
            self._rows(status).inc(number)
        if logged is not None:
            self._logged("logged" if logged else "dropped").inc(statuses.total())
        if failed := sum([len(answers.failed) for answers, _ in answered]):
            self._failed(failed)
        for _, seconds in answered:
            self._seconds.observe(seconds)

    def failed(self, error: BaseException) -> None:
        """Count a request that is not answered."""
        self._requests(str(status_of(error)), "").inc()

    async def _shadow(self, asked: ScoringRequest, request_id: str) -> None:
        """Let a version that is rolled out in shadow score the rows too; the client has its answer already."""
        self._shadowing += 1
        try:
            answers = await asyncio.to_thread(self.endpoint.shadow, asked.rows)
            if answers is None:
                return
            self._failed(len(answers.failed))
            if self.log is not None:
                await self.log.keep(answers, request_id, "shadow")
        except ChurnError as error:
            note("serve", f"what was scored in shadow is not logged: {error}")
        finally:
            self._shadowing -= 1

    async def _body(self, request: Request) -> bytes:
        limit, body, size, task = int(self.settings.max_megabytes * 1e6), bytearray(), 0, asyncio.current_task()
        assert task is not None
        # What `asyncio.timeout` does, at a fifth of its cost.
        timer = asyncio.get_running_loop().call_later(self.settings.body_seconds, task.cancel, _LATE)
        try:
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "The request ended before its body did.")
                part, more = message.get("body", b""), message.get("more_body", False)
                size += len(part)
                if size <= limit:  # what is too large is read to its end, so that the client reads the answer
                    body += part
        except asyncio.CancelledError as error:
            if error.args != (_LATE,):
                raise
            task.uncancel()
            seconds = f"{self.settings.body_seconds:g} seconds (`serving.body_seconds`)"
            raise Refused(408, f"The request did not arrive within {seconds}.", {"Connection": "close"}) from error
        finally:
            timer.cancel()
        if size > limit:
            megabytes = f"{self.settings.max_megabytes:g} MB (`serving.max_megabytes`)"
            raise Refused(413, f"A request may have {megabytes}: send several.")
        return bytes(body)

    def metrics(self) -> bytes:
        """Return the counts of every process of the endpoint, for Prometheus."""
        registry = self._registry
        if self._one_of_several:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def state(self) -> dict[str, Any]:
        """Return what Databricks says of an endpoint: whether it is ready, and apart from that whether it changes."""
        readiness, served = self.endpoint.readiness, self.endpoint.served
        entities: list[dict[str, Any]] = []
        routes: list[dict[str, Any]] = []
        if served is not None:
            trial, share = self.endpoint.trial, round(100 * readiness.challenger_share)
            versions = [(served.version, 100 - share, True)]
            if readiness.challenger not in {None, served.version}:
                versions.append((readiness.challenger, share, trial is not None))
            for version, percentage, loaded in versions:
                name, deployment = f"{served.name}-{version}", "DEPLOYMENT_READY" if loaded else "DEPLOYMENT_FAILED"
                about = {"entity_name": served.name, "entity_version": str(version)}
                entities.append({"name": name, **about, "state": {"deployment": deployment}})
                routes.append({"served_entity_name": name, "traffic_percentage": percentage})
        is_settled = readiness.preparing is None and (readiness.challenger is None or self.endpoint.trial is not None)
        update = "UPDATE_FAILED" if readiness.degraded else "IN_PROGRESS"
        return {
            "name": self.name,
            "state": {
                "ready": "READY" if readiness.ready else "NOT_READY",
                "config_update": "NOT_UPDATING" if is_settled else update,
            },
            "config": {"served_entities": entities, "traffic_config": {"routes": routes}},
        }

    async def watch(self) -> None:
        """Ask again and again who is the champion, and log what changes."""
        before = self.endpoint.readiness
        while True:
            await asyncio.sleep(self.settings.refresh_seconds)
            await asyncio.to_thread(self.endpoint.refresh)
            after = self.endpoint.readiness
            if after.version != before.version:
                note("serve", f"version {after.version} answers now")
            if after.degraded != before.degraded:
                note("serve", " ".join(after.degraded) or "everything works again")
            before = after


def _versions(answers: Answers) -> str:
    return ",".join([str(version.version) for version in answers.versions])


def first_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by their names in lower case; the first counts of those that are there several times."""
    return dict(reversed([*headers]))


def require_json(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body of another type, or one that is compressed."""
    if (sent := headers.get(b"content-type", _JSON)) != _JSON:
        kind = sent.decode("latin-1").partition(";")[0].strip().lower()
        if kind != _JSON.decode():
            raise Refused(415, f"The content type is {kind!r:.100}: send {_JSON.decode()}.")
    if (encoding := headers.get(b"content-encoding", b"identity")) != b"identity":
        raise Refused(415, f"The content is encoded as {encoding.decode('latin-1')!r:.100}: send it as it is.")
