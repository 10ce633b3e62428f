"""Shows the latest values of all series at `/metrics`, for Prometheus to scrape."""

import asyncio
import gzip
import time
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from pyagent.api import Batch, ConfigError, Duration, Output, QueueFormat, RawMetrics, Secret, option
from pyagent.kit.http_headers import revealed_headers
from pyagent.kit.http_server import HttpListener, HttpRefusal, ListenerOptions, Request, Response, same_secret
from pyagent.kit.listen_address import TlsServerOptions
from pyagent.kit.prometheus import MetricTypes, Names
from pyagent_plugins.outputs.prometheus_client.collected import Collected, collected
from pyagent_plugins.outputs.prometheus_client.process import process_lines

__all__ = ["PrometheusClient", "PrometheusClientOptions"]


class PrometheusClientOptions(TlsServerOptions, frozen=True):
    listen: Annotated[
        str, option("where to listen: ':9273', 'HOST:PORT', 'tcp://HOST:PORT' or 'unix:///PATH' (empty: :9273)")
    ] = ":9273"
    read_timeout: Annotated[Duration, option("longest time for a request to arrive (under 1s: 10s)")] = Duration("10s")
    write_timeout: Annotated[Duration, option("longest time for an answer to leave (under 1s: 10s)")] = Duration("10s")
    metric_version: Annotated[
        int, option("how metrics become series: 1, or 2 as inputs.prometheus has them with its metric_version = 2")
    ] = 1
    basic_username: Annotated[str, option("user that scrapers must name, by basic authentication")] = ""
    basic_password: Annotated[Secret, option("password of that user")] = Secret("")
    ip_range: Annotated[list[str], option("networks that may ask, as '192.168.0.0/24' ([]: all)")] = []
    path: Annotated[str, option("where the series are (empty: /metrics)")] = "/metrics"
    expiration_interval: Annotated[
        Duration, option("a series that is not written for so long goes; 0: never", ge=0)
    ] = Duration("60s")
    collectors_exclude: Annotated[
        list[str], option("what is not shown of the agent itself: 'process'; 'gocollector' has nothing here")
    ] = []
    string_as_label: Annotated[bool, option("make labels of text fields, which are left out else")] = True
    name_sanitization: Annotated[
        Literal["", "legacy", "utf8"], option("how characters that no name may have are replaced (empty: legacy)")
    ] = "legacy"
    export_timestamp: Annotated[bool, option("show the time of each sample, in milliseconds")] = False
    http_headers: Annotated[dict[str, Secret], option("further headers of answers")] = {}
    metric_types: Annotated[MetricTypes, option("types of metrics, in place of their own")] = MetricTypes()

    def remarks(self) -> Iterable[tuple[str, str]]:
        if self.basic_password and not self.basic_username:
            yield (
                "basic_password",
                "is that of a user without a name, as whom few scrapers can ask; set basic_username",
            )


_LANDING_PAGE = b"Telegraf Output Plugin: Prometheus Client "
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_EXPOSITION = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
_COMPRESSED_FROM = 1024


class PrometheusClient(Output[PrometheusClientOptions]):
    listens = True

    def setup(self) -> None:
        options = self.options
        address = options.listen or ":9273"
        scheme, found, rest = address.partition("://")
        if found and scheme == "vsock":
            raise ConfigError(f"cannot listen on {address!r}: vsock is not supported; use tcp or unix", option="listen")
        if found and scheme == "http":
            address = rest.rstrip("/")
        self._path = options.path or "/metrics"
        if not self._path.startswith("/"):
            raise ConfigError(f"cannot show the series at {self._path!r}: a path begins with /", option="path")
        self._networks = [_network(text) for text in options.ip_range]
        listening = ListenerOptions(
            service_address=address,
            read_timeout=options.read_timeout,
            write_timeout=options.write_timeout,
            **{name: getattr(options, name) for name in TlsServerOptions.__struct_fields__},
        )
        self._server = HttpListener(listening, self._answer, self._refuse, self.log, max_body=1 << 16, option="listen")
        self._own_headers = revealed_headers(options.http_headers, "http_headers")
        self._rendering = asyncio.Lock()
        first_version = options.metric_version != 2
        # Of the plugin that a reload replaces, where nothing that concerns them has changed.
        self._collected: Collected = collected(
            None
            if address.endswith(":0")
            else (
                address,
                first_version,
                options.string_as_label,
                options.name_sanitization,
                repr(options.metric_types),
            ),
            names=Names(utf8=options.name_sanitization == "utf8"),
            kind=options.metric_types.rule("metric_types"),
            string_as_label=options.string_as_label,
            first_version=first_version,
            log=self.log,
        )
        self._lifetime = options.expiration_interval.seconds

    def destination(self, partition: str | None) -> str:
        return f"{self._path} on {self.options.listen}"

    def queue_format(self) -> QueueFormat:
        return RawMetrics()

    async def connect(self) -> None:
        if not self._server.listening:
            await self._server.start()

    def write(self, batch: Batch) -> None:
        self._collected.add(batch.metrics(), time.monotonic(), self._lifetime)

    async def close(self) -> None:
        await self._server.stop()

    @property
    def port(self) -> int:
        """The TCP port, when it listens."""
        return self._server.port

    async def _answer(self, request: Request) -> Response:
        options = self.options
        if options.basic_username or options.basic_password.reveal():
            user, password = request.basic_credentials() or ("", "")
            right = same_secret(user, options.basic_username)
            if not (same_secret(password, options.basic_password.reveal()) and right):
                raise HttpRefusal(401, "Unauthorized", {"WWW-Authenticate": 'Basic realm="prometheus"'})
        if self._networks and not self._is_welcome(request.peer):
            raise HttpRefusal(403, "Forbidden")
        if request.path != self._path:
            return Response(200, _LANDING_PAGE, {**_TEXT, **self._own_headers})
        compressed = "gzip" in request.headers.get("Accept-Encoding", "").lower()
        async with self._rendering:  # a page of many series takes memory
            body = await asyncio.to_thread(self._page)
            compressed = compressed and len(body) >= _COMPRESSED_FROM
            if compressed:
                body = await asyncio.to_thread(gzip.compress, body, 1)
        headers = {**_EXPOSITION, **({"Content-Encoding": "gzip"} if compressed else {}), **self._own_headers}
        return Response(200, body, headers)

    def _page(self) -> bytes:
        more = [] if "process" in self.options.collectors_exclude else process_lines()
        return self._collected.page(
            time.monotonic(), self._lifetime, timestamps=self.options.export_timestamp, more=more
        )

    def _is_welcome(self, peer: str) -> bool:
        return bool(peer) and any(ip_address(peer) in network for network in self._networks)

    def _refuse(self, refused: HttpRefusal) -> Response:
        return Response(refused.status, f"{refused}\n".encode(), {**_TEXT, **self._own_headers, **refused.headers})


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"cannot use {text!r} of ip_range: {error}; write '192.168.0.0/24'", option="ip_range"
        ) from None
