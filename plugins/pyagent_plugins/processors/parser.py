"""Parses values of fields and tags, in any format.

The metrics that a value gives come behind its metric, or are merged with it. A metric that is dropped counts as delivered.
"""

import binascii
import struct
from typing import Annotated, Literal

from pyagent.api import FieldValue, Metric, ParseError, ParserOptions, Processor, Uint, option
from pyagent.api.errors import TooMuch
from pyagent.kit.problems import Problems
from pyagent.kit.shown import quoted

__all__ = ["MetricParser", "ParserProcessorOptions"]

_NO_TIME = -6_795_364_578_871_345_152
"""Time of what has none: the year 1, as Go's clock shows it in 64 bits. So it stands where there is no other one."""
_LINES = 1_000_000_000
"""Lines of line protocol without times are a nanosecond apart."""
_ALWAYS_TIMED = ("collectd", "opentsdb")


class ParserProcessorOptions(ParserOptions, frozen=True):
    parse_fields: Annotated[list[str], option("keys of the fields to parse; numbers are their bytes")] = []
    parse_fields_base64: Annotated[list[str], option("keys of fields to parse that are base64")] = []
    parse_tags: Annotated[list[str], option("keys of the tags to parse")] = []
    drop_original: Annotated[bool, option("the metric itself goes, whether it could be parsed or not")] = False
    merge: Annotated[
        Literal["", "none", "override", "override-with-timestamp", "parent", "parent-with-timestamp"],
        option(
            "one metric of all (override), each with the original's tags and fields (parent), with the time of the data or not"
        ),
    ] = "none"


class MetricParser(Processor[ParserProcessorOptions]):
    def setup(self) -> None:
        options = self.options
        self._problems = Problems(self.log)
        self._plain, self._base64 = set(options.parse_fields), set(options.parse_fields_base64)
        self._takes_time = options.merge.endswith("-with-timestamp")
        if self._takes_time and options.data_format not in _ALWAYS_TIMED:
            self.parser.now = lambda: _NO_TIME

    def process(self, metrics: list[Metric]) -> list[Metric]:
        merge, kept = self.options.merge.partition("-")[0], not self.options.drop_original
        result: list[Metric] = []
        for metric in metrics:
            parsed = self._parsed(metric)
            found = [metric, *parsed] if kept else parsed
            if merge == "override" and found:
                self._merge(found[0], found[1:])
                result.append(found[0])
            elif merge == "parent":
                for one in found:
                    parent = Metric(metric.name, metric.tags, metric.fields, metric.time, metric.kind)
                    self._merge(parent, [one])
                    result.append(parent)
            else:
                result += found
        return result

    def _merge(self, base: Metric, others: list[Metric]) -> None:
        tags, fields = dict(base.tags), dict(base.fields)
        for other in others:
            fields.update(other.fields)
            tags.update(other.tags)
            base.name = other.name
            if self._takes_time and other.time != _NO_TIME:
                base.time = other.time
        base.tags, base.fields = tags, fields

    def _parsed(self, metric: Metric) -> list[Metric]:
        """What its fields and tags give."""
        found: list[Metric] = []
        for key, value in metric.fields.items():
            plain, base64 = key in self._plain, key in self._base64
            if not plain and not base64:
                continue
            what = f"the field {quoted(key)}"
            if plain and base64:
                self._problems.add(
                    key, f"cannot parse {what}: it is in parse_fields and in parse_fields_base64; keep one"
                )
                continue
            data = _bytes(value)
            if base64:
                try:
                    data = binascii.a2b_base64(data.replace(b"\r", b"").replace(b"\n", b""), strict_mode=True)
                except ValueError as error:
                    self._problems.add(what, f"cannot decode {what}: it is no base64: {error}")
                    continue
            found += self._parse(data, what, metric.name)
        for key in self.options.parse_tags:
            if key in metric.tags:
                found += self._parse(_bytes(metric.tags[key]), f"the tag {quoted(key)}", metric.name)
        return found

    def _parse(self, data: bytes, what: str, name: str) -> list[Metric]:
        try:
            metrics = self.parser.parse(data)
        except (ParseError, TooMuch, ValueError) as error:
            self._problems.add(what, f"cannot parse {what}: {error}")
            return []
        for metric in metrics:
            if metric.name in ("", self.parser.measurement):
                metric.name = name
            if self._takes_time and _NO_TIME < metric.time < _NO_TIME + _LINES:
                metric.time = _NO_TIME
        return metrics


def _bytes(value: FieldValue) -> bytes:
    """Of numbers those that they have in memory."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return bytes([value])
    return struct.pack("=d" if isinstance(value, float) else "=Q" if isinstance(value, Uint) else "=q", value)
