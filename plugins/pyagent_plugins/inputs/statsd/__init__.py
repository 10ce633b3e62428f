"""A statsd server, summed up at each gather.

Counters, gauges, sets, timings, histograms and distributions. Programs send lines `NAME:VALUE|TYPE`, over UDP, TCP or a
unix socket; nobody is answered. Datadog's extensions can be read.
"""

import logging
import time
from datetime import datetime
from typing import Annotated, Any, Literal

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    FieldValue,
    Input,
    Measurement,
    Metric,
    MetricType,
    Options,
    Size,
    fields,
    option,
)
from pyagent.api.units import format_number
from pyagent.kit.framing import Framing
from pyagent.kit.notices import Notices
from pyagent.kit.socket_server import SocketServer, SocketServerOptions
from pyagent.kit.templates import Templates
from pyagent_plugins.inputs.statsd.datadog import read_event
from pyagent_plugins.inputs.statsd.lines import Names, Settings
from pyagent_plugins.inputs.statsd.series import Counter, Gauge, Series, Set, State, Timing
from pyagent_plugins.inputs.statsd.store import Store

__all__ = ["Statsd", "StatsdOptions"]


class StatsdOptions(Options, frozen=True):
    protocol: Annotated[
        Literal["udp", "udp4", "udp6", "tcp", "tcp4", "tcp6", "unix", "unixgram"], option("how lines come")
    ] = "udp"
    service_address: Annotated[str, option("where to listen: [HOST]:PORT, or the path of a unix socket")] = ":8125"
    max_tcp_connections: Annotated[int, option("connections at a time; a further one is closed", ge=0)] = 250
    tcp_keep_alive: Annotated[bool, option("probe connections that are idle")] = False
    tcp_keep_alive_period: Annotated[Duration, option("time between probes (0s: 15s)", ge=0)] = Duration(0)
    read_buffer_size: Annotated[int, option("the kernel's buffer of a socket, bytes (0: the system's)", ge=0)] = 0
    delete_gauges: Annotated[bool, option("forget gauges at each gather; false: the last value comes again")] = True
    delete_counters: Annotated[bool, option("begin counters anew at each gather; false: they go on")] = True
    delete_sets: Annotated[bool, option("begin sets anew at each gather")] = True
    delete_timings: Annotated[bool, option("begin timings and histograms anew at each gather")] = True
    max_ttl: Annotated[Duration, option("forget what was not updated for so long (0s: never)", ge=0)] = Duration(0)
    percentiles: Annotated[list[float], option("percentiles of timings and histograms")] = []
    percentile_limit: Annotated[int, option("values that are kept for them, a random choice (0: 1000)", ge=0)] = 0
    metric_separator: Annotated[str, option("between the parts of a name (empty: _)")] = "_"
    templates: Annotated[
        list[str], option("how names become measurements, tags and fields: '[FILTER] TEMPLATE [TAG=VALUE,...]'")
    ] = []
    convert_names: Annotated[bool, option("write _ for . and __ for - in names")] = False
    sanitize_name_method: Annotated[
        Literal["", "upstream"], option("upstream: replace characters of names as Etsy's statsd does")
    ] = ""
    float_counters: Annotated[bool, option("counters are floats")] = False
    float_timings: Annotated[bool, option("counts of timings and histograms are floats")] = False
    float_sets: Annotated[bool, option("sizes of sets are floats")] = False
    enable_aggregation_temporality: Annotated[
        bool, option("add a tag temporality to counters, and a field start_time to all")
    ] = False
    datadog_extensions: Annotated[bool, option("read Datadog's tags, events and service checks")] = False
    parse_data_dog_tags: Annotated[bool, option("its old name", deprecated="datadog_extensions")] = False
    datadog_distributions: Annotated[bool, option("keep distributions; needs datadog_extensions")] = False
    datadog_keep_container_tag: Annotated[bool, option("keep the container's id as the tag container")] = False
    allowed_pending_messages: Annotated[int, option("lines are read as they come", no_effect=True)] = 10_000
    number_workers_threads: Annotated[int, option("lines are read as they come", no_effect=True)] = 5
    udp_packet_size: Annotated[int, option("datagrams of any size are read", no_effect=True)] = 0


_MOST_EVENTS = 10_000


