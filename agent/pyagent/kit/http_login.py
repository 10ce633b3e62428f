"""What a client of HTTP does before it may ask: get a token by OAuth2 client credentials, or cookies by a login."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlencode

from pyagent.api.masking import mask_url
from pyagent.kit.http_client import HttpError, HttpResponse
from pyagent.kit.http_options import HttpOptions

__all__ = ["CookieLogin", "HttpLogin", "TokenLogin", "basic_auth"]

Send = Callable[[str, str, Mapping[str, str], bytes], Awaitable[HttpResponse]]
"""Method, URL, headers and body to an answer. Raises HttpError."""

_EARLY = 10.0
"""Seconds before its end at which a token is got anew, as Go's library does it."""
_PAUSE = 1.0
"""Seconds for which a failure holds, so that many URLs do not each try in vain."""


class HttpLogin(Protocol):
    async def headers(self) -> dict[str, str]:
        """What each request needs. Raises HttpError."""

    def expire(self) -> None:
        """The server wants another one: get it with the next request."""


class _Login:
    """One login for all requests, made by the first that needs it while the others wait."""

    def __init__(self) -> None:
        self._good_until = 0.0
        """Loop time."""
        self._failure: HttpError | None = None
        self._failed_at = 0.0
        self._lock = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._failure is not None and now - self._failed_at < _PAUSE:
                raise HttpError(str(self._failure))
            self._failure = None
            if now >= self._good_until:
                try:
                    lifetime = await self._log_in()
                except HttpError as error:
                    self._failure, self._failed_at = error, asyncio.get_running_loop().time()
                    raise
                self._good_until = asyncio.get_running_loop().time() + lifetime
        return self._headers()

    def expire(self) -> None:
        self._good_until = 0.0

    async def _log_in(self) -> float:
        """Returns for how many seconds it is good. Raises HttpError."""
        raise NotImplementedError

    def _headers(self) -> dict[str, str]:
        return {}


class CookieLogin(_Login):
    """Cookies are kept by the client, which sends them."""

    def __init__(self, options: HttpOptions, send: Send, forget: Callable[[], None]) -> None:
        super().__init__()
        self._options = options
        self._send = send
        self._forget = forget

    async def _log_in(self) -> float:
        options = self._options
        self._forget()  # old cookies have no part in it
        sent: dict[str, str] = {}
        if options.cookie_auth_username:
            sent |= basic_auth(options.cookie_auth_username, options.cookie_auth_password.reveal())
        sent |= {name: value.reveal() for name, value in options.cookie_auth_headers.items()}
        url, body = options.cookie_auth_url, options.cookie_auth_body.reveal().encode("utf-8", "surrogateescape")
        answer = await _sent(self._send, options.cookie_auth_method or "POST", url, sent, body)
        if not 200 <= answer.status <= 299:
            raise HttpError(f"cannot log in at {mask_url(url)}: the answer's status is {answer.status}")
        return options.cookie_auth_renewal.seconds or float("inf")


class TokenLogin(_Login):
    """OAuth2 client credentials (RFC 6749, 4.4). The client's name and secret go into a header or, where the server does not
    take them so, into the body."""

    def __init__(self, options: HttpOptions, send: Send) -> None:
        super().__init__()
        self._options = options
        self._send = send
        self._in_body = False
        self._header = ""

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._header}

    async def _log_in(self) -> float:
        answer = await self._ask()
        if not 200 <= answer.status <= 299 and not self._in_body:
            self._in_body = True
            answer = await self._ask()
        if not 200 <= answer.status <= 299:
            self._in_body = False
            raise self._failed(f"the answer's status is {answer.status}{_words(answer)}")
        found = _document(answer)
        token = found.get("access_token")
        if not isinstance(token, str) or not token:
            raise self._failed("the answer has no access_token")
        kind = str(found.get("token_type") or "Bearer")
        self._header = f"{'Bearer' if kind.lower() == 'bearer' else kind} {token}"
        try:
            lifetime = float(str(found.get("expires_in") or 0))
        except ValueError:
            raise self._failed("the answer's expires_in is no number of seconds") from None
        return max(lifetime - _EARLY, 0.0) if lifetime else float("inf")

    async def _ask(self) -> HttpResponse:
        options = self._options
        fields = {"grant_type": "client_credentials"}
        if options.scopes:
            fields["scope"] = " ".join(options.scopes)
        if options.audience:
            fields["audience"] = options.audience
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        secret = options.client_secret.reveal()
        if self._in_body:
            fields |= {"client_id": options.client_id, "client_secret": secret}
        else:
            headers |= basic_auth(*(quote(text, "", errors="surrogateescape") for text in (options.client_id, secret)))
        return await _sent(
            self._send, "POST", options.token_url, headers, urlencode(fields, errors="surrogateescape").encode()
        )

    def _failed(self, cause: str) -> HttpError:
        return HttpError(f"cannot get a token from {mask_url(self._options.token_url)}: {cause}")


def basic_auth(user: str, password: str) -> dict[str, str]:
    """The header of HTTP's basic authentication."""
    pair = f"{user}:{password}".encode("utf-8", "surrogateescape")
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


async def _sent(send: Send, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
    try:
        return await send(method, url, headers, body)
    except (HttpError, ValueError) as error:
        raise HttpError(f"cannot log in at {mask_url(url)}: {error}") from None


def _document(answer: HttpResponse) -> dict[str, object]:
    """The fields of an answer, which is JSON or, as some old servers send it, a form."""
    if "form" in answer.headers.get("Content-Type", ""):
        return dict(parse_qsl(answer.text))
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(answer: HttpResponse) -> str:
    found = _document(answer)
    words = found.get("error_description") or found.get("error")
    return f": {' '.join(str(words).split())[:200]}" if words else ""
