"""Writes line protocol to InfluxDB 1.

It writes to whatever speaks InfluxDB 1's `/write`, or takes line protocol by UDP. What becomes of the metrics for each answer
of the server is the table in docs/plugins/outputs/influxdb.md.
"""

from collections.abc import Iterable
from typing import Annotated, Literal
from urllib.parse import unquote

from pyagent.api import (
    Batch,
    CompressionName,
    ConfigError,
    Duration,
    LineOptions,
    Output,
    Partition,
    Retry,
    Secret,
    Size,
    TooLarge,
    option,
)
from pyagent.kit.http_answers import one_line
from pyagent.kit.http_client import HttpClient, HttpResponse
from pyagent.kit.http_headers import check_text, revealed_headers
from pyagent.kit.influxdb import cause, problem, refusal, split_url
from pyagent.kit.nodes import NodePool
from pyagent.kit.tls import TlsOptions
from pyagent_plugins.outputs.influxdb.http import HANDED_OFF, HttpNode, Target
from pyagent_plugins.outputs.influxdb.udp import SCHEMES, UdpNode

__all__ = ["InfluxDB1", "InfluxDB1Options"]


class InfluxDB1Options(TlsOptions, frozen=True):
    urls: Annotated[
        list[str],
        option(
            "servers of one cluster, one of which gets a batch: http, https, unix or udp ([]: http://localhost:8086)"
        ),
    ] = []
    url: Annotated[str, option("one more of `urls`", deprecated="urls")] = ""
    local_address: Annotated[str, option("address of this host to connect from, with a port if need be")] = ""
    database: Annotated[str, option("database to write into; it is created (empty: telegraf)")] = "telegraf"
    database_tag: Annotated[str, option("tag whose value names the database; where it is missing, `database`")] = ""
    exclude_database_tag: Annotated[bool, option("leave that tag out of what is written")] = False
    skip_database_creation: Annotated[bool, option("send no CREATE DATABASE")] = False
    retention_policy: Annotated[str, option("retention policy to write into (empty: the database's default)")] = ""
    retention_policy_tag: Annotated[
        str, option("tag whose value names the retention policy; where it is missing, `retention_policy`")
    ] = ""
    exclude_retention_policy_tag: Annotated[bool, option("leave that tag out of what is written")] = False
    write_consistency: Annotated[
        Literal["", "any", "one", "quorum", "all"], option("how many nodes of a cluster must have it (empty: one)")
    ] = ""
    timeout: Annotated[Duration, option("longest time for a whole request (0: 5s)", ge=0)] = Duration("5s")
    username: Annotated[Secret, option("user, by basic authentication")] = Secret("")
    password: Annotated[Secret, option("password of that user")] = Secret("")
    user_agent: Annotated[str, option("the User-Agent header (empty: pyagent/VERSION)")] = ""
    udp_payload: Annotated[Size, option("longest datagram; a longer line is split by its fields (0: 512B)", ge=0)] = (
        Size(512)
    )
    http_proxy: Annotated[str, option("address of an HTTP proxy (empty: as the environment says)")] = ""
    http_headers: Annotated[
        dict[str, Secret], option("further headers; they win over those that are set otherwise")
    ] = {}
    content_encoding: Annotated[Literal["", "gzip", "identity"], option("compress the body, or not")] = "gzip"
    influx_uint_support: Annotated[bool, option("write unsigned integers as such, not as signed ones")] = False
    influx_omit_timestamp: Annotated[bool, option("leave the time to the server")] = False
    precision: Annotated[str, option("times are written in nanoseconds", no_effect=True)] = ""

    def remarks(self) -> Iterable[tuple[str, str]]:
        if self.exclude_database_tag and not self.database_tag:
            yield "exclude_database_tag", "does nothing without database_tag"
        if self.exclude_retention_policy_tag and not self.retention_policy_tag:
            yield "exclude_retention_policy_tag", "does nothing without retention_policy_tag"


_SEPARATOR = "/"
"""Between database and retention policy in the name of a partition: InfluxDB allows it in neither."""


