"""The endpoint over HTTP: scoring, state, health and metrics; `churn.lifecycle.endpoint` decides what is answered."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Literal, Protocol

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from churn.core.errors import ChurnError
from churn.core.progress import note
from churn.lifecycle.endpoint import Answers, Endpoint, Served
from churn.scoring.settings import ServingSettings

from .log import KeptLog
from .openapi import document
from .page import add_page
from .refusals import Headers, Refused, answered, json_response, refusal
from .schema import Request as ScoringRequest
from .schema import answer_of, read_request

__all__ = ["Authority", "Service", "create_app"]

Scope = Literal["query", "admin"]
_IN_LOOP_ROWS = 8
"""Requests of more rows are scored in a thread, so that small ones do not wait for them."""
_LATE = "the body is late"
_PATH = re.compile("(?:/serving-endpoints/([^/]+))?/invocations")
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Authority(Protocol):
    """Who may ask, such as `adapters.local.tokens.TokenFile`."""

    def scope_of(self, text: str) -> Scope | None:
        """Return what a bearer token may do, None for one that nobody made; raises StoreError."""


class Invocations:
    """An ASGI application that answers scoring requests, and leaves everything else to FastAPI.

    FastAPI describes and routes these requests too; its layers take longer than a score.
    """

    def __init__(self, service: Service, others: Any) -> None:
        """Take the endpoint, and the application of every other request."""
        self._service, self._others = service, others

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        named = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if named is None:
            await self._others(scope, receive, send)
            return
        response = await _invocations(Request(scope, receive), self._service, named[1])
        await response(scope, receive, send)


@answered
async def _invocations(request: Request, service: Service, name: str | None) -> Response:
    return await service.score(request, name)


class Service:
    """One endpoint in one process, with its limits and what it counts."""

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
        self._registry, self._running, self._one_of_several = CollectorRegistry(), 0, one_of_several
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

    def allow(self, request: Request, needed: Scope) -> None:
        """Refuse who may not ask for that."""
        if self.authority is None:
            return
        kind, _, token = _header(request, b"authorization").partition(" ")
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

    async def score(self, request: Request, name: str | None = None) -> Response:
        """Answer a scoring request, of the endpoint `name` where its path has one, unless too many are under way."""
        if self._running >= self.settings.max_concurrent:
            self._requests("429", "").inc()
            raise Refused(429, "Too many requests at a time: come again in a second.", {"Retry-After": "1"})
        self._running += 1
        try:
            await asyncio.sleep(0)  # whoever came at the same time is counted before anybody is scored
            return await self._scored(request, name)
        except BaseException as error:
            self._requests(str(getattr(error, "status", "error")), "").inc()
            raise
        finally:
            self._running -= 1

    async def _scored(self, request: Request, name: str | None) -> Response:
        begun = time.perf_counter()
        self.allow(request, "query")
        if name is not None:
            self.known(name)
        asked = read_request(await self._body(request), self.settings.max_rows)
        parsed = time.perf_counter()
        if len(asked.rows) > _IN_LOOP_ROWS:
            answers = await asyncio.to_thread(self._answers, asked)
        else:
            answers = self._answers(asked)
        scored = time.perf_counter()
        if self.log is not None:
            logged = await self.log.keep(
                answers, request.scope["request_id"], "what_if" if asked.what_if else "answered"
            )
            self._logged("logged" if logged else "dropped").inc(len(answers.rows))
        kept = time.perf_counter()
        served = ",".join([_entity(served) for served in answers.versions])
        content = orjson.dumps(answer_of(answers, served))
        done = time.perf_counter()
        for row in answers.rows:
            self._rows(row.status).inc()
        self._requests("200", ",".join([str(served.version) for served in answers.versions])).inc()
        self._failed(len(answers.failed))
        self._seconds.observe(done - begun)
        spans = {"parse": parsed - begun, **answers.spent._asdict(), "log": kept - scored, "write": done - kept}
        timing = ", ".join([f"{span};dur={seconds * 1000:.3f}" for span, seconds in spans.items()])
        headers = {"served-model-name": served, "Server-Timing": timing}
        trial = self.endpoint.trial
        beside = None
        is_real = trial is not None and trial.rollout.shadow and not asked.what_if
        if is_real and self._shadowing < self.settings.max_concurrent:
            beside = BackgroundTask(self._shadow, asked, request.scope["request_id"])
        return Response(content, media_type="application/json", headers=headers, background=beside)

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

    def _answers(self, asked: ScoringRequest) -> Answers:
        return self.endpoint.answer(asked.rows, explain=asked.explain, contributions=asked.contributions)

    async def _body(self, request: Request) -> bytes:
        kind = _header(request, b"content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, f"The content type is {kind!r:.100}: send application/json.")
        if (encoding := _header(request, b"content-encoding", "identity")) != "identity":
            raise Refused(415, f"The content is encoded as {encoding!r:.100}: send it as it is.")
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
        known = self.endpoint.readiness
        while True:
            await asyncio.sleep(self.settings.refresh_seconds)
            await asyncio.to_thread(self.endpoint.refresh)
            found = self.endpoint.readiness
            if found.version != known.version:
                note("serve", f"version {found.version} answers now")
            if found.degraded != known.degraded:
                note("serve", " ".join(found.degraded) or "everything works again")
            known = found


def _entity(served: Served) -> str:
    return f"{served.name}-{served.version}"


def _header(request: Request, name: bytes, default: str = "") -> str:
    """Return the first header of that name, which is in lower case."""
    return next((value.decode("latin-1") for key, value in request.scope["headers"] if key == name), default)


def create_app(service: Service, version: str) -> Headers:
    """Return the ASGI application; `version` is that of this program. The champion is loaded before it is ready."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.endpoint.refresh)
        watching = [asyncio.create_task(service.watch())]
        if service.log is not None:
            watching.append(asyncio.create_task(service.log.run()))
        yield
        for task in watching:
            task.cancel()
        if service.log is not None:
            await asyncio.to_thread(service.log.close)

    # FastAPI's own pages load their scripts from other servers: the document is all that is served.
    app = FastAPI(
        title=service.name, version=version, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.openapi = lambda: document(service.name, version)  # type: ignore[method-assign]

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        return refusal(error.status_code, str(error.detail), error.headers)

    @app.post("/invocations")
    @app.post("/serving-endpoints/{name}/invocations")
    async def invocations(request: Request, name: str | None = None) -> Response:
        return await _invocations(request, service, name)

    @app.get("/api/2.0/serving-endpoints/{name}")
    @answered
    async def state(request: Request, name: str) -> Response:
        service.allow(request, "query")
        service.known(name)
        return json_response(service.state())

    @app.get("/model")
    @answered
    async def model(request: Request) -> Response:
        service.allow(request, "query")
        return json_response(service.endpoint.describe().model_dump())

    @app.get("/health/live")
    async def live() -> Response:
        return json_response({"status": "ok"})

    @app.get("/health/ready")
    async def ready() -> Response:
        readiness = service.endpoint.readiness
        said = readiness.model_dump()
        if service.log is not None:
            said["degraded"] = [*readiness.degraded, *service.log.troubles]
            said["predictions"] = service.log.counts()
        return json_response(said, 200 if readiness.ready else 503)

    @app.get("/version")
    async def versions() -> Response:
        return json_response({"program": version, "model_version": service.endpoint.readiness.version})

    @app.get("/metrics")
    @answered
    async def metrics(request: Request) -> Response:
        service.allow(request, "admin")
        return Response(service.metrics(), media_type="text/plain; version=0.0.4")

    add_page(app)
    return Headers(Invocations(service, app))
