"""For inputs that ask one or many URLs: Telegraf's common HTTP options, and a client that does what they say.

    class QueueOptions(HttpOptions, frozen=True):
        urls: Annotated[list[str], option("where the queues show their lengths")] = []

    class Queue(Input[QueueOptions]):
        def setup(self) -> None:
            self._http = UrlClient(self.options, self.options.urls)

        async def gather(self, acc: Accumulator) -> None:
            await for_each(self.options.urls, lambda url: self._ask(url, acc))

        async def _ask(self, url: str, acc: Accumulator) -> None:
            answer = await self._http.request(url)
            acc.add("queue", {"length": int(answer.text)}, {"url": url})

        async def stop(self) -> None:
            await self._http.close()

It brings aiohttp. Connections stay open between gathers; answers are inflated, and bounded in size and time.
"""

import gzip
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import SplitResult, urljoin, urlsplit

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.api.files import read_file
from pyagent.api.masking import mask_url
from pyagent.api.units import Secret
from pyagent.kit.each import for_each
from pyagent.kit.http_client import HttpClient, HttpError, HttpResponse
from pyagent.kit.http_headers import revealed_headers
from pyagent.kit.http_login import CookieLogin, HttpLogin, TokenLogin, basic_auth
from pyagent.kit.http_options import HttpOptions, TransportOptions

__all__ = ["Credentials", "HttpError", "HttpOptions", "HttpResponse", "TransportOptions", "UrlClient", "for_each"]

_NONE = Secret("")
_DEFAULT_TIMEOUT = 5.0
_DEFAULT_IDLE = 90.0
_MOST_BODY = 64 << 20
_MOST_REDIRECTS = 10
_TO_GET = (301, 302, 303)
_REDIRECTS = (*_TO_GET, 307, 308)
_FOR_THIS_HOST = ("authorization", "cookie", "host")
"""Headers that a redirect to another host does not take along."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks, whatever a plugin calls these options. A user goes before a token, a `token` before a `token_file`."""

    username: Secret = _NONE
    password: Secret = _NONE
    token: Secret = _NONE
    token_file: str = ""
    """Read for each request: tokens of Kubernetes change."""

    def header(self) -> dict[str, str]:
        """The Authorization header, if any. Raises PyagentError where the file of the token cannot be read."""
        if self.username or self.password:
            return basic_auth(self.username.reveal(), self.password.reveal())
        token = self.token.reveal().strip()
        if not token and self.token_file:
            try:
                token = read_file(self.token_file).decode("utf-8", "surrogateescape").strip()
            except OSError as error:
                raise PyagentError(f"cannot read the token's file {self.token_file}: {error.strerror}") from None
        return {"Authorization": f"Bearer {token}"} if token else {}


_NOBODY = Credentials()


