"""Requests that Prometheus sends to a remote storage (remote write 1.0), as they are in Protocol Buffers.

A series without a name costs the whole request.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

from pyagent.api import FieldValue, Metric, MetricType, Options, ParseError, Parser, option
from pyagent.api.metric import Uint
from pyagent.kit import protobuf
from pyagent.kit.exposition import go_float
from pyagent.kit.page_room import PageRoom

__all__ = ["PrometheusRemoteWrite", "PrometheusRemoteWriteOptions"]

_MS = 1_000_000
_MOST_MS = 2**63 // _MS
_NAME = "__name__"
_MEASUREMENT = "prometheus_remote_write"
_CUSTOM = -53
"""The schema of histograms whose bounds are listed."""
_NOT_EXACT = (
    "1111112111211111112311222222222211211121122211221122102211221122111111222233213211211121111211111112"
    "1011213311221222112121332222212122332232212222222232323332331122112122332133223321223233223222432232"
    "33433343333333444455435422322333324422333243223333543344"
)
"""By how many units in the last place Prometheus' bounds of schema 8 are below the exact ones, plus one: bounds are texts in
series, and these are the texts that everybody else has."""


class PrometheusRemoteWriteOptions(Options, frozen=True):
    prometheus_metric_version: Annotated[
        Literal[0, 1, 2],
        option(f"1: a measurement for each metric; 2: all in the measurement {_MEASUREMENT}, a field for each (0: 2)"),
    ] = 0


@dataclass(slots=True)
class _Histogram:
    """A native histogram."""

    schema: int = 0
    count: float = 0.0
    sum: float = 0.0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    hint: int = 0
    time: int = 0
    negative_spans: list[tuple[int, int]] = field(default_factory=list)
    positive_spans: list[tuple[int, int]] = field(default_factory=list)
    """Offset and length of each."""
    negative: list[float] = field(default_factory=list)
    positive: list[float] = field(default_factory=list)
    """How many each bucket has."""
    bounds: list[float] = field(default_factory=list)


class PrometheusRemoteWrite(Parser[PrometheusRemoteWriteOptions]):
    def setup(self) -> None:
        self._make = _version_1 if self.options.prometheus_metric_version == 1 else _version_2

    def parse(self, data: bytes) -> list[Metric]:
        metrics: list[Metric] = []
        labels: dict[bytes, tuple[str, str]] = {}
        room = PageRoom(len(data))
        try:
            for number, _, value in protobuf.message(data):
                if number == 1:
                    self._series(protobuf.inner(value), labels, metrics, room)
        except ValueError as error:
            raise ParseError(f"the data are no request of Prometheus' remote write: {error}") from None
        return metrics

    def _series(self, data: bytes, known: dict[bytes, tuple[str, str]], metrics: list[Metric], room: PageRoom) -> None:
        """`known`: labels by their bytes, as most come again and again."""
        tags = dict(self.default_tags)
        samples: list[bytes] = []
        histograms: list[bytes] = []
        for number, _, value in protobuf.message(data):
            content = protobuf.inner(value)
            if number == 1:
                pair = known.get(content)
                if pair is None:
                    pair = known[content] = _label(content)
                tags[pair[0]] = pair[1]
            elif number == 2:
                samples.append(content)
            elif number == 4:
                histograms.append(content)
        name = tags.pop(_NAME, "")
        if not name:
            raise ValueError(f"a series has no label {_NAME}, or it is empty")
        tags = {key: text for key, text in tags.items() if text}
        measurement, own = (name, "value") if self._make is _version_1 else (_MEASUREMENT, name)
        time = self.now()
        for sample in samples:
            amount, stamp = _sample(sample)
            if math.isnan(amount):
                continue
            if stamp > 0:
                time = stamp * _MS
            if math.isfinite(amount):
                room.take(1)
                metrics.append(Metric(measurement, tags, {own: amount}, time))
        for content in histograms:
            histogram = _histogram(content)
            if histogram.time > 0:
                time = histogram.time * _MS
            # A byte is a bucket, and in version 2 that is a metric.
            buckets = len(histogram.negative) + len(histogram.positive) + 2
            room.take(buckets, metrics=1) if self._make is _version_1 else room.take(buckets * (len(tags) + 2), buckets)
            metrics += self._make(name, tags, histogram, time)


def _label(data: bytes) -> tuple[str, str]:
    pair = {number: protobuf.inner(value) for number, _, value in protobuf.message(data) if number in (1, 2)}
    key, text = (pair.get(number, b"").decode("utf-8", "surrogateescape") for number in (1, 2))
    return key, text


def _sample(data: bytes) -> tuple[float, int]:
    """Value, and time in ms."""
    amount, stamp = 0.0, 0
    for number, _, value in protobuf.message(data):
        if number == 1:
            amount = protobuf.double(value)
        elif number == 2:
            stamp = _time(value)
    return amount, stamp


def _time(value: int | bytes) -> int:
    stamp = protobuf.signed(value)
    if stamp >= _MOST_MS:
        raise ValueError(f"the time {stamp} ms is out of range")
    return stamp


def _histogram(data: bytes) -> _Histogram:
    made = _Histogram()
    deltas: dict[int, list[int]] = {9: [], 12: []}
    is_float = False
    for number, wire, value in protobuf.message(data):
        if number in (1, 6):
            setattr(made, "count" if number == 1 else "zero_count", float(protobuf.unsigned(value)))
        elif number in (2, 7):
            setattr(made, "count" if number == 2 else "zero_count", protobuf.double(value))
            is_float = is_float or number == 2
        elif number == 3:
            made.sum = protobuf.double(value)
        elif number == 4:
            made.schema = _zigzag(protobuf.unsigned(value))
        elif number == 5:
            made.zero_threshold = protobuf.double(value)
        elif number in (8, 11):
            (made.negative_spans if number == 8 else made.positive_spans).append(_span(protobuf.inner(value)))
        elif number in deltas:
            packed = protobuf.varints(value) if wire == protobuf.BYTES else [protobuf.unsigned(value)]
            deltas[number] += map(_zigzag, packed)
        elif number in (10, 13, 16):
            {10: made.negative, 13: made.positive, 16: made.bounds}[number].extend(_doubles(protobuf.inner(value)))
        elif number == 14:
            made.hint = protobuf.unsigned(value)
        elif number == 15:
            made.time = _time(value)
    if not is_float:
        made.negative, made.positive = _counts(deltas[9]), _counts(deltas[12])
    if made.schema != _CUSTOM and not -4 <= made.schema <= 8:
        raise ValueError(f"there is no schema {made.schema} of histograms")
    return made


def _span(data: bytes) -> tuple[int, int]:
    parts = {number: protobuf.unsigned(value) for number, _, value in protobuf.message(data) if number in (1, 2)}
    offset, length = _zigzag(parts.get(1, 0)), parts.get(2, 0)
    if not -(2**31) <= offset < 2**31 or length >= 2**32:
        raise ValueError("a span of a histogram is out of range")
    return offset, length


def _doubles(data: bytes) -> tuple[float, ...]:
    if len(data) % 8:
        raise ValueError("the numbers of a histogram are cut short")
    return struct.unpack(f"<{len(data) // 8}d", data)


def _counts(deltas: list[int]) -> list[float]:
    total, counts = 0.0, []
    for delta in deltas:
        total += delta
        counts.append(total)
    return counts


def _zigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _buckets(histogram: _Histogram) -> Iterator[tuple[str, float]]:
    """Upper bound, as text, and what is in it and below, of each bucket from the lowest."""
    bound = partial(_bound, histogram.schema, histogram.bounds)
    threshold = histogram.zero_threshold
    buckets = [(-bound(at - 1), count) for at, count in _placed(histogram.negative_spans, histogram.negative)][::-1]
    buckets = [(-threshold if -threshold < upper < 0 else upper, count) for upper, count in buckets]
    if histogram.zero_count > 0:
        buckets.append((threshold, histogram.zero_count))
    positive = [(bound(at), count) for at, count in _placed(histogram.positive_spans, histogram.positive)]
    buckets += [(-threshold if -threshold < upper < 0 else upper, count) for upper, count in positive]
    total = 0.0
    for upper, count in buckets:
        total += count
        yield go_float(upper), total


def _placed(spans: list[tuple[int, int]], counts: list[float]) -> Iterator[tuple[int, float]]:
    """The index of each bucket, and what is in it."""
    at = used = 0
    for offset, length in spans:
        at += offset
        for count in counts[used : used + length]:
            yield at, count
            at += 1
        used += length


def _bound(schema: int, bounds: list[float], at: int) -> float:
    """The upper bound of a bucket. Raises ValueError."""
    if schema == _CUSTOM:
        if not -1 <= at <= len(bounds):
            raise ValueError("a bucket of a histogram has no bound")
        return -math.inf if at < 0 else bounds[at] if at < len(bounds) else math.inf
    if schema < 0:
        fraction, exponent = 0.5, (at << -schema) + 1
    else:
        place = (at & (1 << schema) - 1) << (8 - schema)
        fraction, exponent = 2 ** (place / 256) / 2 - (int(_NOT_EXACT[place]) - 1) * 2**-53, (at >> schema) + 1
    if fraction == 0.5 and exponent == 1025:
        return math.nextafter(math.inf, 0)
    try:
        return math.ldexp(fraction, exponent)
    except OverflowError:
        return math.inf


def _version_1(name: str, tags: dict[str, str], histogram: _Histogram, time: int) -> list[Metric]:
    fields: dict[str, FieldValue] = {
        "counter_reset_hint": Uint(histogram.hint),
        "schema": histogram.schema,
        "zero_threshold": histogram.zero_threshold,
        "zero_count": histogram.zero_count,
        "count": histogram.count,
        "sum": histogram.sum,
    }
    fields.update(_buckets(histogram))
    for sign, spans, counts in (
        ("positive", histogram.positive_spans, histogram.positive),
        ("negative", histogram.negative_spans, histogram.negative),
    ):
        for at, (offset, length) in enumerate(spans):
            fields[f"{sign}_span_{at}_offset"] = offset
            fields[f"{sign}_span_{at}_length"] = Uint(length)
        fields.update((f"{sign}_bucket_{at}", count) for at, count in enumerate(counts))
    return [Metric(name, tags, fields, time, MetricType.HISTOGRAM)]


def _version_2(name: str, tags: dict[str, str], histogram: _Histogram, time: int) -> list[Metric]:
    metrics = [
        Metric(_MEASUREMENT, tags, {f"{name}_sum": histogram.sum}, time),
        Metric(_MEASUREMENT, tags, {f"{name}_count": histogram.count}, time),
    ]
    for upper, total in _buckets(histogram):
        metrics.append(Metric(_MEASUREMENT, {f"{name}_le": upper, **tags}, {name: total}, time))
    return metrics
