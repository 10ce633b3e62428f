"""OpenMetrics to metrics, as Telegraf makes them: what the text (`openmetrics_text`) and the form in Protocol Buffers share.

A page has families, a family has series, a series has points. Metrics are made of a whole family.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from pyagent.api.errors import ParseError
from pyagent.api.metric import FieldValue, Metric, MetricType, Uint
from pyagent.kit import protobuf
from pyagent.kit.exposition import MetricVersion, go_float
from pyagent.kit.page_room import PageRoom

__all__ = ["PROTOBUF", "TEXT", "Family", "Kind", "Point", "Series", "content_form", "metrics_of", "read_protobuf"]

TEXT, PROTOBUF = "application/openmetrics-text", "application/openmetrics-protobuf"
_SECOND = 1_000_000_000


class Kind(IntEnum):
    """The numbers are those of the wire."""

    UNKNOWN = 0
    GAUGE = 1
    COUNTER = 2
    STATE_SET = 3
    INFO = 4
    HISTOGRAM = 5
    GAUGE_HISTOGRAM = 6
    SUMMARY = 7


@dataclass(slots=True)
class Point:
    time: int | None = None
    """ns since the epoch."""
    value: float | None = None
    """Of a gauge, a counter, or what has no known type; None where the point has none."""
    given: bool = False
    """Whether anything stands in it."""
    count: float = 0.0
    sum: float | None = None
    created: int | None = None
    """ns since the epoch."""
    parts: list[tuple[float, float]] | None = None
    """Upper bounds or quantiles, and what belongs to them."""
    states: list[tuple[str, bool]] | None = None
    info: dict[str, str] | None = None

    def add_part(self, at: float, value: float) -> None:
        if self.parts is None:
            self.parts = []
        self.parts.append((at, value))

    def add_state(self, name: str, enabled: bool) -> None:
        if self.states is None:
            self.states = []
        self.states.append((name, enabled))


@dataclass(slots=True)
class Series:
    tags: dict[str, str]
    points: list[Point]


@dataclass(slots=True)
class Family:
    name: str
    kind: Kind = Kind.UNKNOWN
    unit: str = ""
    series: list[Series] = field(default_factory=list)


def content_form(content_type: str) -> str:
    """TEXT or PROTOBUF where a Content-Type says that the page is OpenMetrics; "" for any other."""
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    if media == PROTOBUF:
        pairs = dict(part.strip().partition("=")[::2] for part in parameters.split(";"))
        return PROTOBUF if pairs.get("version", "").strip('"') == "1.0.0" else ""
    return TEXT if media == TEXT else ""


_FIELD_NAMES = {Kind.UNKNOWN: "value", Kind.GAUGE: "gauge", Kind.COUNTER: "counter"}
_TYPES = {
    Kind.GAUGE: MetricType.GAUGE,
    Kind.COUNTER: MetricType.COUNTER,
    Kind.HISTOGRAM: MetricType.HISTOGRAM,
    Kind.GAUGE_HISTOGRAM: MetricType.HISTOGRAM,
    Kind.SUMMARY: MetricType.SUMMARY,
}
_HISTOGRAMS = (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM)
_ONE = Uint(1)

Made = Iterator[tuple[str, dict[str, str], dict[str, FieldValue]]]


def metrics_of(
    family: Family, room: PageRoom, version: MetricVersion, now: int, ignore_timestamp: bool, tags: Mapping[str, str]
) -> list[Metric]:
    """`now`: ns, of points without a time. `tags`: of all that have no such label. Raises TooMuch."""
    make: Callable[[Family, Point, dict[str, str]], Made] = _version_1 if version == 1 else _version_2
    kind = _TYPES.get(family.kind, MetricType.UNTYPED)
    metrics: list[Metric] = []
    is_plain = family.kind <= Kind.COUNTER
    name = family.name if version == 1 else "openmetric"
    field_name = _FIELD_NAMES.get(family.kind, "") if version == 1 else family.name
    for series in family.series:
        own = {**tags, **series.tags} if tags else series.tags
        if family.unit:
            own = {**own, "unit": family.unit}
        time = now
        for point in series.points:
            if point.time is not None and not ignore_timestamp:
                time = point.time
            if is_plain:  # as most are
                if point.value is not None and math.isfinite(point.value):
                    room.take(len(own) + 1)
                    metrics.append(Metric(name, own, {field_name: point.value}, time, kind))
                continue
            for made, labels, fields in make(family, point, own):
                room.take(len(labels) + len(fields))
                metrics.append(Metric(made, labels, fields, time, kind))
    return metrics


def _version_1(family: Family, point: Point, tags: dict[str, str]) -> Made:
    kind, name = family.kind, family.name
    if kind is Kind.STATE_SET:
        yield name, tags, {state.replace(" ", "_"): enabled for state, enabled in point.states or ()}
    elif kind is Kind.INFO:
        yield name, {**tags, **(point.info or {})}, {"info": _ONE}
    else:
        fields: dict[str, FieldValue] = {"count": point.count}
        if point.sum is not None:
            fields["sum"] = point.sum
        if point.created is not None:
            fields["created"] = _created(point.created, exact=kind is Kind.SUMMARY)
        fields.update((go_float(at), value) for at, value in point.parts or () if math.isfinite(value))
        yield name, tags, fields


def _version_2(family: Family, point: Point, tags: dict[str, str]) -> Made:
    kind, name = family.kind, family.name
    if kind is Kind.STATE_SET:
        for state, enabled in point.states or ():
            yield "openmetric", tags, {f"{name}_{state.replace(' ', '_')}": enabled}
    elif kind is Kind.INFO:
        yield "openmetric", {**tags, **(point.info or {})}, {f"{name}_info": _ONE}
    else:
        fields: dict[str, FieldValue] = {f"{name}_count": point.count}
        if point.sum is not None:
            fields[f"{name}_sum"] = point.sum
        if point.created is not None:
            fields[f"{name}_created"] = _created(point.created, exact=False)
        yield "openmetric", tags, fields
        label, part = ("le", f"{name}_bucket") if kind in _HISTOGRAMS else ("quantile", name)
        for at, value in point.parts or ():
            if math.isfinite(value):
                yield "openmetric", {**tags, label: go_float(at)}, {part: value}
        if kind in _HISTOGRAMS and not any(at == math.inf for at, _ in point.parts or ()):
            yield "openmetric", {**tags, "le": "+Inf"}, {part: point.count}


def _created(ns: int, *, exact: bool) -> float:
    """In seconds. As Telegraf has it: but for summaries in version 1 it adds the nanoseconds to the seconds as they are."""
    seconds, rest = divmod(ns, _SECOND)
    return float(seconds) + (rest / 1e9 if exact else float(rest))


def read_protobuf(
    data: bytes, version: MetricVersion, now: int, ignore_timestamp: bool = False, tags: Mapping[str, str] | None = None
) -> list[Metric]:
    """The metrics of a MetricSet. Raises ParseError and TooMuch."""
    metrics: list[Metric] = []
    room = PageRoom(len(data))
    try:
        for number, _, value in protobuf.message(data):
            if number == 1:
                family = _family(protobuf.inner(value), PageRoom(len(data)))
                metrics += metrics_of(family, room, version, now, ignore_timestamp, tags or {})
    except ValueError as error:
        raise ParseError(f"the data are no MetricSet of OpenMetrics: {error}") from None
    return metrics


def _family(data: bytes, room: PageRoom) -> Family:
    family = Family("")
    metrics = []
    for number, _, value in protobuf.message(data):
        if number == 1:
            family.name = protobuf.text(value)
        elif number == 2:
            kind = protobuf.signed(value)
            if not 0 <= kind <= Kind.SUMMARY:
                raise ValueError(f"there is no type {kind} of a family")
            family.kind = Kind(kind)
        elif number == 3:
            family.unit = protobuf.text(value)
        elif number == 5:
            metrics.append(protobuf.inner(value))
    for metric in metrics:
        room.take(0)
        series = Series({}, [])
        for number, _, value in protobuf.message(metric):
            if number == 1:
                key, text = _label(protobuf.inner(value))
                if text:
                    room.take(1, metrics=0)
                    series.tags[key] = text
            elif number == 2:
                series.points.append(_point(protobuf.inner(value), family.kind, room))
        family.series.append(series)
    return family


def _label(data: bytes) -> tuple[str, str]:
    pair = {number: protobuf.text(value) for number, _, value in protobuf.message(data) if number in (1, 2)}
    return pair.get(1, ""), pair.get(2, "")


_VALUES = {
    Kind.UNKNOWN: 1,
    Kind.GAUGE: 2,
    Kind.COUNTER: 3,
    Kind.HISTOGRAM: 4,
    Kind.GAUGE_HISTOGRAM: 4,
    Kind.STATE_SET: 5,
    Kind.INFO: 6,
    Kind.SUMMARY: 7,
}
"""The field of a point that belongs to a family's type."""


