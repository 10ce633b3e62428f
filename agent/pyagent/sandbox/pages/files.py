"""The files that a browser gets, with the headers that keep everything else out of them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import web

from pyagent.sandbox.http import Route
from pyagent.sandbox.paths import no_assets

_FOLDER: Final = Path(__file__).parent / "static"
_BELOW: Final = "/ui/"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

HEADERS: Final = {
    # Only files of this server, nothing that is written in the page itself, no frame around it, and no text as HTML.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}


class _File(NamedTuple):
    content: bytes
    type: str
    tag: str


def is_page(request: web.Request) -> bool:
    """Whether its path is one of a page."""
    return request.path == "/" or request.path.startswith(_BELOW)


@cache
def _files() -> dict[str, _File]:
    """All of them by name; a few, and small."""
    return {
        path.name: _File(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
        for content in (path.read_bytes(),)
    }


async def show(request: web.Request) -> web.StreamResponse:
    found = _files().get(request.match_info.get("name", "index.html"))
    if found is None:
        return no_assets()
    headers = {"Content-Type": found.type, "ETag": found.tag}
    if request.headers.get("If-None-Match") == found.tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.content, headers=headers)


ROUTES = [Route(method, path, show) for method in ("GET", "HEAD") for path in ("/", _BELOW + "{name}")]
