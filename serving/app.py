"""The endpoint over HTTP: scoring, state, health and metrics; `churn.lifecycle.endpoint` decides what is answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from .fast_path import FAST_PATH, FastPath
from .openapi import document
from .page import add_page
from .refusals import Headers, answered, json_response, refusal
from .service import Service, first_of

__all__ = ["create_app"]

_PATH = re.compile("(?:/serving-endpoints/([^/]+))?/invocations")


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


def create_app(service: Service, version: str) -> Headers:
    """Return the ASGI application; `version` is that of this program. The champion is loaded before it is ready."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        await asyncio.to_thread(service.endpoint.refresh)
        watching = [asyncio.create_task(service.watch())]
        if service.log is not None:
            watching.append(asyncio.create_task(service.log.run()))
        yield {FAST_PATH: FastPath(service)}  # to the connections of the server
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
        path, allowed = request.url.path, (error.headers or {}).get("Allow")
        message = f"There is nothing at {path!r:.200}: /openapi.json says which paths there are."
        if allowed:
            message = f"{path!r:.200} is asked by {allowed}, not by {request.method!r:.20}."
        return refusal(error.status_code, message, error.headers)

    @app.post("/invocations")
    @app.post("/serving-endpoints/{name}/invocations")
    async def invocations(request: Request, name: str | None = None) -> Response:
        return await _invocations(request, service, name)

    @app.get("/api/2.0/serving-endpoints/{name}")
    @answered
    async def state(request: Request, name: str) -> Response:
        service.allow(first_of(request.scope["headers"]), "query")
        service.known(name)
        return json_response(service.state())

    @app.get("/api/2.0/serving-endpoints")
    @app.get("/api/2.0/serving-endpoints/", include_in_schema=False)  # as MLflow's client asks
    @answered
    async def states(request: Request) -> Response:
        service.allow(first_of(request.scope["headers"]), "query")
        return json_response({"endpoints": [service.state()]})

    @app.get("/model")
    @answered
    async def model(request: Request) -> Response:
        service.allow(first_of(request.scope["headers"]), "query")
        return json_response(service.endpoint.describe().model_dump())

    _add_health(app, service, version)
    add_page(app)
    return Headers(Invocations(service, app))


def _add_health(app: FastAPI, service: Service, version: str) -> None:
    """Let an application say whether it works, which version answers, and what was counted."""

    @app.get("/health/live")
    async def live() -> Response:
        return json_response({"status": "ok"})

    @app.get("/health/ready")
    async def ready() -> Response:
        readiness = service.endpoint.readiness
        state = readiness.model_dump()
        if service.log is not None:
            state["degraded"] = [*readiness.degraded, *service.log.troubles]
            state["predictions"] = service.log.counts()
        return json_response(state, 200 if readiness.ready else 503)

    @app.get("/version")
    async def versions() -> Response:
        return json_response({"program": version, "model_version": service.endpoint.readiness.version})

    @app.get("/metrics")
    @answered
    async def metrics(request: Request) -> Response:
        service.allow(first_of(request.scope["headers"]), "admin")
        return Response(service.metrics(), media_type="text/plain; version=0.0.4")
