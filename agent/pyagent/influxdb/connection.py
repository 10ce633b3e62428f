"""The connection of management calls: one client, JSON in and out, and failures in one line with their remedy."""

# influxdb-client is typed in parts only.
# mypy: allow-untyped-calls

import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from pyagent.api import PyagentError
from pyagent.api.masking import mask_url
from pyagent.kit.connect_errors import not_http
from pyagent.kit.http_client import environment_proxy
from pyagent.kit.tls import client_context

__all__ = ["Answer", "Connection", "InfluxDBError", "Streamed", "checked_url", "one_line"]

_WRONG_VERSION = re.compile(
    r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST|UNKNOWN_PROTOCOL|record layer", re.I
)
_PLAIN_TO_TLS = re.compile(r"HTTP request (?:was sent )?to (?:an )?HTTPS (?:server|port)", re.I)
_NAME_MISMATCH = re.compile(r"certificate verify failed: (.*? is not valid for .*?)\.?(?: \(_ssl|\)|$)", re.I)
_UNVERIFIED = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl|\)|$)", re.I)
_LONGEST_MESSAGE = 300
_LONGEST_WHOLE = 1 << 16
_CHUNK = 1 << 16
_MOST_BYTES = 1 << 26
"""Of an answer that is kept whole: thousands of configurations."""
_WHOLE = 3
"""An answer may take so many times as long as one wait."""


class InfluxDBError(PyagentError):
    """The server cannot be reached, or refuses. One line.

    `status` is that of its answer, 0 where there was none; `message` what InfluxDB said, `whole` that with all its lines;
    `version` that of the header X-Influxdb-Version, `body` the beginning of the answer.
    """

    def __init__(
        self, text: str, *, status: int = 0, message: str = "", version: str = "", body: str = "", whole: str = ""
    ) -> None:
        super().__init__(text)
        self.status = status
        self.message = message
        self.version = version
        self.body = body
        self.whole = whole


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any
    """What the JSON says, else the text."""


class Streamed(NamedTuple):
    headers: Mapping[str, str]
    """Names in lower case."""
    chunks: Iterator[bytes]
    """The body, not compressed. Raises InfluxDBError where the connection breaks."""
    close: Callable[[], None]
    """For one that is not read to its end."""


class Connection:
    """Calls of the server at `url`; they block. `timeout` in seconds, for each.

    A proxy that the environment names is used. With `username` and `password` it signs in first and calls with the session
    that it gets. Redirects are not followed: a token is for the host that was named. Raises InfluxDBError for a URL or an
    authority file that cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        username: str = "",
        password: str = "",
        tls_ca: str = "",
        timeout: float = 10.0,
    ) -> None:
        self.url = checked_url(url)
        self._timeout = timeout
        # As the agent does it.
        proxy = environment_proxy(self.url)
        user: dict[str, Any] = {"username": username, "password": password} if username else {}
        self._client = InfluxDBClient(
            self.url,
            token,
            timeout=int(timeout * 1000),
            ssl_context=_tls(tls_ca) if self.url.startswith("https:") else None,
            proxy=proxy or None,
            **user,
        )
        # Each of its calls goes through this, the sign-in as well.
        pool = self._client.api_client.rest_client.pool_manager
        pool.request = _bounded(pool.request, _WHOLE * timeout)  # type: ignore[method-assign]

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | str | None = None,
    ) -> Answer:
        """One request. A body that is text is sent as such, any other as JSON. Raises InfluxDBError unless it answers 2xx."""
        headers = {"Accept": "application/json"}
        if isinstance(body, str):
            headers["Content-Type"] = "text/plain; charset=utf-8"
        with self._explained(path):
            found, status, received = self._client.api_client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body if isinstance(body, str) else dict(body) if body is not None else None,
                response_type="object",
                auth_settings=[],
            )
        return Answer(int(status), {name.lower(): value for name, value in received.items()}, found)

    def stream(
        self, path: str, *, query: Mapping[str, str], body: Mapping[str, Any], accept: str, silence: float
    ) -> "Streamed":
        """A POST of JSON whose answer is read bit by bit. `silence`: seconds without a byte that are waited for.

        Raises InfluxDBError unless it answers 2xx.
        """
        # Beside the server, compressing only costs.
        remote = urlsplit(self.url).hostname not in ("localhost", "127.0.0.1", "::1")
        headers = {"Accept": accept, **({"Accept-Encoding": "gzip"} if remote else {})}
        with self._explained(path):
            answer: BaseHTTPResponse = self._client.api_client.call_api(
                path,
                "POST",
                query_params=list(query.items()),
                header_params=headers,
                body=dict(body),
                auth_settings=[],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(int(self._timeout * 1000), int(silence * 1000)),
            )
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Streamed(headers, _chunks(answer, silence), answer.close)

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        """What the client raises, as an InfluxDBError."""
        try:
            yield
        except ApiException as error:
            raise _refused(error, self.url) from None
        except UnicodeDecodeError:
            raise InfluxDBError(f"it is no InfluxDB: {path} is answered with bytes that are no text") from None
        except KeyError:  # of the sign-in's cookie
            raise InfluxDBError("it does not let users sign in; use a token") from None
        except (HTTPError, OSError) as error:
            raise InfluxDBError(_unreachable(error, self.url)) from None

    def close(self) -> None:
        try:
            self._client.close()
        except (ApiException, HTTPError, OSError):
            # A session that cannot be ended: what is left to close are connections.
            self._client.api_client.cookie = None
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _bounded(request: Callable[..., BaseHTTPResponse], seconds: float) -> Callable[..., BaseHTTPResponse]:
    """`request` of a pool, with a bound on an answer that is read whole: its own timeout begins anew with every byte."""

    def call(method: str, url: str, *, preload_content: bool = True, **settings: Any) -> BaseHTTPResponse:
        deadline = monotonic() + seconds
        answer = request(method, url, preload_content=False, **settings)
        if not preload_content:
            return answer
        body = bytearray()
        try:
            while chunk := answer.read1(_CHUNK, decode_content=True):
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise InfluxDBError(f"its answer has more than {_MOST_BYTES >> 20} MiB; check the address")
                if monotonic() > deadline:
                    raise InfluxDBError(f"its answer did not end within {seconds:g} s; check the address")
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        answer._body = bytes(body)  # type: ignore[attr-defined]  # what `data` gives
        return answer

    return call


def _chunks(answer: BaseHTTPResponse, silence: float) -> Iterator[bytes]:
    try:
        # Whatever is there, so that nothing that came is held back.
        while chunk := answer.read1(_CHUNK, decode_content=True):
            yield chunk
    except ReadTimeoutError:
        raise InfluxDBError(f"the answer is cut off: nothing more came for {silence:g} s") from None
    except (HTTPError, OSError):
        raise InfluxDBError("the answer is cut off: the connection ended in the middle of it") from None
    finally:
        answer.close()


def checked_url(url: str) -> str:
    """The address of a server without a slash at its end. Raises InfluxDBError."""
    url = url.strip().rstrip("/")
    shown = one_line(mask_url(url))
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InfluxDBError(f"cannot use the URL {shown!r}: {error}; write one like http://localhost:8086") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise InfluxDBError(
            f"cannot use the URL {shown!r}: it is none of a server; write one like http://localhost:8086"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise InfluxDBError(
            f"cannot use the URL {shown!r}: it holds more than an address; write {parts.scheme}://{host}:{port or 8086}"
        )
    return url


def one_line(text: str, longest: int = _LONGEST_MESSAGE) -> str:
    """What a stranger says, as it may be shown: one line, printable, not too long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return text if len(text) <= longest else f"{text[:longest]}..."


