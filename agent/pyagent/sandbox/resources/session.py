"""`/api/v2/signin` and `/api/v2/signout`: a session in place of a token, for users who have a password."""

import asyncio
import secrets
from datetime import UTC, datetime
from itertools import chain
from urllib.parse import urlsplit

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.http import Route, no_content, state_of
from pyagent.sandbox.permissions import check_password
from pyagent.sandbox.resources.users import basic_credentials, permissions_of
from pyagent.sandbox.state import State

COOKIE = "influxdb-oss-session"
LENGTH = 3600
"""Seconds that a session lasts after it was last used."""
MOST = 100
"""Sessions at once; the oldest one ends."""


def session_of(request: web.Request) -> Document | None:
    """What the session of a request's cookie may do, in the form of an authorization.

    None also where another site's page makes the request: a browser adds the cookie to that, too. To a browser all ports of a
    host are one site, so that SameSite does not keep the pages of another local server out.
    """
    state, key = state_of(request), request.cookies.get(COOKIE, "")
    session = state.sessions.get(key) if is_from_own_page(request) else None
    if session is None:
        return None
    if session["expires"] < state.clock():
        del state.sessions[key]
        return None
    session["expires"] = state.clock() + LENGTH * 10**9
    user = session["userID"]
    tokens = [one["permissions"] for one in state.documents.all("authorizations") if one["userID"] == user]
    return {**session, "permissions": [*permissions_of(state, user), *chain.from_iterable(tokens)]}


def is_from_own_page(request: web.Request) -> bool:
    """Whether a browser says so, or what makes the request is no browser."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()


async def signin(request: web.Request) -> web.Response:
    state = state_of(request)
    # A password is slow to check, by design.
    user = await asyncio.to_thread(_user, state, request.headers.get("Authorization", ""))
    return begin_session(state, user)


def begin_session(state: State, user: Document) -> web.Response:
    """The empty answer whose cookie is the session."""
    while len(state.sessions) >= MOST:
        del state.sessions[next(iter(state.sessions))]
    key, expires = secrets.token_urlsafe(64), state.clock() + LENGTH * 10**9
    org = next(iter(state.documents.all("orgs")), {"id": ""})["id"]
    state.sessions[key] = {
        "id": "",
        "status": "active",
        "description": "",
        "orgID": org,
        "userID": user["id"],
        "expires": expires,
    }
    response = no_content()
    ends = datetime.fromtimestamp(expires // 10**9, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    response.headers["Set-Cookie"] = f"{COOKIE}={key}; Path=/api/; Expires={ends}; HttpOnly; SameSite=Strict"
    return response


def _user(state: State, authorization: str) -> Document:
    """Raises InfluxError."""
    name, password = basic_credentials(authorization) or ("", "")
    user = state.documents.find("users", name=name)
    if user is None or not user.get("password") or not check_password(password, user["password"]):
        raise InfluxError("unauthorized", "unauthorized access")
    return user


async def signout(request: web.Request) -> web.Response:
    if session_of(request) is None:
        raise InfluxError("unauthorized", "unauthorized access")
    del state_of(request).sessions[request.cookies[COOKIE]]
    return no_content()


ROUTES = [Route("POST", "/api/v2/signin", signin), Route("POST", "/api/v2/signout", signout)]
