"""Prometheus' remote write, version 1: a batch is one request in Protocol Buffers, compressed by Snappy.

Names, labels and types are as in the format prometheus. A series of a batch has all of its samples, in the order of time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pyagent.api import FieldValue, Metric, MetricType, Options, Serializer, Uint, option
from pyagent.kit.exposition import go_float
from pyagent.kit.field_texts import milliseconds
from pyagent.kit.numbers import parse_float
from pyagent.kit.prometheus import Names, sample_name
from pyagent.kit.protobuf import encoded_bytes, encoded_double, encoded_number, encoded_varint
from pyagent.kit.snappy import compress

__all__ = ["PrometheusRemoteWrite", "PrometheusRemoteWriteOptions"]


class PrometheusRemoteWriteOptions(Options, frozen=True):
    prometheus_sort_metrics: Annotated[bool, option("sort series by their labels")] = False
    prometheus_string_as_label: Annotated[bool, option("make labels of text fields, which are left out else")] = False


Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Series:
    samples: list[tuple[int, float]] = field(default_factory=list)
    """Times in milliseconds, and values."""
    histograms: list[tuple[int, bytes]] = field(default_factory=list)


_SPECIAL = {MetricType.HISTOGRAM: "le", MetricType.SUMMARY: "quantile"}


class PrometheusRemoteWrite(Serializer[PrometheusRemoteWriteOptions]):
    whole_batch = True

    def setup(self) -> None:
        self._names = Names(utf8=False)

    def serialize(self, metric: Metric) -> bytes:
        return self.serialize_batch([metric])

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        found: dict[Labels, _Series] = {}
        dropped = ""
        for metric in metrics:
            try:
                for cause in self._add(metric, found):
                    dropped = cause
            except ValueError as error:
                dropped = str(error)
        if dropped:
            self.log.warning("some series are left out, %d are sent; the last one: %s", len(found), dropped)
        series = list(found.items())
        if self.options.prometheus_sort_metrics:
            series.sort(key=lambda one: (len(one[0]), one[0]))
        return compress(_request(series))

    def _add(self, metric: Metric, found: dict[Labels, _Series]) -> Iterator[str]:
        """Gives why something is left out, for each such thing."""
        labels, time, kind = self._labels(metric), milliseconds(metric.time), metric.kind
        if kind is MetricType.HISTOGRAM and (native := _native(metric, time)) is not None:
            one = found.setdefault(_sorted(metric.name, labels), _Series())
            if one.samples or (one.histograms and time < one.histograms[-1][0]):
                yield f"a histogram of {metric.name!r} is older than the last one, or the series has other samples"
            elif one.histograms and one.histograms[-1][0] == time:
                one.histograms[-1] = (time, native)
            else:
                one.histograms.append((time, native))
            return
        for key, value in metric.fields.items():
            if isinstance(value, str):
                continue
            name = self._names.of_metric(sample_name(metric, key))
            if not name:
                yield f"nothing of the name {sample_name(metric, key)!r} may stand"
                continue
            try:
                samples = _samples(metric, kind, key, value, name, found, labels, time)
            except ValueError as error:
                yield f"the field {key!r} of {metric.name!r}: {error}"
                continue
            for full, extra, number in samples:
                one = found.setdefault(_sorted(full, labels, extra), _Series())
                if one.histograms or (one.samples and time < one.samples[-1][0]):
                    yield f"a sample of {full!r} is older than the last one, or the series is a native histogram"
                elif one.samples and one.samples[-1][0] == time:
                    one.samples[-1] = (time, number)
                else:
                    one.samples.append((time, number))

    def _labels(self, metric: Metric) -> list[tuple[str, str]]:
        special = _SPECIAL.get(metric.kind)
        of_label = self._names.of_label
        labels = [
            (name, metric.tags[key])
            for key in sorted(metric.tags)
            if key != special and metric.tags[key] and (name := of_label(key))
        ]
        if self.options.prometheus_string_as_label:
            known = {name for name, _ in labels}
            for key, value in metric.fields.items():
                if isinstance(value, str) and (name := of_label(key)) and name not in known:
                    known.add(name)
                    labels.append((name, value))
        return labels


def _sorted(name: str, labels: list[tuple[str, str]], extra: tuple[str, str] | None = None) -> Labels:
    return tuple(sorted([*labels, ("__name__", name), *([extra] if extra else [])], key=lambda label: label[0]))


_Sample = tuple[str, tuple[str, str] | None, float]


def _samples(
    metric: Metric,
    kind: MetricType,
    key: str,
    value: FieldValue,
    name: str,
    found: dict[Labels, _Series],
    labels: list[tuple[str, str]],
    time: int,
) -> list[_Sample]:
    """Names, further labels and values. Raises ValueError."""
    if kind not in _SPECIAL:
        return [(name, None, float(value))]
    if key.endswith("_sum"):
        return [(f"{name}_sum", None, _sum(value))]
    if key.endswith("_count"):
        count = _count(value)
        whole = [(f"{name}_bucket", ("le", "+Inf"), count)] if kind is MetricType.HISTOGRAM else []
        return [*whole, (f"{name}_count", None, count)]
    if kind is MetricType.SUMMARY:
        quantile = go_float(_bound(metric, "quantile"))
        return [(name, ("quantile", quantile), float(value))]
    if not key.endswith("_bucket"):
        raise ValueError("in a histogram its name ends with _bucket, _sum or _count")
    # A bucket alone has the other parts as well, until they come.
    for full, extra in ((f"{name}_sum", None), (f"{name}_count", None), (f"{name}_bucket", ("le", "+Inf"))):
        found.setdefault(_sorted(full, labels, extra), _Series([(time, 0.0)]))
    return [(f"{name}_bucket", ("le", go_float(_bound(metric, "le"))), _count(value))]


def _bound(metric: Metric, tag: str) -> float:
    bound = parse_float(metric.tags.get(tag, ""))
    if bound is None:
        raise ValueError(f"the tag {tag!r} is no number, or missing")
    return bound


def _sum(value: FieldValue) -> float:
    if isinstance(value, bool):
        raise ValueError("a boolean is no sum")
    return float(value)


def _count(value: FieldValue) -> float:
    if isinstance(value, bool | str) or not 0 <= value < 2**64:
        raise ValueError(f"{value} is no count")
    return float(int(value))


# Native histograms


def _native(metric: Metric, time: int) -> bytes | None:
    """One whose buckets follow a scheme, as the parser of this format gives it; None: it is none."""
    get = metric.fields.get
    count, total, schema, hint = get("count"), get("sum"), get("schema"), get("counter_reset_hint")
    threshold, zeros = get("zero_threshold"), get("zero_count")
    if not all(type(one) is float for one in (count, total, threshold, zeros)):
        return None
    if type(schema) is not int or type(hint) is not Uint or not -4 <= schema <= 8:
        return None
    parts = []
    for sign in ("negative", "positive"):
        spans, buckets = _spans(metric, sign), _buckets(metric, sign)
        if sum([length for _, length in spans]) != len(buckets) or any(offset < 0 for offset, _ in spans[1:]):
            return None
        if any(bucket < 0 for bucket in buckets):
            return None
        parts.append((spans, buckets))
    (negative_spans, negative), (positive_spans, positive) = parts
    return b"".join(
        [
            encoded_double(2, float(count or 0), always=True),
            encoded_double(3, float(total or 0)),
            encoded_number(4, _zigzag(schema)),
            encoded_double(5, float(threshold or 0)),
            encoded_double(7, float(zeros or 0), always=True),
            *[encoded_bytes(8, _span(*span)) for span in negative_spans],
            _packed(10, negative),
            *[encoded_bytes(11, _span(*span)) for span in positive_spans],
            _packed(13, positive),
            encoded_number(14, hint),
            encoded_number(15, time),
        ]
    )


def _spans(metric: Metric, sign: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        offset = metric.fields.get(f"{sign}_span_{len(found)}_offset")
        length = metric.fields.get(f"{sign}_span_{len(found)}_length")
        if type(offset) is not int or type(length) is not Uint:
            return found
        found.append((offset, length))


def _buckets(metric: Metric, sign: str) -> list[float]:
    found: list[float] = []
    while isinstance(bucket := metric.fields.get(f"{sign}_bucket_{len(found)}"), float):
        found.append(bucket)
    return found


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _span(offset: int, length: int) -> bytes:
    return encoded_number(1, _zigzag(offset)) + encoded_number(2, length)


def _packed(number: int, values: list[float]) -> bytes:
    # The doubles, each without its field.
    data = b"".join([encoded_double(1, value, always=True)[1:] for value in values])
    return encoded_bytes(number, data) if data else b""


# The request


def _request(series: list[tuple[Labels, _Series]]) -> Iterator[bytes]:
    """In pieces, of which those of labels come again and again."""
    known: dict[tuple[str, str], bytes] = {}
    for labels, one in series:
        pieces = []
        for label in labels:
            if (piece := known.get(label)) is None:
                piece = known[label] = encoded_bytes(1, _label(*label))
            pieces.append(piece)
        rest = b"".join(
            [encoded_bytes(2, encoded_double(1, value) + encoded_number(2, time)) for time, value in one.samples]
            + [encoded_bytes(4, histogram) for _, histogram in one.histograms]
        )
        yield b"\x0a" + encoded_varint(sum(map(len, pieces)) + len(rest))
        yield from pieces
        yield rest


def _label(name: str, value: str) -> bytes:
    return encoded_bytes(1, _utf8(name)) + (encoded_bytes(2, _utf8(value)) if value else b"")


def _utf8(text: str) -> bytes:
    # Text in Protocol Buffers is UTF-8; what is none becomes U+FFFD.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
