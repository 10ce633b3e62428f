"""Reads metrics pages of Prometheus and OpenMetrics.

All pages are asked for at once; one that fails costs only its own metrics.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    Input,
    Measurement,
    Metric,
    Options,
    ParseError,
    PyagentError,
    Secret,
    Size,
    fields,
    option,
)
from pyagent.api.errors import TooMuch
from pyagent.api.masking import mask_url
from pyagent.kit.aside import Aside, add_parsed
from pyagent.kit.each import for_each, joined_failures
from pyagent.kit.exposition import MetricVersion, read
from pyagent.kit.exposition_protobuf import is_delimited, read_delimited
from pyagent.kit.http import Credentials, HttpOptions, UrlClient
from pyagent.kit.openmetrics import PROTOBUF as OPENMETRICS_PROTOBUF
from pyagent.kit.openmetrics import TEXT as OPENMETRICS_TEXT
from pyagent.kit.openmetrics import content_form, read_protobuf

__all__ = ["HttpDiscovery", "Prometheus", "PrometheusInputOptions"]

_KUBERNETES = "pods of Kubernetes are not looked for; name the pages in urls, or find them by http_service_discovery"
_CONSUL = "Consul is not asked; name the pages in urls, or find them by http_service_discovery"
_ACCEPT = "text/plain;version=0.0.4;q=0.9,*/*;q=0.1"
_MOST_BODY = 64 << 20
_TEXT = "text/plain"
_OVERRIDES = {
    "text": _TEXT,
    "protobuf-compact": _TEXT,
    "protobuf-text": _TEXT,
    "protobuf-delimiter": "application/vnd.google.protobuf",
    "openmetrics-text": OPENMETRICS_TEXT,
    "openmetrics-protobuf": f"{OPENMETRICS_PROTOBUF};version=1.0.0",
}
Reader = Callable[[bytes, MetricVersion, int, bool], list[Metric]]
_DISCOVERY_URL, _DISCOVERY_INTERVAL = "http://localhost:9000/service-discovery", 300.0


class HttpDiscovery(Options, frozen=True):
    enabled: Annotated[bool, option("look for pages this way")] = False
    url: Annotated[str, option(f"where the list is (empty: {_DISCOVERY_URL})")] = ""
    query_interval: Annotated[Duration, option("how often it is read (0s: 5m)", ge=0)] = Duration(0)


class PrometheusInputOptions(HttpOptions, frozen=True):
    urls: Annotated[
        list[str], option("pages to read; without a path: /metrics; unix:///run/x.sock?path=/p is one on a unix socket")
    ] = []
    metric_version: Annotated[
        Literal[0, 1, 2],
        option("1: a measurement for each metric; 2: all in the measurement prometheus, a field for each (0: 1)"),
    ] = 0
    url_tag: Annotated[str, option("tag for the URL (empty: none)")] = "url"
    ignore_timestamp: Annotated[bool, option("give metrics the time of the gather, not their own")] = False
    content_type_override: Annotated[
        Literal[
            "",
            "text",
            "protobuf-compact",
            "protobuf-text",
            "protobuf-delimiter",
            "openmetrics-text",
            "openmetrics-protobuf",
        ],
        option("format of the pages, whatever the servers say; protobuf-compact and protobuf-text are read as text"),
    ] = ""
    content_length_limit: Annotated[Size, option("longer pages are left out (0: of more than 64 MiB)", ge=0)] = Size(0)
    kubernetes_services: Annotated[list[str], option("URLs whose host may have several addresses: all are asked")] = []
    bearer_token: Annotated[str, option("file with a bearer token, read for each request", reads_path=True)] = ""
    bearer_token_string: Annotated[Secret, option("a bearer token")] = Secret("")
    username: Annotated[Secret, option("user, by basic authentication; a bearer token goes before it")] = Secret("")
    password: Annotated[Secret, option("password of that user")] = Secret("")
    http_headers: Annotated[dict[str, Secret], option("further headers")] = {}
    enable_request_metrics: Annotated[bool, option("measure the requests, too")] = False
    http_service_discovery: Annotated[HttpDiscovery, option("pages by a list that a server has, as of Prometheus")] = (
        HttpDiscovery()
    )
    kube_config: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    monitor_kubernetes_pods: Annotated[bool, option(_KUBERNETES, no_effect=True)] = False
    monitor_kubernetes_pods_method: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    monitor_kubernetes_pods_scheme: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    monitor_kubernetes_pods_port: Annotated[int | str, option(_KUBERNETES, no_effect=True)] = 0
    monitor_kubernetes_pods_path: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    monitor_kubernetes_pods_namespace: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    pod_scrape_scope: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    node_ip: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    pod_scrape_interval: Annotated[int, option(_KUBERNETES, no_effect=True)] = 0
    pod_namespace_label_name: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    kubernetes_label_selector: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    kubernetes_field_selector: Annotated[str, option(_KUBERNETES, no_effect=True)] = ""
    pod_annotation_include: Annotated[list[str], option(_KUBERNETES, no_effect=True)] = []
    pod_annotation_exclude: Annotated[list[str], option(_KUBERNETES, no_effect=True)] = []
    pod_label_include: Annotated[list[str], option(_KUBERNETES, no_effect=True)] = []
    pod_label_exclude: Annotated[list[str], option(_KUBERNETES, no_effect=True)] = []
    cache_refresh_interval: Annotated[int, option(_KUBERNETES, no_effect=True)] = 0
    namespace_annotation_pass: Annotated[dict[str, list[str]], option(_KUBERNETES, no_effect=True)] = {}
    namespace_annotation_drop: Annotated[dict[str, list[str]], option(_KUBERNETES, no_effect=True)] = {}
    consul: Annotated[dict[str, Any], option(_CONSUL, no_effect=True)] = {}

    def remarks(self) -> Iterable[tuple[str, str]]:
        if not self.urls and not self.kubernetes_services and not self.http_service_discovery.enabled:
            yield "urls", "is empty; nothing is gathered"


@dataclass(frozen=True)
class _Page:
    url: str
    """As a tag shows it, without a password."""
    target: str
    """What is asked for."""
    tags: dict[str, str] = field(default_factory=dict)
    request_tags: dict[str, str] = field(default_factory=dict)


class Prometheus(Input[PrometheusInputOptions]):
    measurements = (
        Measurement(
            "prometheus_request",
            "The requests, with `enable_request_metrics`.",
            tags={
                "url": "the URL, or the tag that `url_tag` names",
                "address": "the address, of `kubernetes_services`",
            },
            fields=fields("float", "s", response_time="until the answer was there")
            | fields("int", "bytes", content_length="length of the page"),
        ),
        Measurement(
            "prometheus",
            "What the pages hold, with `metric_version = 2`; else each metric has a measurement of its own.",
            tags={"url": "the URL, or the tag that `url_tag` names"},
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._version: MetricVersion = 2 if options.metric_version == 2 else 1
        self._pages = [self._page(url, _parts(url, "urls")) for url in dict.fromkeys(options.urls)]
        self._services = [_parts(url, "kubernetes_services") for url in options.kubernetes_services]
        if options.bearer_token:
            credentials = Credentials(token_file=options.bearer_token)
        elif options.bearer_token_string:
            credentials = Credentials(token=options.bearer_token_string)
        else:
            credentials = Credentials(options.username, options.password)
        headers = dict(options.http_headers)
        if not any(name.lower() == "accept" for name in headers):
            headers["Accept"] = Secret(_ACCEPT)
        self._http = UrlClient(
            options,
            [page.target for page in self._pages],
            credentials=credentials,
            headers=headers,
            headers_option="http_headers",
            max_body=max(_MOST_BODY, options.content_length_limit + 1),
        )
        self._aside = Aside()
        discovery = options.http_service_discovery
        self._found: list[_Page] = []
        self._next_query = 0.0
        self._list_url = discovery.url or _DISCOVERY_URL
        self._directory = (
            UrlClient(options, [self._list_url], option="http_service_discovery.url") if discovery.enabled else None
        )

    async def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        works = []
        if self._directory is not None and time.monotonic() >= self._next_query:
            works.append(self._discover(self._directory))
        addressed: list[_Page] = []
        works += [self._resolve(parts, addressed) for parts in self._services]
        failures += [
            error for error in await asyncio.gather(*works, return_exceptions=True) if isinstance(error, Exception)
        ]
        pages = {page.target: page for page in (*self._pages, *self._found, *addressed)}
        try:
            await for_each(pages.values(), partial(self._read, acc))
        except PyagentError as error:
            failures.append(error)
        if failures:
            raise joined_failures(failures)

    def _page(self, url: str, parts: SplitResult, more: dict[str, str] | None = None, shown: str = "") -> _Page:
        """`shown`: the URL for the tag, where it is another one."""
        if parts.scheme == "unix":
            path = parse_qs(parts.query).get("path", ["/metrics"])[0]
            target, named = f"http+unix://{parts.path}:{path}", url
        else:
            own = parts._replace(path=parts.path or "/metrics")
            target, named = own.geturl(), _without_user(own)
        tag = self.options.url_tag
        before = {tag: shown or named} if tag else {}
        first = {tag: shown or _without_user(parts)} if tag else {}
        return _Page(named, target, before | (more or {}), first | (more or {}))

    async def _read(self, acc: Accumulator, page: _Page) -> None:
        options = self.options
        measured: dict[str, float] = {}
        begun = time.perf_counter()
        try:
            answer = await self._http.exchange(page.target, "GET")
            measured["response_time"] = time.perf_counter() - begun
            self._http.check(page.target, answer)
            if 0 < options.content_length_limit < len(answer.body):
                self.log.info(
                    "%s is left out: it is longer than content_length_limit (%d bytes)",
                    page.url,
                    options.content_length_limit,
                )
                return
            measured["content_length"] = len(answer.body)
            kind = _OVERRIDES.get(options.content_type_override, answer.headers.get("Content-Type", ""))
            try:
                await self._aside.run(len(answer.body), partial(self._add, acc, page, answer.body, _reader(kind)))
            except (ParseError, TooMuch) as error:
                raise PyagentError(f"cannot read {mask_url(page.url)}: {error}{_foreign(kind)}") from None
        finally:
            if measured and options.enable_request_metrics:
                acc.add("prometheus_request", measured, page.request_tags)

    def _add(self, acc: Accumulator, page: _Page, body: bytes, read: Reader) -> None:
        now = time.time_ns()
        add_parsed(
            acc,
            lambda: read(body, self._version, now, self.options.ignore_timestamp),
            lambda metric: metric.tags.update(page.tags),
        )

    async def _resolve(self, parts: SplitResult, pages: list[_Page]) -> None:
        """A page for each address that a host has."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(parts.hostname or "", None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else "it is no name of a host"
            raise PyagentError(f"cannot find the addresses of {parts.hostname!r}: {cause}") from None
        port = f":{parts.port}" if parts.port else ""
        for address in dict.fromkeys(str(one[4][0]) for one in found):
            host = f"[{address}]" if ":" in address else address
            own = parts._replace(netloc=f"{host}{port}")
            pages.append(self._page(own.geturl(), own, {"address": address}, _without_user(parts)))

    async def _discover(self, directory: UrlClient) -> None:
        """Reads the list of pages; where that fails, the last one goes on to count."""
        self._next_query = time.monotonic() + (
            self.options.http_service_discovery.query_interval.seconds or _DISCOVERY_INTERVAL
        )
        answer = await directory.request(self._list_url)
        found = []
        try:
            for group in json.loads(answer.body):
                labels = {str(key): str(value) for key, value in (group.get("labels") or {}).items()}
                for target in group.get("targets") or ():
                    url = target if target.startswith(("http://", "https://")) else f"http://{target}"
                    parts = urlsplit(url)
                    if parts.hostname is None or (parts.port or 0) < 0:
                        raise ValueError
                    found.append(self._page(url, parts, labels))
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise PyagentError(
                f"cannot read {mask_url(self._list_url)}: it is no list of targets as Prometheus' HTTP service discovery has it"
            ) from None
        self._found = found
        if not found:
            self.log.warning("the list of pages at %s is empty", mask_url(self._list_url))

    async def stop(self) -> None:
        await self._http.close()
        if self._directory is not None:
            await self._directory.close()


def _parts(url: str, name: str) -> SplitResult:
    """Raises ConfigError."""
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"cannot use the URL {mask_url(url)!r}: {error}", option=name) from None


def _without_user(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reader(content_type: str) -> Reader:
    """What reads such a page. Those that say something else, or nothing, are taken for Prometheus' text."""
    form = content_form(content_type)
    if form == OPENMETRICS_TEXT:
        from pyagent.kit.openmetrics_text import read_text

        return read_text
    if form == OPENMETRICS_PROTOBUF:
        return read_protobuf
    return read_delimited if is_delimited(content_type) else read


def _foreign(content_type: str) -> str:
    """What a page says to be, where that explains that it cannot be read."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", "text/plain") or _reader(content_type) is not read:
        return ""
    return f"; the server says that it is {kind[:80]}, and text/plain is read"