def _point(data: bytes, kind: Kind, room: PageRoom) -> Point:
    room.take(0)
    point = Point()
    for number, _, value in protobuf.message(data):
        if number == 8:
            point.time = _timestamp(protobuf.inner(value))
        elif number == _VALUES[kind]:
            _read_value(protobuf.inner(value), kind, point, room)
    return point


def _read_value(data: bytes, kind: Kind, point: Point, room: PageRoom) -> None:
    complex_value = kind in _HISTOGRAMS or kind is Kind.SUMMARY
    for number, wire, value in protobuf.message(data):
        room.take(1, metrics=0)
        if kind is Kind.STATE_SET:
            if number == 1:
                state = {at: part for at, _, part in protobuf.message(protobuf.inner(value))}
                point.add_state(protobuf.text(state.get(2, b"")), bool(state.get(1, 0)))
        elif kind is Kind.INFO:
            if number == 1:
                point.info = point.info or {}
                point.info.update([_label(protobuf.inner(value))])
        elif number in (1, 2):
            amount = float(protobuf.signed(value)) if wire == protobuf.VARINT else protobuf.double(value)
            if complex_value:
                point.sum = amount
            else:
                point.value = amount
        elif number == 3 and complex_value:
            point.count = float(protobuf.unsigned(value))
        elif number == 4 and complex_value:
            point.created = _timestamp(protobuf.inner(value))
        elif number == 5 and complex_value:
            part = {at: inside for at, _, inside in protobuf.message(protobuf.inner(value))}
            first, second = part.get(1, 0), part.get(2, b"\0" * 8)
            if kind is Kind.SUMMARY:
                point.add_part(protobuf.double(first or b"\0" * 8), protobuf.double(second))
            else:
                point.add_part(protobuf.double(second), float(protobuf.unsigned(first)))


def _timestamp(data: bytes) -> int:
    """ns since the epoch."""
    parts = {number: protobuf.signed(value) for number, _, value in protobuf.message(data) if number in (1, 2)}
    return parts.get(1, 0) * _SECOND + parts.get(2, 0)
