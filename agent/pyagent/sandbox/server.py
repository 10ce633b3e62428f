"""The HTTP application: routes, who may call them, and InfluxDB's headers and errors around every answer."""

import asyncio
import logging
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from pyagent.sandbox import faults, pages
from pyagent.sandbox.documents import Document
from pyagent.sandbox.errorlog import ErrorLog
from pyagent.sandbox.errors import InfluxError, hidden
from pyagent.sandbox.http import CALLER, STATE, Handler, Route, is_indented, refuse
from pyagent.sandbox.paths import LEGACY, is_api, is_plain, unhandled
from pyagent.sandbox.resources import (
    absent,
    authorizations,
    buckets,
    dbrps,
    delete,
    labels,
    members,
    orgs,
    query,
    session,
    setup,
    system,
    telegrafs,
    users,
    v1,
    variables,
    write,
)  # fmt: skip
from pyagent.sandbox.state import VERSION, State

LOOPBACK: Final = re.compile(r"(?:localhost|[\w-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?", re.IGNORECASE)

MAX_REQUEST: Final = 64 * 2**20
"""Bytes of a request body as sent. InfluxDB has no such limit; a server that lives beside a desktop needs one."""

_ERRORS: Final = web.AppKey("errors", dict[int, ErrorLog])
"""By level: what clients send wrong does not push out this server's own errors."""
_LONGEST: Final = 300
"""Characters of a cause in the log."""

_VARY: Final = ("/ping", "/api/v2/query", "/query", "/write")
_OPEN: Final = {
    ("GET", "/api/v2"), ("GET", "/api/v2/setup"), ("POST", "/api/v2/setup"), ("POST", "/api/v2/signin"),
    ("POST", "/api/v2/signout"), ("GET", "/api/v2/swagger.json"),
}  # fmt: skip
"""Calls of the API that need no token."""


def routes() -> Iterable[Route]:
    for module in (
        system,
        setup,
        session,
        orgs,
        users,
        buckets,
        authorizations,
        telegrafs,
        labels,
        members,
        variables,
        write,
        v1,
        query,
        delete,
        dbrps,
        absent,
    ):
        yield from module.ROUTES


def make_app(state: State, *, with_faults: bool = False, agents: Path) -> web.Application:
    app = web.Application(middlewares=[_frame], client_max_size=MAX_REQUEST)
    app[STATE] = state
    app[_ERRORS] = {level: ErrorLog(app.logger) for level in (logging.WARNING, logging.ERROR)}
    app[pages.FOLDER] = agents
    app[faults.FAULTS] = faults.Faults(enabled=with_faults)
    for route in (*routes(), *pages.ROUTES, *(faults.ROUTES if with_faults else ())):
        app.router.add_route(route.method, route.path, route.handler)
        if is_plain(route.path):
            app.router.add_route(route.method, f"{route.path}/", route.handler)
    app.on_response_prepare.append(_headers)
    return app


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Influxdb-Build"] = "OSS"
    response.headers["X-Influxdb-Version"] = VERSION
    response.headers.pop("Server", None)  # InfluxDB has none; aiohttp would add its own
    if pages.is_page(request):
        response.headers.update(pages.HEADERS)
    if request.path in _VARY:
        response.headers["Vary"] = "Accept-Encoding"
    origin = request.headers.get("Origin")
    if origin and _is_local_origin(origin):
        # Pages of this machine may call with a token. A session's cookie is lent to none of them.
        response.headers["Access-Control-Allow-Origin"] = origin
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "POST, GET, OPTIONS, PUT, DELETE, PATCH"
            response.headers["Access-Control-Allow-Headers"] = (
                "Accept, Content-Type, Content-Length, Accept-Encoding, Authorization, User-Agent"
            )
        response.headers.add("Vary", "Origin")


def _is_local_origin(origin: str) -> bool:
    return bool(LOOPBACK.fullmatch(urlsplit(origin).netloc))


@web.middleware
async def _frame(request: web.Request, handler: Handler) -> web.StreamResponse:
    indented = is_indented(request.path)
    try:
        if not LOOPBACK.fullmatch(request.host):
            raise InfluxError("forbidden", "this server answers to loopback names only, such as localhost or 127.0.0.1")
        origin = request.headers.get("Origin")
        if origin and not _is_local_origin(origin):
            raise InfluxError("forbidden", "pages of another origin may not call this server")
        if is_api(request.path):
            if request.method == "OPTIONS":
                return web.Response(status=204 if origin else 405)
            if (request.method, request.path) not in _OPEN | pages.OPEN:
                indented = False
                CALLER.set(_of_active_user(request, _authenticate(request)))
                indented = is_indented(request.path)
        elif request.path in LEGACY and request.path != "/ping":
            CALLER.set(v1.authenticate(request))
        if (failed := request.match_info.http_exception) is not None:
            return await unhandled(request, web.HTTPNotFound() if pages.is_page(request) else failed)
        return await request.app[faults.FAULTS].around(request, handler)
    except InfluxError as error:
        if error.cause:
            _log(request, " ".join(error.cause.split())[:_LONGEST], logging.WARNING)
        return refuse(error, indented)
    except web.HTTPRequestEntityTooLarge:
        return refuse(InfluxError("request too large", "unable to read data: points batch is too large"), indented)
    except (asyncio.CancelledError, ConnectionError, web.HTTPException):
        raise
    except Exception:
        cause = f"an error of this server:\n{traceback.format_exc()}"
        _log(request, cause, logging.ERROR)
        return refuse(hidden(cause), indented)


def _log(request: web.Request, cause: str, level: int) -> None:
    """Why the answer says that the log has more: in a bounded number, so that no client fills a disk."""
    resource = request.match_info.route.resource
    # The route's own path: that of the request is a stranger's text.
    what = f"{request.method} {resource.canonical if resource is not None else 'a path that is unknown'}"
    request.app[_ERRORS][level].add(f"cannot answer {what}: {cause}", level)


def _authenticate(request: web.Request) -> Document:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    by_token = scheme.lower() in ("token", "bearer")
    found = request.app[STATE].authorization(token) if by_token else session.session_of(request)
    if found is None:
        raise InfluxError("unauthorized", "unauthorized access")
    return found


def _of_active_user(request: web.Request, found: Document) -> Document:
    user = request.app[STATE].documents.get("users", found["userID"])
    if user is None or user["status"] == "inactive":
        raise InfluxError("forbidden", "User is inactive")
    return found