class UrlClient:
    """Asks URLs as the options say. `http+unix:///run/x.sock:/path` is a unix socket and the path to ask there for.

    `urls`: those that will be asked; `option` names where they are from. Raises ConfigError for one that cannot work, and for
    options of TLS that cannot. `headers`: sent with each request, in place of its own; `headers_option` names where they are
    from. `max_body`: bytes of an answer, inflated. `credentials`: see there; OAuth2 goes before them.
    """

    def __init__(
        self,
        options: HttpOptions,
        urls: Iterable[str] = (),
        *,
        option: str = "urls",
        credentials: Credentials = _NOBODY,
        headers: Mapping[str, Secret | str] | None = None,
        headers_option: str = "headers",
        max_body: int = _MOST_BODY,
        answer_timeout: float | None = None,
        verb: str = "read",
    ) -> None:
        """`answer_timeout`: seconds, in place of `response_timeout`. `verb`: what cannot be done, for messages."""
        self._verb = verb
        self._options = options
        self._credentials = credentials
        self._headers = revealed_headers(headers or {}, headers_option)
        self._max_body = max_body
        self._answer_timeout = options.response_timeout.seconds if answer_timeout is None else answer_timeout
        self._clients: dict[str, HttpClient] = {}
        """By the path of a unix socket; the empty one is for all hosts."""
        for url in urls:
            _check(url, option)
        self._client("")  # wrong options are found out now
        self._login: HttpLogin | None = None
        if options.client_id and options.client_secret and options.token_url:
            _check(options.token_url, "token_url")
            self._login = TokenLogin(options, self._send)
        elif options.cookie_auth_url:
            _check(options.cookie_auth_url, "cookie_auth_url")
            revealed_headers(options.cookie_auth_headers, "cookie_auth_headers")
            self._login = CookieLogin(options, self._send, self._forget_cookies)

    async def request(
        self,
        url: str,
        method: str = "GET",
        *,
        body: bytes = b"",
        compress: bool = False,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (200,),
    ) -> HttpResponse:
        """The answer, redirects followed. `compress`: the body is sent as gzip. `expected`: statuses that are no failure.

        Raises PyagentError, which names the URL without its secrets.
        """
        answer = await self.exchange(url, method, body=body, compress=compress, headers=headers)
        self.check(url, answer, expected)
        return answer

    def check(self, url: str, answer: HttpResponse, expected: Collection[int] = (200,)) -> None:
        """Raises PyagentError where the status is another one, as `request` does."""
        if answer.status not in expected:
            raise PyagentError(f"cannot {self._verb} {mask_url(url)}: {_unexpected(answer, expected)}")

    async def exchange(
        self,
        url: str,
        method: str,
        *,
        body: bytes = b"",
        compress: bool = False,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> HttpResponse:
        """The answer, whatever its status is. `follow`: redirects; with some of them a body is lost. Raises PyagentError,
        an HttpError where it was asked."""
        sent = self._credentials.header() | dict(headers or {})
        if compress and body:
            body, sent = gzip.compress(body, 6, mtime=0), sent | {"Content-Encoding": "gzip"}
        try:
            if self._login is not None:
                sent |= await self._login.headers()
            whole = _joined(sent, self._headers)
            ask = self._followed if follow else self._asked
            answer = await ask(url, method, whole, body)
        except (HttpError, ValueError) as error:
            message = f"cannot {self._verb} {mask_url(url)}: {error}"
            if isinstance(error, HttpError):
                raise HttpError(message, error.response, lasting=error.lasting, reason=error.reason) from None
            raise PyagentError(message) from None
        if answer.status == 401 and self._login is not None:
            self._login.expire()
        return answer

    async def _asked(self, url: str, method: str, headers: dict[str, str], body: bytes) -> HttpResponse:
        return await self._send(method, url, headers, body)

    async def _followed(self, url: str, method: str, headers: dict[str, str], body: bytes) -> HttpResponse:
        socket_path, target = _target(url)
        for _ in range(_MOST_REDIRECTS):
            answer = await self._client(socket_path).request(method, target, headers=headers, body=body or None)
            location = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or not location:
                return answer
            before, target = urlsplit(target), urljoin(target, location)
            after = urlsplit(target)
            if after.scheme not in ("http", "https") or not after.hostname:  # not to a socket of this host, for one
                raise HttpError(f"it redirects to {mask_url(location)[:200]!r}, which is no URL of HTTP")
            if answer.status in _TO_GET and method not in ("GET", "HEAD"):
                method, body = "GET", b""
                headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
            if not _is_same_host(before, after):
                headers = {name: value for name, value in headers.items() if name.lower() not in _FOR_THIS_HOST}
            if after.netloc != before.netloc:
                socket_path = ""
        raise HttpError(f"it redirects in a circle, or more than {_MOST_REDIRECTS} times")

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        socket_path, target = _target(url)
        return await self._client(socket_path).request(method, target, headers=headers, body=body or None)

    def _client(self, socket_path: str) -> HttpClient:
        if socket_path not in self._clients:
            options = self._options
            proxy = "" if options.use_system_proxy else options.http_proxy_url or None
            self._clients[socket_path] = HttpClient(
                timeout=options.timeout.seconds or _DEFAULT_TIMEOUT,
                tls=options,
                proxy=proxy,
                local_address=options.local_address,
                max_body=self._max_body,
                unix_socket=socket_path,
                answer_timeout=self._answer_timeout,
                idle_timeout=options.idle_conn_timeout.seconds or _DEFAULT_IDLE,
                cookies=bool(options.cookie_auth_url),
            )
        return self._clients[socket_path]

    def _forget_cookies(self) -> None:
        for client in self._clients.values():
            client.forget_cookies()

    async def close(self) -> None:
        """Give back all connections. A later request opens new ones."""
        for client in self._clients.values():
            await client.close()


def _check(url: str, option: str) -> None:
    """Raises ConfigError."""
    try:
        _target(url)
    except ValueError as error:
        raise ConfigError(f"cannot use the URL {mask_url(url)!r}: {error}", option=option) from None


def _target(url: str) -> tuple[str, str]:
    """The path of a unix socket, if it is one, and the URL to ask there for. Raises ValueError."""
    parts = urlsplit(url)
    scheme, _, family = parts.scheme.partition("+")
    if scheme not in ("http", "https") or family not in ("", "unix"):
        raise ValueError("write http://, https:// or http+unix:// before it")
    if not family:
        if not parts.hostname:
            raise ValueError("it names no host")
        _ = parts.port  # it raises ValueError
        return "", url
    path, _, asked = (parts.netloc + parts.path).partition(":")
    if not path.startswith("/"):
        raise ValueError("write http+unix:///PATH/OF/SOCKET:/what/to/ask/for")
    query = f"?{parts.query}" if parts.query else ""
    return path, f"{scheme}://localhost/{asked.removeprefix('/')}{query}"


def _is_same_host(before: SplitResult, after: SplitResult) -> bool:
    """Whether what is for the first may go to the second: the same host, or one of its domain; never from https to http."""
    if before.scheme == "https" and after.scheme != "https":
        return False
    first, second = before.hostname or "", after.hostname or ""
    return first == second or second.endswith(f".{first}")


def _joined(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Both; where the two have one, in any case, that of `more`."""
    names = {name.lower() for name in more}
    return {name: value for name, value in headers.items() if name.lower() not in names} | dict(more)


def _unexpected(answer: HttpResponse, expected: Collection[int]) -> str:
    try:
        name = HTTPStatus(answer.status).phrase
    except ValueError:
        name = answer.reason
    advice = ""
    if answer.status in (401, 403):
        advice = "; correct the credentials"
    wanted = ", ".join(map(str, sorted(expected)))
    return f"the answer's status is {answer.status} ({name}), not {wanted}{advice}"