def _tls(authorities: str) -> ssl.SSLContext:
    try:
        return client_context(authorities)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InfluxDBError(
            f"cannot read the certificate authorities of {authorities}: {one_line(reason)}; name a PEM file"
        ) from None


def _refused(error: ApiException, url: str) -> InfluxDBError:
    if not error.status:
        return InfluxDBError(_tls_failure(str(error.reason), url))
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body or ""
    if _PLAIN_TO_TLS.search(body):
        return InfluxDBError(f"this port speaks TLS; write https://{url.partition('://')[2]}", status=error.status)
    message = ""
    try:
        found = json.loads(body)
        message = str(found.get("message") or found.get("error") or "")
    except (ValueError, AttributeError):
        pass
    headers: Any = error.headers or {}
    return InfluxDBError(
        f"{error.status} {one_line(message or error.reason or '')}".rstrip(),
        status=error.status,
        message=one_line(message),
        version=one_line(str(headers.get("x-influxdb-version", ""))).removeprefix("v"),
        body=one_line(body),
        whole=message[:_LONGEST_WHOLE],
    )


def _unreachable(error: Exception, url: str) -> str:
    if isinstance(error, MaxRetryError) and error.reason:
        error = error.reason
    where = urlsplit(url)
    match error:
        case NameResolutionError():
            return f"the name {where.hostname} is not known; check the address"
        case NewConnectionError():  # a kind of ConnectTimeoutError, which it is not
            if "refused" in str(error):
                port = where.port or (443 if where.scheme == "https" else 80)
                return f"nothing listens on port {port} there; check the address, and that InfluxDB runs"
            return f"{one_line(str(error).rpartition(': ')[2])}; check the address"
        case ConnectTimeoutError() | ReadTimeoutError():
            return "no answer in time; check the address, and whether a firewall lets it through"
        case SSLError():
            return _tls_failure(str(error), url)
        case ProtocolError():
            return not_http(url)
    return one_line(str(error)) or type(error).__name__


def _tls_failure(text: str, url: str) -> str:
    if _WRONG_VERSION.search(text):
        return f"this port does not speak TLS; write http://{url.partition('://')[2]}"
    if mismatch := _NAME_MISMATCH.search(text):
        return f"its certificate is for another name: {one_line(mismatch[1])}; use the name of the certificate"
    if unverified := _UNVERIFIED.search(text):
        return f"its certificate is not trusted: {one_line(unverified[1])}; name its authority with --tls-ca FILE"
    return f"TLS fails: {one_line(text.rpartition(chr(10))[2])}"
