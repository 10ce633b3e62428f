"""Writes line protocol to InfluxDB 2.

It writes to whatever speaks InfluxDB 2's `/api/v2/write`. What becomes of the metrics for each answer of the server is
the table in docs/plugins/outputs/influxdb_v2.md.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import unquote

from pyagent.api import (
    Batch,
    ConfigError,
    Duration,
    Limits,
    LineOptions,
    Output,
    Partition,
    Retry,
    Secret,
    Size,
    TooLarge,
    option,
)
from pyagent.kit.connect_errors import SPEAKS_HTTPS, wants_https
from pyagent.kit.http_answers import one_line, retry_after
from pyagent.kit.http_client import HttpClient, HttpError, HttpResponse
from pyagent.kit.http_headers import check_text, revealed_headers
from pyagent.kit.influxdb import cause, is_about_lines, problem, refusal, split_url
from pyagent.kit.nodes import NodePool
from pyagent.kit.shown import quoted
from pyagent.kit.tls import TlsOptions
from pyagent_plugins.outputs.influxdb_v2.address import WriteAddress

__all__ = ["InfluxDB", "InfluxDBOptions"]


class InfluxDBOptions(TlsOptions, frozen=True):
    urls: Annotated[list[str], option("nodes of one InfluxDB, one of which gets a batch ([]: localhost:8086)")] = []
    token: Annotated[Secret, option("API token that may write to the bucket")] = Secret("")
    organization: Annotated[str, option("organization, by name or ID")] = ""
    bucket: Annotated[str, option("bucket to write into, by name or ID")] = ""
    bucket_tag: Annotated[str, option("tag whose value names the bucket; where it is missing or empty, `bucket`")] = ""
    exclude_bucket_tag: Annotated[bool, option("leave that tag out of what is written; nothing without bucket_tag")] = (
        False
    )
    timeout: Annotated[Duration, option("longest time for a whole request (0: 5s)", ge=0)] = Duration("5s")
    user_agent: Annotated[str, option("the User-Agent header (empty: pyagent/VERSION)")] = ""
    content_encoding: Annotated[Literal["gzip", "identity"], option("compress the body, or not")] = "gzip"
    http_headers: Annotated[
        dict[str, Secret], option("further headers; they win over those that are set otherwise")
    ] = {}
    http_proxy: Annotated[str, option("address of an HTTP proxy (empty: as the environment says)")] = ""
    local_address: Annotated[str, option("address of this host to connect from, with a port if need be")] = ""
    influx_uint_support: Annotated[bool, option("write unsigned integers as such, not as signed ones")] = False
    influx_omit_timestamp: Annotated[bool, option("leave the time to the server")] = False
    concurrent_writes: Annotated[int, option("writes at once to each bucket; more than 1 gives up their order")] = 1
    ping_timeout: Annotated[Duration, option("it concerns HTTP/2, which is not used", no_effect=True)] = Duration(0)
    read_idle_timeout: Annotated[Duration, option("it concerns HTTP/2, which is not used", no_effect=True)] = Duration(
        0
    )
    rate_limit: Annotated[Size, option("most bytes, before compression, in each rate_limit_period; 0: no limit")] = (
        Size(0)
    )
    rate_limit_period: Annotated[Duration, option("the period of rate_limit")] = Duration(0)

    def remarks(self) -> Iterable[tuple[str, str]]:
        if not self.bucket.strip() and not self.bucket_tag:
            yield "bucket", "is empty; InfluxDB refuses what names no bucket"


_DELIVERED = {200, 201, 202, 204, 206, 207, 208}
_OF_INFLUXDB = {200, 201, 202, 204}
"""What InfluxDB, and others that speak as it does, say of a write, with nothing behind it."""
_PASSING = {425, 429}
_NOT_OF_INFLUXDB = re.compile(rb"400 Bad Request", re.IGNORECASE)
"""How Go's HTTP server, before InfluxDB sees a request, begins what it says about it."""
_NO_SUCH_PATH = re.compile(r'; unsupported path requested: "[^"]*"\s*$')  # VictoriaMetrics
_NOT_ITS_ANSWER = "; these are not the words of InfluxDB: correct `urls`, or the proxy before it"


@dataclass(frozen=True, slots=True)
class _Node:
    address: WriteAddress
    client: HttpClient

    @property
    def name(self) -> str:
        return self.address.name


