"""An HTTP client for plugins and the engine: aiohttp, made on first use.

No redirects (a token must not travel to another host, and a redirected POST loses its body), URLs sent as written, the
answer's size and the request's time bounded, proxies from the environment, User-Agent `pyagent/VERSION`.
"""

import asyncio
import contextlib
import io
import ipaddress
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.request import getproxies

from yarl import URL

from pyagent import __version__
from pyagent.api.errors import ConfigError, PyagentError
from pyagent.kit.connect_errors import SPEAKS_HTTPS, explained, is_lasting, not_http
from pyagent.kit.held import MOST_HELD, hold
from pyagent.kit.tls import TlsOptions, authorities_when_used, system_context

with authorities_when_used():  # for a context of aiohttp's own, which nothing here uses
    import aiohttp
    from aiohttp.client_exceptions import UnixClientConnectorError

__all__ = ["HttpClient", "HttpError", "HttpResponse", "environment_proxy"]

USER_AGENT = f"pyagent/{__version__}"
_PIECEWISE = 1 << 20
_TLS_ALERT = "\\x15\\x03"
"""How the answer of a TLS server to a request in clear text begins, as aiohttp shows it."""


FailureReason = Literal["", "timeout", "dns"]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    reason: str
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes
    began: float = 0.0
    """When status and headers had come, by `time.perf_counter`."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class HttpError(PyagentError):
    """No whole answer: refused, reset, timed out, not HTTP, or larger than allowed. One line, without addresses' secrets.

    `response`: of an answer that broke off, its status, its headers and what had come of its body; None where not even
    the status is known. `lasting`: only a person's work will change it. `reason`: that it took too long, or that the host's
    name is not known; empty: anything else.
    """

    def __init__(
        self, message: str, response: HttpResponse | None = None, *, lasting: bool = False, reason: FailureReason = ""
    ) -> None:
        super().__init__(message)
        self.response = response
        self.lasting = lasting
        self.reason = reason


class _SlowAnswer(TimeoutError):
    """It has not begun in time."""


class HttpClient:
    """One pool of connections, opened by the first request.

    `timeout`: seconds for a whole request. `max_body`: bytes of an answer, inflated, above which it is refused.
    `proxy`: a proxy's URL; empty takes the environment's (http_proxy, https_proxy, no_proxy); None is none. `unix_socket`: the
    path of a socket that all requests go to, whatever host their URL names; proxies are out of account then.
    `answer_timeout`: seconds until an answer begins; 0: as `timeout` has it. `idle_timeout`: seconds for which a connection is
    kept that is not used. `cookies`: keep those that servers set, and send them.
    """

    def __init__(
        self,
        *,
        timeout: float = 5.0,
        tls: TlsOptions | None = None,
        proxy: str | None = "",
        local_address: str = "",
        user_agent: str = "",
        max_body: int = 4 * 1024 * 1024,
        unix_socket: str = "",
        answer_timeout: float = 0.0,
        idle_timeout: float = 90.0,
        cookies: bool = False,
    ) -> None:
        self._timeout = timeout
        self._answer_timeout = answer_timeout
        self._idle_timeout = idle_timeout
        self._cookies = cookies
        self._ssl = tls.ssl_context() if tls else None
        self._server_name = (tls.tls_server_name if tls and tls.tls_enable else "") or None
        self._proxy = proxy
        self._local = _local_address(local_address) if local_address else None
        self._user_agent = user_agent or USER_AGENT
        self._max_body = max_body
        self._unix_socket = unix_socket
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> HttpResponse:
        """Send a request and read the whole answer, whatever its status. Raises HttpError where there is none."""
        try:
            try:
                return await self._request(method, url, headers, body)
            except aiohttp.ServerDisconnectedError as error:
                if not isinstance(error.message, str):
                    raise  # part of an answer had come
                # The server closed a kept connection between two requests: not a failure worth anybody's attention.
                return await self._request(method, url, headers, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            lasting = isinstance(error, aiohttp.ClientConnectorError) and is_lasting(error.os_error)
            raise HttpError(self._cause(error, url), lasting=lasting, reason=_reason(error)) from None

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> HttpResponse:
        if self._session is None:
            connector: aiohttp.BaseConnector
            if self._unix_socket:
                connector = aiohttp.UnixConnector(self._unix_socket, keepalive_timeout=self._idle_timeout)
            else:
                connector = aiohttp.TCPConnector(keepalive_timeout=self._idle_timeout, local_addr=self._local)
            # As Go's: also of hosts that are addresses, and as they came.
            jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False) if self._cookies else aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                headers={"User-Agent": self._user_agent},
                cookie_jar=jar,
            )
        target = URL(url, encoded=True)
        if target.user is not None and headers and any(name.lower() == "authorization" for name in headers):
            target = target.with_user(None)  # the header counts, and aiohttp takes no two
        proxy = None if self._unix_socket or self._proxy is None else self._proxy or _proxy_for(target)
        encrypted = target.scheme == "https" or (proxy or "").startswith("https:")
        sent = self._session.request(
            method,
            target,
            headers=headers,
            # In a stream a large body leaves in pieces, and the loop breathes between them.
            data=io.BytesIO(body) if body and len(body) > _PIECEWISE else body,
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
            proxy=proxy,
            ssl=self._ssl or (system_context() if encrypted else True),
            server_hostname=self._server_name,
        )
        patience = asyncio.timeout(self._answer_timeout or None)
        try:
            async with patience:
                response = await sent
        except TimeoutError:
            if not patience.expired():
                raise
            raise _SlowAnswer(f"no answer within {self._answer_timeout:g} s") from None
        async with response:
            answer, broken, began, waited = bytearray(), "", time.perf_counter(), False
            try:
                async for chunk in response.content.iter_chunked(65536):
                    waited |= await hold(len(chunk))
                    answer += chunk
                    if len(answer) > self._max_body:
                        broken = f"the answer is larger than {self._max_body} bytes"
                        break
            except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError) as error:
                broken = self._cause(error, url)
                if waited and isinstance(error, TimeoutError):
                    most = f"{MOST_HELD >> 20} MiB"
                    broken += f", as others at the same time were more than {most}; ask for it in a table of its own"
            whole = HttpResponse(response.status, response.reason or "", response.headers, bytes(answer), began)
            if broken:
                response.close()
                raise HttpError(broken, whole)
            return whole

    def _cause(self, error: Exception, url: str) -> str:
        """The failure in one line. aiohttp's own texts span lines, and hold the proxy's address with its password."""
        match error:
            case _SlowAnswer():
                return str(error)
            case TimeoutError():
                return f"no answer within {self._timeout:g} s"
            case UnixClientConnectorError():
                return f"cannot connect to {self._unix_socket}: {explained(error.os_error)}"
            case aiohttp.ClientConnectorError():
                return f"cannot connect to {error.host}:{error.port}: {explained(error.os_error)}"
            case aiohttp.ClientHttpProxyError():
                return f"the proxy answered {error.status} {error.message}"
            case aiohttp.ServerDisconnectedError():
                may_be = "; if this port speaks https, write https://" if url.startswith("http:") else ""
                return f"the server closed the connection without an answer{may_be}"
            case aiohttp.ClientPayloadError():
                return "the answer broke off"
            case aiohttp.ClientResponseError() if _TLS_ALERT in error.message:
                return SPEAKS_HTTPS
            case aiohttp.ClientResponseError():
                # aiohttp's message ends with what came, and a line that points into it.
                said = " ".join(re.split(r":?\s+b['\"]|:\n\n", error.message)[0].split())
                return not_http(url) if "Expected HTTP/" in said else f"it does not answer in HTTP ({said[:200]})"
            case OSError() if error.strerror:
                return error.strerror
        return " ".join(str(error).split()) or type(error).__name__

    def forget_cookies(self) -> None:
        if self._session is not None:
            self._session.cookie_jar.clear()

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
            # Lets the transports run their close callbacks before the loop may end.
            await asyncio.sleep(0)


def _reason(error: Exception) -> FailureReason:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns"
    system = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return "timeout" if isinstance(system, TimeoutError) else ""


def environment_proxy(url: str) -> str:
    """The proxy that the environment names for a URL; empty: none."""
    return _proxy_for(URL(url)) or ""


def _proxy_for(url: URL) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or not url.host or _is_loopback(url.host):
        return None
    excepted = (_excepts(entry.strip(), url.host, url.port) for entry in proxies.get("no", "").lower().split(","))
    return None if any(excepted) else proxy


def _excepts(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of no_proxy means this host: `*`, an address, a network, a name with all that is below it, or `.name`
    for what is below it only; an address or a name may have a port (as Go reads it; urllib knows no networks)."""
    if entry == "*":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    name, _, wanted = entry.rpartition(":") if re.search(r":\d+$", entry) else (entry, "", "")
    name = name.removeprefix("*").strip("[]")
    if not name or (wanted and wanted != str(port)):
        return False
    return host == name or host.endswith(name if name.startswith(".") else f".{name}")


def _is_loopback(host: str) -> bool:
    """Whether it is this very host: that is not for a proxy, whatever no_proxy says (as Go does it)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _local_address(text: str) -> tuple[str, int]:
    """`host`, `host:port`, an IPv6 address, or one in brackets with a port. Raises ConfigError."""
    try:
        host = str(ipaddress.IPv6Address(text.strip("[]")))
        return host, 0
    except ValueError:
        host, _, port = text.rpartition(":") if ":" in text else (text, "", "0")
    if not port.isdecimal() or int(port) > 65535 or not host:
        raise ConfigError(
            f"cannot use the local address {text!r}: it is not an address or host:port; give one of this host",
            option="local_address",
        )
    return host.strip("[]"), int(port)
