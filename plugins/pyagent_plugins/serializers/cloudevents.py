"""CloudEvents: metrics in events of the Cloud Native Computing Foundation's format, as JSON."""

import random
import re
import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import quote

from pyagent.api import ConfigError, Metric, Options, Serializer, option
from pyagent.kit.json_text import json_bytes, json_object, json_quoted
from pyagent.kit.layouts import TimeLayout

__all__ = ["Cloudevents", "CloudeventsOptions"]


class CloudeventsOptions(Options, frozen=True):
    cloudevents_version: Annotated[
        Literal["", "0.3", "1.0"], option("version of the format, 0.3 or 1.0 (empty: 1.0)")
    ] = "1.0"
    cloudevents_source: Annotated[str, option("where events come from, a URI (empty: telegraf)")] = "telegraf"
    cloudevents_source_tag: Annotated[str, option("tag that says it for a metric, where there is one")] = ""
    cloudevents_event_type: Annotated[
        str, option("type of events (empty: com.influxdata.telegraf.metric, and metrics for several in one)")
    ] = ""
    cloudevents_event_time: Annotated[
        Literal["", "none", "earliest", "latest", "creation"],
        option("time of an event: none, that of its earliest or latest metric, or the present one (empty: latest)"),
    ] = "latest"
    cloudevents_batch_format: Annotated[
        Literal["", "events", "metrics"],
        option("what a batch is: a list of events, or one event with a list of metrics (empty: events)"),
    ] = "events"


_RFC3339 = TimeLayout("2006-01-02T15:04:05.999999999Z07:00")
_NO_URI = re.compile(r"%(?![0-9a-fA-F]{2})|[\x00-\x1f\x7f]")
_NODE = random.getrandbits(48) | 1 << 40
"""In place of the hardware address of a network card, which is nobody's business."""


class Cloudevents(Serializer[CloudeventsOptions]):
    def setup(self) -> None:
        options = self.options
        self._source = _uri(options.cloudevents_source or "telegraf")
        if not self._source:
            raise ConfigError(
                f"cannot use the source {options.cloudevents_source!r}: it is no URI", option="cloudevents_source"
            )
        self._start = f'{{"specversion":"{options.cloudevents_version or "1.0"}","id":"'

    def serialize(self, metric: Metric) -> bytes:
        return json_bytes(self._event_of(metric))

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        if self.options.cloudevents_batch_format != "metrics":
            return json_bytes(f"[{','.join(map(self._event_of, metrics))}]")
        kind = self.options.cloudevents_event_type or "com.influxdata.telegraf.metrics"
        data = f"[{','.join(map(_data, metrics))}]"
        return json_bytes(self._event(self._source, kind, [metric.time for metric in metrics], data))

    def _event_of(self, metric: Metric) -> str:
        options = self.options
        source = _uri(metric.tags.get(options.cloudevents_source_tag, "")) if options.cloudevents_source_tag else ""
        kind = options.cloudevents_event_type or "com.influxdata.telegraf.metric"
        return self._event(source or self._source, kind, [metric.time], _data(metric))

    def _event(self, source: str, kind: str, times: list[int], data: str) -> str:
        match self.options.cloudevents_event_time:
            case "none":
                at = None
            case "creation":
                at = time.time_ns()
            case "earliest":
                at = min(times, default=None)
            case _:
                at = max(times, default=None)
        when = f'"time":"{_RFC3339.format(at)}",' if at is not None else ""
        return (
            f'{self._start}{uuid.uuid1(_NODE)}","source":{json_quoted(source)},"type":{json_quoted(kind.strip())},'
            f'"datacontenttype":"application/json",{when}"data":{data}}}'
        )


def _data(metric: Metric) -> str:
    return (
        f'{{"fields":{json_object(metric.fields)},"name":{json_quoted(metric.name)},'
        f'"tags":{json_object(metric.tags)},"timestamp":{metric.time}}}'
    )


def _uri(text: str) -> str:
    """Escaped where it has to be; empty for what is none."""
    first = text.partition("/")[0]
    if _NO_URI.search(text) or (":" in first and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", first)):
        return ""
    return quote(text, safe="%!#$&'()*+,/:;=?@[]-._~", errors="surrogateescape")
