"""Writes line protocol to InfluxDB 2, and to what speaks its `/api/v2/write`.

What becomes of the metrics for each answer of the server is the table in docs/plugins/outputs/influxdb_v2.md.
"""

import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import islice
from posixpath import normpath
from typing import Annotated, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pyagent.api import (
    Batch,
    ConfigError,
    Duration,
    LineOptions,
    Output,
    Reject,
    Retry,
    Secret,
    Size,
    TooLarge,
    option,
    redact,
)
from pyagent.api.http import HttpClient, HttpError, HttpResponse, TlsOptions

__all__ = ["InfluxDB", "InfluxDBOptions"]


class InfluxDBOptions(TlsOptions, frozen=True):
    urls: Annotated[list[str], option("nodes of one InfluxDB, one of which gets a batch ([]: localhost:8086)")] = []
    token: Annotated[Secret, option("API token that may write to the bucket")] = Secret("")
    organization: Annotated[str, option("organization, by name or ID")] = ""
    bucket: Annotated[str, option("bucket to write into, by name or ID")] = ""
    bucket_tag: Annotated[str, option("tag whose value names the bucket (not supported yet)")] = ""
    exclude_bucket_tag: Annotated[bool, option("leave that tag out (not supported yet)")] = False
    timeout: Annotated[Duration, option("longest time for a whole request")] = Duration("5s")
    user_agent: Annotated[str, option("the User-Agent header (empty: pyagent/VERSION)")] = ""
    content_encoding: Annotated[Literal["gzip", "identity"], option("compress the body, or not")] = "gzip"
    http_headers: Annotated[
        dict[str, Secret], option("further headers; they win over those that are set otherwise")
    ] = {}
    http_proxy: Annotated[str, option("address of an HTTP proxy (empty: as the environment says)")] = ""
    local_address: Annotated[str, option("address of this host to connect from, with a port if need be")] = ""
    influx_uint_support: Annotated[bool, option("write unsigned integers as such, not as signed ones")] = False
    influx_omit_timestamp: Annotated[bool, option("leave the time to the server")] = False
    concurrent_writes: Annotated[int, option("accepted; batches are written one after the other")] = 1
    ping_timeout: Annotated[Duration, option("accepted; it concerns HTTP/2, which is not used")] = Duration(0)
    read_idle_timeout: Annotated[Duration, option("accepted; it concerns HTTP/2, which is not used")] = Duration(0)
    rate_limit: Annotated[Size, option("most bytes for each rate_limit_period (not supported yet)")] = Size(0)
    rate_limit_period: Annotated[Duration, option("the period of rate_limit (not supported yet)")] = Duration(0)
    tls_cipher_suites: Annotated[list[str], option("cipher suites to allow (not supported yet)")] = []
    tls_renegotiation_method: Annotated[Literal["", "never"], option("TLS renegotiation is never done")] = ""


_UNSUPPORTED = ("bucket_tag", "exclude_bucket_tag", "rate_limit", "rate_limit_period", "tls_cipher_suites")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DELIVERED = {200, 201, 202, 204, 206, 207, 208}
_PASSING = {408, 425, 429}
_PARTIAL_WRITE = re.compile(r"(failure writing points to database: )?partial write: ")
_NO_SUCH_PATH = re.compile(r'; unsupported path requested: "[^"]*"\s*$')  # VictoriaMetrics
_LONGEST_PAUSE = 600.0
_LONGEST_SHUN = 60.0


@dataclass(slots=True)
class _Node:
    url: str
    name: str
    """The address as it is shown: without user and query."""
    failures: int = 0
    """Failed requests in a row."""
    not_before: float = 0.0
    """The server asked to be left alone until then (monotonic seconds)."""
    shunned_until: float = 0.0
    """Until then the other nodes are asked first."""


