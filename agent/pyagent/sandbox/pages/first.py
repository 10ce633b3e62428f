"""The set-up by a page: as `POST /api/v2/setup`, but what it answers is a session, and not the operator's token."""

from typing import Final

from aiohttp import web

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.http import Route, read_json, state_of, text_of
from pyagent.sandbox.resources.session import begin_session, is_from_own_page
from pyagent.sandbox.resources.setup import onboard

PATH: Final = "/api/sandbox/setup"


async def set_up(request: web.Request) -> web.Response:
    if not is_from_own_page(request):
        raise InfluxError("forbidden", "pages of another origin may not set up this server")
    state, body = state_of(request), await read_json(request)
    password = text_of(body, "password")
    if not password:
        # Without one nobody could sign in again.
        raise InfluxError("unprocessable entity", "onboarding failed: missing required fields [password]")
    made = await onboard(state, text_of(body, "username"), password, text_of(body, "org"), text_of(body, "bucket"))
    return begin_session(state, made["user"])


ROUTES = [Route("POST", PATH, set_up)]
