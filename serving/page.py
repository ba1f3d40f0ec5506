"""The page at `/` for a person: static files, which ask the endpoint's own API; nothing is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response

from reports.page import stylesheet

__all__ = ["add_page"]

__package_data__ = ("static/*",)

_FOLDER = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_page(app: FastAPI) -> None:
    """Let an application answer `/` with the page, and give it its style and script; no token is asked for those."""
    style = f"{stylesheet()}\n{_read('page.css')}"
    files = {
        "/": ("text/html", _read("page.html")),
        "/page/style.css": ("text/css", style),
        "/page/page.js": ("text/javascript", _read("page.js")),
    }

    async def answer(request: Request) -> Response:
        kind, text = files[request.url.path]
        return Response(text, media_type=kind, headers=_HEADERS)

    for path in files:
        app.add_api_route(path, answer, include_in_schema=False)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
