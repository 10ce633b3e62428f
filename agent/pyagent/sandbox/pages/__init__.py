"""The pages at `/`: what a browser gets, and the few calls beside InfluxDB's API that they make.

`files` serves the files of `static/`, `first` does the set-up, `configure` knows the installed plugins. All else the pages
ask of `/api/v2`, by the session's cookie, as any client does. A page never holds
the session's key (the cookie is HttpOnly) or the operator's token.
"""

from typing import Final

from pyagent.sandbox.pages import configure, files, first
from pyagent.sandbox.pages.files import HEADERS, is_page

__all__ = ["HEADERS", "OPEN", "ROUTES", "is_page"]

OPEN: Final = {("POST", first.PATH)}
"""Calls that need no session, by method and path."""

ROUTES: Final = [*files.ROUTES, *first.ROUTES, *configure.ROUTES]
