"""The pages at `/`: what a browser gets, and the few calls beside InfluxDB's API that they make.

`files` serves the files of `static/`, `first` does the set-up, `configure` knows the installed plugins, `uploads` takes files,
`agents` asks those of this host. All else the pages ask of `/api/v2`, by the session's cookie, as any client does. A page
never holds the session's key (the cookie is HttpOnly) or the operator's token.
"""

import asyncio
import importlib
from typing import Final

from aiohttp import web

from pyagent.sandbox.http import Handler, Route
from pyagent.sandbox.pages import agents, files, first
from pyagent.sandbox.pages.agents import FOLDER
from pyagent.sandbox.pages.files import HEADERS, is_page

__all__ = ["FOLDER", "HEADERS", "OPEN", "ROUTES", "is_page"]

OPEN: Final = {("POST", first.PATH)}
"""Calls that need no session, by method and path."""


def _later(module: str, name: str) -> Handler:
    """A handler whose module is imported when it is first asked: the server starts without the plugins and the importer."""

    async def handle(request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(importlib.import_module, f"{__name__}.{module}")
        handler: Handler = getattr(found, name)
        return await handler(request)

    return handle


ROUTES: Final = [
    *files.ROUTES,
    *first.ROUTES,
    Route("GET", "/api/sandbox/plugins", _later("configure", "plugins")),
    Route("POST", "/api/sandbox/configuration", _later("configure", "compose")),
    Route("POST", "/api/sandbox/check", _later("configure", "check")),
    Route("POST", "/api/sandbox/upload", _later("uploads", "upload")),
    Route("GET", "/api/sandbox/agents", agents.find),
]