class InfluxDB(Output[InfluxDBOptions]):
    _clock = staticmethod(time.monotonic)

    def setup(self) -> None:
        options = self.options
        for name in _UNSUPPORTED:
            if getattr(options, name):
                raise ConfigError(f"cannot use {name}: it is not supported yet; remove it", option=name)
        if options.timeout < 0:
            raise ConfigError(f"cannot use the timeout {options.timeout}: it is negative; give '5s'", option="timeout")
        headers = "".join(name + value.reveal() for name, value in options.http_headers.items())
        texts = {"token": options.token.reveal(), "user_agent": options.user_agent, "http_headers": headers}
        for name, text in texts.items():
            if _CONTROL.search(text):
                raise ConfigError(f"cannot use {name}: it holds a line break or control character", option=name)
        if options.http_proxy:
            password = _split(options.http_proxy, "http_proxy").password
            Secret(unquote(password or ""))  # known from here on, so that no message shows it
        urls = options.urls or ["http://localhost:8086"]
        self._nodes = [_Node(*_write_url(url, options.bucket, options.organization)) for url in urls]
        self._turn = random.randrange(len(urls))  # noqa: S311  # spreads load
        self._client = HttpClient(
            timeout=(options.timeout or Duration("5s")).seconds,
            tls=options,
            proxy=options.http_proxy,
            local_address=options.local_address,
            user_agent=options.user_agent,
            max_body=1 << 20,
        )

    def line_options(self) -> LineOptions:
        return LineOptions(
            uint_support=self.options.influx_uint_support, omit_timestamp=self.options.influx_omit_timestamp
        )

    async def write(self, batch: Batch) -> None:
        node, answer = await self._post(batch.payload(self.options.content_encoding))
        if answer.status in _DELIVERED:
            return
        _, message = _problem(answer)
        reason = self._reason(node, _cause(answer))
        if answer.status == 413:
            raise TooLarge(reason)
        rest_stored = _PARTIAL_WRITE.match(message) is not None
        if lines := _named_lines(message, batch):
            raise Reject(reason, lines, rest_stored=rest_stored)
        if rest_stored and (numbers := re.findall(r"\bdropped=(\d{1,9})\b", message)):
            dropped = int(numbers[-1])
            every = tuple(range(batch.count)) if dropped >= batch.count else None
            raise Reject(reason, every, rest_stored=True, dropped=dropped)
        raise Reject(reason)

    async def close(self) -> None:
        await self._client.close()

    async def _post(self, body: bytes) -> tuple[_Node, HttpResponse]:
        """Ask one node after the other, until one's answer is about the batch. Raises Retry where none is."""
        self._turn = (self._turn + 1) % len(self._nodes)
        now = self._clock()
        order = sorted(self._nodes[self._turn :] + self._nodes[: self._turn], key=lambda node: node.shunned_until > now)
        failures: list[Retry] = []
        for node in order:
            if node.not_before > now:
                failures.append(Retry(self._reason(node, f"it asked to wait {node.not_before - now:.0f} s more")))
                continue
            try:
                answer = await self._ask(node, body)
            except Retry as failure:
                failures.append(failure)
                self._shun(node, failure)
            else:
                if node.failures and len(order) > 1:
                    self.log.info("%s takes metrics again", node.name)
                node.failures, node.shunned_until = 0, 0.0
                return node, answer
        wait = min(node.not_before for node in order) - self._clock()
        slow = all(failure.slow for failure in failures)
        raise Retry("; ".join(map(str, failures)), wait if wait > 0 else None, slow=slow)

    def _shun(self, node: _Node, failure: Retry) -> None:
        node.failures += 1
        now = self._clock()
        node.shunned_until = now + min(2.0**node.failures, _LONGEST_SHUN)
        if failure.after is not None:
            node.not_before = now + failure.after
        if node.failures == 1 and len(self._nodes) > 1:
            # The engine hears of it only if no other node takes the batch.
            self.log.warning("%s; another of the urls is tried", failure)

    async def _ask(self, node: _Node, body: bytes) -> HttpResponse:
        """The node's answer, where it is about the batch: delivered, 400, 413 or 422. Raises Retry for any other."""
        try:
            answer = await self._client.request("POST", node.url, headers=self._headers(), body=body)
        except HttpError as error:
            if error.response is None:
                raise Retry(self._reason(node, str(error))) from None
            answer = error.response  # the status says enough, also where the rest breaks off
        status, (_, message) = answer.status, _problem(answer)
        if (status in _DELIVERED or status == 400) and "html" in answer.headers.get("Content-Type", "").lower():
            advice = "; it is no InfluxDB 2: correct `urls`"
        elif status in _DELIVERED or status in (413, 422):
            return answer
        elif status == 400:
            # Some are about the request, not about its lines.
            if message.startswith("unable to read data: "):  # it broke on its way
                advice = ""
            elif message.startswith(("Please provide either orgID or org", "invalid precision")):
                advice = "; correct `organization` or `urls`"
            elif _NO_SUCH_PATH.search(message):
                advice = "; correct the path in `urls`"
            else:
                return answer
        else:
            advice = self._advice(answer, message)
        after = None if advice else _retry_after(answer.headers)
        raise Retry(self._reason(node, _cause(answer) + advice), after, slow=bool(advice))

    def _advice(self, answer: HttpResponse, message: str) -> str:
        """What a person can do about an answer; nothing where time may heal it."""
        status = answer.status
        if status >= 500 or status < 300 or status in _PASSING:
            return ""
        if status < 400:
            location = re.sub(r"(?<=//)[^/]*@|\?.*", "", answer.headers.get("Location", "")) or "not told"
            return f"; redirects are not followed: put the address that it leads to ({location}) into `urls`"
        if status == 401:
            # An environment reference that nothing replaced: by far the most common reason. Whatever else it may be is secret.
            unset = re.fullmatch(r"\$\{?([A-Z][A-Z_]+)\}?", self.options.token.reveal())
            return f"; {unset[1]} is not set: set it in the environment" if unset else "; correct `token`"
        if status == 403:
            return "; give a `token` that may write to this bucket"
        if status == 404 and "organization" in message:
            return f"; correct `organization` ({self.options.organization!r})"
        if status == 404 and "bucket" in message:
            return "; make the bucket or correct `bucket`"
        return "; if it is no InfluxDB 2, correct `urls`"

    def _headers(self) -> dict[str, str]:
        options = self.options
        own = {name: value.reveal() for name, value in options.http_headers.items()}
        # Authorization also without a token, as Telegraf does.
        headers = {
            "Authorization": f"Token {options.token.reveal()}".rstrip(),
            "Content-Type": "text/plain; charset=utf-8",
        }
        if options.content_encoding == "gzip":
            headers["Content-Encoding"] = "gzip"
        given = {name.lower() for name in own}
        return {name: value for name, value in headers.items() if name.lower() not in given} | own

    def _reason(self, node: _Node, cause: str) -> str:
        return _one_line(f"cannot write to bucket {self.options.bucket!r} at {node.name}: {cause}", 500)


