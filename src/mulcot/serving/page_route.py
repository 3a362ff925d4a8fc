"""The page at `/` and its files: a fixed list, read once, so that no request ever names a path.

The page may run our own scripts and talk to this service, and nothing else: its Content-Security-Policy allows no
inline script or style, no other host, and no frame around it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from mulcot.report.pages.page import asset

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(include_in_schema=False)


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """Every file of the page by its name: content and type. The colours are those of all our pages."""
    found = {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in STATIC.iterdir() if path.suffix in TYPES}
    found["theme.css"] = (asset("theme.css").encode(), TYPES[".css"])
    return found


@router.get("/")
def page(request: Request) -> Response:
    """The page."""
    return _reply("index.html", request)


@router.get("/static/{name}")
def file(name: str, request: Request) -> Response:
    """A style or script of the page."""
    return _reply(name, request)


def _reply(name: str, request: Request) -> Response:
    if name not in files():
        return Response("not found", status_code=404, media_type="text/plain")
    content, kind = files()[name]
    headers = {**HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:20]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