class InfluxDB(Output[InfluxDBOptions]):
    strict = False
    """Not every answer that Telegraf takes for one counts as delivered: what is no InfluxDB may say 200 to anything."""
    _clock = staticmethod(time.monotonic)

    def setup(self) -> None:
        options = self.options
        if options.rate_limit > 0 and options.rate_limit_period <= 0:
            raise ConfigError(
                "cannot keep to rate_limit: it has no rate_limit_period; give one, such as '1m'", option="rate_limit"
            )
        for name, text in {"token": options.token.reveal(), "user_agent": options.user_agent}.items():
            check_text(text, name)
        revealed_headers(options.http_headers, "http_headers")
        if options.http_proxy:
            password = split_url(options.http_proxy, "http_proxy").password
            Secret(unquote(password or ""))  # known from here on, so that no message shows it
        urls = options.urls or ["http://localhost:8086"]
        clients: dict[str, HttpClient] = {}
        nodes: list[_Node] = []
        for url in urls:
            address = WriteAddress(url, options.organization)
            if address.socket not in clients:
                clients[address.socket] = self._client(address.socket)
            nodes.append(_Node(address, clients[address.socket]))
        self._pool = NodePool(nodes, log=self.log, name=lambda node: node.name, clock=lambda: self._clock())

    def _client(self, socket: str) -> HttpClient:
        options = self.options
        return HttpClient(
            timeout=(options.timeout or Duration("5s")).seconds,
            tls=options,
            proxy=options.http_proxy,
            local_address=options.local_address,
            user_agent=options.user_agent,
            max_body=1 << 20,
            unix_socket=socket,
        )

    def destination(self, partition: str | None) -> str:
        bucket = self.options.bucket if partition is None else partition
        return f"bucket {quoted(bucket)} at {', '.join(node.name for node in self._pool.nodes)}"

    def line_options(self) -> LineOptions:
        return LineOptions(
            uint_support=self.options.influx_uint_support, omit_timestamp=self.options.influx_omit_timestamp
        )

    def partition(self) -> Partition | None:
        options = self.options
        return Partition(options.bucket_tag, options.exclude_bucket_tag) if options.bucket_tag else None

    def limits(self) -> Limits:
        options = self.options
        return Limits(options.concurrent_writes, int(options.rate_limit), options.rate_limit_period.seconds)

    async def write(self, batch: Batch) -> None:
        bucket = batch.partition or self.options.bucket
        node, answer = await self._post(bucket, batch.payload(self.options.content_encoding))
        if answer.status in _DELIVERED:
            return
        _, message = problem(answer)
        reason = self._reason(bucket, node, cause(answer))
        if answer.status == 413:
            raise TooLarge(reason)
        raise refusal(reason, message, batch)

    async def close(self) -> None:
        for node in self._pool.nodes:
            await node.client.close()

    async def _post(self, bucket: str, body: bytes) -> tuple[_Node, HttpResponse]:
        """The answer of the first node whose answer is about the batch. Raises Retry where none is."""

        async def ask(node: _Node) -> tuple[_Node, HttpResponse]:
            return node, await self._ask(bucket, node, body)

        return await self._pool.ask(ask, bucket, lambda node, text: self._reason(bucket, node, text))

    async def _ask(self, bucket: str, node: _Node, body: bytes) -> HttpResponse:
        """The node's answer, where it is about the batch: delivered, 400, 413 or 422. Raises Retry for any other."""
        try:
            url = node.address.url(bucket)
            answer = await node.client.request("POST", url, headers=self._headers(), body=body)
        except HttpError as error:
            if error.response is None:
                raise Retry(self._reason(bucket, node, str(error))) from None
            answer = error.response  # the status says enough, also where the rest breaks off
        status, (_, message) = answer.status, problem(answer)
        page = "html" in answer.headers.get("Content-Type", "").lower()
        if wants_https(status, answer.body):
            advice = f"; {SPEAKS_HTTPS}"
        elif page and (status == 400 or (status in _DELIVERED and answer.body)):
            advice = "; it is no InfluxDB 2: correct `urls`"
        elif self._has_it(answer) or status == 413:
            return answer
        elif status < 300 and self.strict:
            advice = _NOT_ITS_ANSWER
        elif status == 400:
            # Some are about the request, not about its lines.
            if message.startswith("unable to read data: "):  # it broke on its way
                advice = ""
            elif _NOT_OF_INFLUXDB.match(answer.body):
                advice = "; correct `urls` or `http_headers`"
            elif message.startswith(("Please provide either orgID or org", "invalid precision")):
                advice = "; correct `organization` or `urls`"
            elif _NO_SUCH_PATH.search(message[-4096:]):
                advice = "; correct the path in `urls`"
            elif is_about_lines(answer):
                return answer
            else:
                advice = _NOT_ITS_ANSWER
        elif status == 422:
            if is_about_lines(answer):
                return answer
            advice = _NOT_ITS_ANSWER
        else:
            advice = self._advice(answer, message)
        after = None if advice else retry_after(answer.headers)
        raise Retry(self._reason(bucket, node, cause(answer) + advice), after, needs_operator=bool(advice))

    def _has_it(self, answer: HttpResponse) -> bool:
        if self.strict:
            return answer.status in _OF_INFLUXDB and not answer.body
        return answer.status in _DELIVERED

    def _advice(self, answer: HttpResponse, message: str) -> str:
        """What a person can do about an answer; nothing where time may heal it."""
        status = answer.status
        if status >= 500 or status < 300 or status in _PASSING:
            return ""
        if status < 400:
            location = re.sub(r"(?<=//)[^/]*@|\?.*", "", answer.headers.get("Location", "")) or "not told"
            return f"; redirects are not followed: put the address that it leads to ({location}) into `urls`"
        if status == 408:
            return "; the server, or a proxy before it, gave up waiting: raise its limit, or lower `metric_batch_size`"
        if status == 401:
            # An environment reference that nothing replaced: by far the most common reason. Whatever else it may be is secret.
            unset = re.fullmatch(r"\$\{?([A-Z][A-Z_]+)\}?", self.options.token.reveal())
            return f"; {unset[1]} is not set: set it in the environment" if unset else "; correct `token`"
        if status == 403:
            return "; give a `token` that may write to this bucket"
        if status == 404 and "organization" in message:
            return f"; correct `organization` ({self.options.organization!r})"
        if status == 404 and "bucket" in message:
            tag = f", or the tag {self.options.bucket_tag!r} of the metrics" if self.options.bucket_tag else ""
            return f"; make the bucket or correct `bucket`{tag}"
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

    def _reason(self, bucket: str, node: _Node, text: str) -> str:
        return one_line(f"cannot write to bucket {quoted(bucket)} at {node.name}: {text}", 500)