def _split(text: str, option: str) -> SplitResult:
    """The parts of an http or https URL. Raises ConfigError."""
    shown = re.sub(r"//.*@", "//", text)
    problem = ""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"cannot use the URL {shown!r}: {error}; correct it", option=option) from None
    if parts.scheme == "unix" and option == "urls":
        problem = "unix sockets are not supported yet"
    elif parts.scheme not in ("http", "https"):
        problem = f"unsupported scheme {parts.scheme!r}"
    elif not parts.hostname:
        problem = "it has no host"
    elif re.search(r"[\x00-\x20\x7f]", text):
        problem = "it holds a blank or control character"
    if problem:
        raise ConfigError(f"cannot use the URL {shown!r}: {problem}; give one like http://HOST:8086", option=option)
    return parts


def _write_url(text: str, bucket: str, organization: str) -> tuple[str, str]:
    """The URL to write to, and how it is shown. Raises ConfigError.

    Path and query are built as Go's net/url does it; a user in the URL is left out: the token takes its place.
    """
    parts = _split(text, "urls")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    base = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")
    path = quote(normpath("/" + f"{parts.path}/api/v2/write".lstrip("/")), safe="/%:@!$&'()*+,;=~")
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in ("bucket", "org")]
    query += [("bucket", bucket), ("org", organization)]
    query.sort(key=lambda pair: pair[0])
    return f"{base}{path}?{urlencode(query)}", base + path.removesuffix("/api/v2/write")


def _problem(answer: HttpResponse) -> tuple[str, str]:
    """What an answer says about itself: a code and a message, or empty strings. InfluxDB 2's JSON, or InfluxDB 1's."""
    try:
        document = json.loads(answer.text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        plain = answer.headers.get("Content-Type", "").startswith("text/plain")
        document = {"message": answer.text if plain else answer.headers.get("X-Influx-Error", "")}
    return str(document.get("code") or ""), str(document.get("message") or document.get("error") or "")


def _cause(answer: HttpResponse) -> str:
    code, message = _problem(answer)
    return f"{answer.status} {_one_line(code or answer.reason, 60)}" + (
        f": {_one_line(message, 300)}" if message else ""
    )


def _one_line(text: str, limit: int) -> str:
    """`text` without secrets, line breaks and terminal codes, cut at `limit` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in redact(text)).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, by a number or by a date; None where it does not ask."""
    text = headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            # By the server's own clock, where it tells: ours may be wrong.
            now = headers.get("Date")
            seconds = _http_date(text) - (_http_date(now) if now else time.time())
        except ValueError:
            return None
    return min(seconds, _LONGEST_PAUSE) if seconds > 0 else None


def _http_date(text: str) -> float:
    date = parsedate_to_datetime(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _named_lines(message: str, batch: Batch) -> tuple[int, ...]:
    """Indices of the lines that `message` names: "unable to parse '<line>': <reason>", one after the other.

    A line with an unbalanced quote swallows those behind it: then the first of the lines named is meant.
    """
    if partial := _PARTIAL_WRITE.match(message):
        message = message[partial.end() :]
    if not message.startswith("unable to parse '"):
        return ()
    rows = batch.payload().removesuffix(b"\n").split(b"\n")
    if len(rows) != batch.count:  # some text has line breaks
        rows = [batch.lines(i, i + 1).payload().removesuffix(b"\n") for i in range(batch.count)]
    known: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        # As JSON shows it: each byte that is not UTF-8 becomes U+FFFD.
        text = re.sub("[\udc80-\udcff]", "\ufffd", row.decode("utf-8", "surrogateescape")).lstrip(" \t")
        known.setdefault(text, []).append(index)
    found: set[int] = set()
    position = 0
    while start := re.compile(r"(?:^|\n)unable to parse '").search(message, position):
        position = start.end()
        # The text goes on after the line: the longest one that fits is meant. A text that fits none is passed over.
        ends = [end.start() for end in islice(re.compile("': |\n").finditer(message, position), 20)]
        for end in reversed(ends):
            if indices := known.get(message[position:end]):
                found.update(indices)
                position = end
                break
    return tuple(sorted(found))
