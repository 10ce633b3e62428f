"""What is answered where no handler is: InfluxDB has several routers, and each says it in a way of its own."""

import html
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.http import is_indented, refuse

LEGACY: Final = ("/ping", "/query", "/write")
"""Paths of InfluxDB 1, with credentials of their own."""
_API: Final = ("/api/v2", "/api/sandbox/", "/private/", "/sandbox/", "/v1")
_PLAIN: Final = (
    "authorizations", "buckets", "config", "dashboards", "dbrps", "labels", "me", "orgs", "remotes", "replications", "setup",
    "signin", "signout", "stacks", "templates", "users",
)  # fmt: skip
"""Below `/api/v2`: text for an unknown path, nothing for a method."""
_COMPACT: Final = (
    "backup", "checks", "delete", "documents", "notificationEndpoints", "notificationRules", "query", "restore", "scrapers",
    "sources", "tasks", "telegraf/plugins", "telegrafs", "variables", "write",
)  # fmt: skip
"""Below `/api/v2`: a JSON error in one line."""


def is_api(path: str) -> bool:
    """Whether a path is behind the API's authentication."""
    return path.startswith(_API)


def is_plain(path: str) -> bool:
    """Whether a path belongs to one of the routers that take a slash at its end."""
    return _is_below(path, _PLAIN) or f"{path}/".startswith("/private/legacy/authorizations/")


def _is_below(path: str, names: Iterable[str]) -> bool:
    return any(path == f"/api/v2/{name}" or path.startswith(f"/api/v2/{name}/") for name in names)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def no_assets() -> web.Response:
    """The answer to a path that neither a page nor the API has."""
    return _text(404, "no assets included in binary\n")


async def unhandled(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """The answer to a path that is not there, or to a method that it does not take."""
    path = request.path
    if isinstance(error, web.HTTPMethodNotAllowed):
        return _no_method(request, ", ".join(sorted({*error.allowed_methods, "OPTIONS"})))
    if path in LEGACY or _is_below(path, _COMPACT):
        without = request.clone(rel_url=request.rel_url.with_path(path.removesuffix("/"), keep_query=True))
        if path.endswith("/") and (await request.app.router.resolve(without)).http_exception is None:
            return _moved(request.method, str(without.rel_url))
        return refuse(InfluxError("not found", "path not found"), False)
    if not is_api(path):
        return no_assets()
    if is_plain(path) and not _is_embedded(path):
        return _text(404, "404 page not found\n")
    return refuse(InfluxError("not found", "path not found"), True)


def _moved(method: str, to: str) -> web.Response:
    """The same path without the slash at its end; the query stays."""
    if method != "GET":
        return web.Response(status=307, headers={"Location": to})
    text = f'<a href="{html.escape(to)}">Moved Permanently</a>.\n\n'
    return web.Response(status=301, text=text, content_type="text/html", charset="utf-8", headers={"Location": to})


def _no_method(request: web.Request, allow: str) -> web.StreamResponse:
    path = request.path
    if path in LEGACY and request.method == "OPTIONS":
        response: web.StreamResponse = web.Response(status=200)
    elif path == "/ping":
        response = _text(405, "Method Not Allowed\n")
    elif is_indented(path) or is_plain(path):
        if not _is_embedded(path):
            return web.Response(status=405)
        return refuse(InfluxError("method not allowed", "allow: "), True)
    else:
        response = refuse(InfluxError("method not allowed", f"allow: {allow}"), False)
    response.headers["Allow"] = allow
    return response


def _is_embedded(path: str) -> bool:
    """Whether it is the labels of a resource."""
    parts = path.split("/")
    return len(parts) > 5 and parts[3] in ("buckets", "dashboards") and parts[5] == "labels"