class Statsd(Input[StatsdOptions]):
    measurements = (
        Measurement(
            "statsd_service_check",
            "Service checks, with `datadog_extensions`.",
            tags={"check_name": "name of the check", "source": "host that it is about"},
            fields=fields("int", "1", status="0 ok, 1 warning, 2 critical, 3 unknown")
            | fields("str", "", status_text="the same in a word", message="what it says"),
        ),
        Measurement(
            "NAME",
            "What programs send, under the names that they give it.",
            tags={"metric_type": "counter, gauge, set, timing, histogram or distribution"},
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        path = options.protocol.startswith("unix")
        address = options.service_address.rpartition("://")[2]
        if not address:
            raise ConfigError("cannot listen on nothing; give [HOST]:PORT", option="service_address")
        separator = options.metric_separator or "_"
        temporality = (
            ("delta" if options.delete_counters else "cumulative") if options.enable_aggregation_temporality else ""
        )
        names = Names(
            Templates(options.templates, separator),
            convert=options.convert_names,
            sanitize=options.sanitize_name_method == "upstream",
            temporality=temporality,
        )
        self._datadog = options.datadog_extensions or options.parse_data_dog_tags
        settings = Settings(
            datadog=self._datadog,
            distributions=self._datadog and options.datadog_distributions,
            container=options.datadog_keep_container_tag,
            percentiles=bool(options.percentiles),
            percentile_limit=options.percentile_limit or 1000,
        )
        self._notices = Notices(self.log)
        self._store = Store(names, settings, self._complain)
        self._percentiles = [(f"{format_number(one)}_percentile", one) for one in options.percentiles]
        self._events: list[Metric] = []
        self._since = time.time()
        server = SocketServerOptions(
            service_address=f"{options.protocol}://{address}",
            max_connections=0 if path else options.max_tcp_connections,
            keep_alive_period=options.tcp_keep_alive_period or Duration("15s" if options.tcp_keep_alive else 0),
            read_buffer_size=Size(options.read_buffer_size),
        )
        framing = Framing("newline", lines=True, strings=False)
        self._server = SocketServer(server, framing, None, self.log, take=self._take)

    async def start(self, acc: Accumulator) -> None:
        self._since = time.time()
        await self._server.start(acc)

    async def stop(self) -> None:
        await self._server.stop()
        self._notices.finish()

    def _take(self, data: bytes, peer: Any) -> None:
        for line in self._store.take(data, self._datadog):
            self._event(line, peer)

    def _event(self, line: bytes, peer: Any) -> None:
        host = str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) else ""
        try:
            metric = read_event(line.decode("utf-8", "replace"), host, time.time_ns())
        except ValueError as error:
            self._complain(line, str(error))
            return
        if len(self._events) < _MOST_EVENTS:
            self._events.append(metric)
        else:
            self._notices.add("events", f"an event is dropped: {_MOST_EVENTS} have come since the last gather")

    def _complain(self, line: bytes, cause: str) -> None:
        shown = line[:80].decode("utf-8", "replace")
        self._notices.add(f"line: {cause[:20]}", f"cannot read the line {shown!r}: {cause}", logging.ERROR)

    async def gather(self, acc: Accumulator) -> None:
        options, store = self.options, self._store
        self._server.read_datagrams()
        store.flush()
        now, start = time.time(), datetime.fromtimestamp(int(self._since)).astimezone().isoformat()
        more: dict[str, FieldValue] = {}
        if options.enable_aggregation_temporality:
            more["start_time"] = start.replace("+00:00", "Z")
        events, self._events = self._events, []
        acc.add_metrics(events)
        for name, tags, value in store.take_distributions():
            acc.add(name, {"value": value} | more, tags)
        forgets: dict[type[State], bool] = {
            Timing: options.delete_timings,
            Gauge: options.delete_gauges,
            Counter: options.delete_counters,
            Set: options.delete_sets,
        }
        kinds: dict[type[State], MetricType] = {Gauge: MetricType.GAUGE, Counter: MetricType.COUNTER}
        for kind, forget in forgets.items():
            for series in store.of(kind, forget=forget):
                if found := self._fields(series):
                    acc.add(series.name, found | more, series.tags, kind=kinds.get(kind, MetricType.UNTYPED))
        if options.max_ttl:
            store.expire(options.max_ttl.seconds)
        self._since = now

    def _fields(self, series: Series) -> dict[str, FieldValue]:
        options = self.options
        found: dict[str, FieldValue] = {}
        for field, state in series.fields.items():
            if isinstance(state, Timing):
                if state.count:
                    prefix = "" if field == "value" else f"{field}_"
                    found |= {prefix + key: value for key, value in state.fields(self._percentiles).items()}
                    found[f"{prefix}count"] = float(state.count) if options.float_timings else state.count
            elif isinstance(state, Counter):
                found[field] = float(state.value) if options.float_counters else state.value
            elif isinstance(state, Gauge):
                found[field] = state.value
            else:
                found[field] = float(len(state.members)) if options.float_sets else len(state.members)
        return found