class InfluxDB1(Output[InfluxDB1Options]):
    def setup(self) -> None:
        options = self.options
        check_text(options.user_agent, "user_agent")
        revealed_headers(options.http_headers, "http_headers")
        if options.http_proxy:
            password = split_url(options.http_proxy, "http_proxy").password
            Secret(unquote(password or ""))  # known from here on, so that no message shows it
        self._database = options.database or "telegraf"
        self.partition()  # a wrong tag is told at the start
        urls = [*options.urls, *([options.url] if options.url else [])] or ["http://localhost:8086"]
        self._encoding: CompressionName = "gzip" if options.content_encoding == "gzip" else "identity"
        self._datagram = int(options.udp_payload) or 512
        self._sends_datagrams = False
        nodes: list[HttpNode | UdpNode] = []
        for url in urls:
            if url.partition("://")[0] in SCHEMES:
                self._sends_datagrams = True
                nodes.append(UdpNode(url, options.local_address))
            else:
                nodes.append(HttpNode(url, options, self._client, self.log))
        self._pool: NodePool[HttpNode | UdpNode] = NodePool(nodes, log=self.log, name=lambda node: node.name)

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
        return f"{self._target(partition)} at {', '.join(node.name for node in self._pool.nodes)}"

    def line_options(self) -> LineOptions:
        options = self.options
        return LineOptions(
            uint_support=options.influx_uint_support,
            omit_timestamp=options.influx_omit_timestamp,
            max_line_bytes=self._datagram if self._sends_datagrams else 0,
        )

    def partition(self) -> Partition | None:
        options = self.options
        database, policy = options.database_tag, options.retention_policy_tag
        if database and policy:
            left_out = [database] * options.exclude_database_tag + [policy] * options.exclude_retention_policy_tag
            template = f'{{{{.Tag "{database}"}}}}{_SEPARATOR}{{{{.Tag "{policy}"}}}}'
            try:
                return Partition(template=template, leaves_out=tuple(left_out))
            except ValueError as error:
                raise ConfigError(f"cannot use these tags: {error}", option="database_tag") from None
        if database:
            return Partition(database, options.exclude_database_tag)
        return Partition(policy, options.exclude_retention_policy_tag) if policy else None

    def _target(self, partition: str | None) -> Target:
        options = self.options
        database = policy = ""
        if partition is not None:
            if options.database_tag and options.retention_policy_tag:
                database, _, policy = partition.rpartition(_SEPARATOR)
            elif options.database_tag:
                database = partition
            else:
                policy = partition
        return Target(database or self._database, policy or options.retention_policy)

    async def write(self, batch: Batch) -> None:
        target = self._target(batch.partition)

        async def ask(node: HttpNode | UdpNode) -> tuple[HttpNode, HttpResponse] | None:
            if isinstance(node, UdpNode):
                await node.write(self._datagrams(batch))
                return None
            try:
                return node, await node.write(target, batch.payload(self._encoding))
            except Retry as failure:
                raise Retry(explain(node, str(failure)), failure.after, needs_operator=failure.needs_operator) from None

        def explain(node: HttpNode | UdpNode, text: str) -> str:
            return one_line(f"cannot write to {target} at {node.name}: {text}", 500)

        answered = await self._pool.ask(ask, str(target), explain)
        if answered is None:
            return
        node, answer = answered
        _, message = problem(answer)
        if answer.status < 300 or HANDED_OFF in message:
            return
        reason = explain(node, cause(answer))
        if answer.status == 413:
            raise TooLarge(reason)
        raise refusal(reason, message, batch)

    def _datagrams(self, batch: Batch) -> list[bytes]:
        """Each line by itself."""
        text = batch.payload()
        if text.count(b"\n") == batch.count:
            return _lines(text)
        # Some text has line breaks, or some metric is too long for one line.
        lines: list[bytes] = []
        for text in batch.records():
            lines += [text] if len(text) <= self._datagram else _lines(text)
        return lines

    async def close(self) -> None:
        for node in self._pool.nodes:
            await node.close()


def _lines(text: bytes) -> list[bytes]:
    return [line + b"\n" for line in text.split(b"\n") if line]
