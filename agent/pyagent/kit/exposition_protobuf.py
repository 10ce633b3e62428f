"""Prometheus' pages in Protocol Buffers: families, each behind its length (`encoding=delimited`)."""

from collections.abc import Mapping

from pyagent.api.errors import ParseError
from pyagent.api.metric import Metric, MetricType
from pyagent.kit import protobuf
from pyagent.kit.exposition import Family, MetricVersion, Parts, metrics_of
from pyagent.kit.page_room import PageRoom

__all__ = ["is_delimited", "read_delimited"]

_MEDIA, _MESSAGE = "application/vnd.google.protobuf", "io.prometheus.client.MetricFamily"
_TYPES = (
    MetricType.COUNTER,
    MetricType.GAUGE,
    MetricType.SUMMARY,
    MetricType.UNTYPED,
    MetricType.HISTOGRAM,
    None,
)
_NUMBERS = {2: 1, 3: 1, 5: 1}
"""Gauge, counter and untyped value of a metric: its number is their first field."""
_ZERO = b"\0" * 8


def is_delimited(content_type: str) -> bool:
    """Whether a Content-Type says that a page is such a one."""
    media, *parameters = (part.strip() for part in content_type.split(";"))
    pairs = {key.strip().lower(): value.strip(' "') for key, _, value in (part.partition("=") for part in parameters)}
    is_ours = pairs.get("proto", _MESSAGE) == _MESSAGE and pairs.get("encoding", "delimited") == "delimited"
    return media.lower() == _MEDIA and is_ours


def read_delimited(
    data: bytes, version: MetricVersion, now: int, ignore_timestamp: bool = False, tags: Mapping[str, str] | None = None
) -> list[Metric]:
    """As `exposition.read`, of such a page. Raises ParseError and TooMuch."""
    room = PageRoom(len(data))
    try:
        families = [_family(one, room) for one in protobuf.messages(data)]
    except ValueError as error:
        raise ParseError(f"the data are no families of Prometheus: {error}") from None
    return metrics_of(families, PageRoom(len(data)), version, now, ignore_timestamp, tags)


def _family(data: bytes, room: PageRoom) -> Family:
    room.take(0)
    family = Family("")
    family.kind = MetricType.COUNTER
    metrics = []
    for number, _, value in protobuf.message(data):
        if number == 1:
            family.name = protobuf.text(value)
        elif number == 3:
            kind = protobuf.signed(value)
            if not 0 <= kind < len(_TYPES):
                raise ValueError(f"there is no type {kind} of a family")
            family.kind = _TYPES[kind]
        elif number == 4:
            metrics.append(protobuf.inner(value))
    if not family.name:
        raise ValueError("a family has no name")
    for metric in metrics:
        _add(metric, family, room)
    return family


def _add(data: bytes, family: Family, room: PageRoom) -> None:
    room.take(0)
    labels: dict[str, str] = {}
    time: int | None = None
    amount: float | None = None
    whole: bytes | None = None
    for number, _, value in protobuf.message(data):
        if number == 1:
            pair = {at: protobuf.text(text) for at, _, text in protobuf.message(protobuf.inner(value)) if at in (1, 2)}
            if pair.get(2):
                room.take(1, metrics=0)
                labels[pair.get(1, "")] = pair[2]
        elif number in _NUMBERS:
            amount = 0.0
            for at, _, content in protobuf.message(protobuf.inner(value)):
                if at == 1:
                    amount = protobuf.double(content)
        elif number == 6:
            time = protobuf.signed(value)
        elif (number == 4 and family.kind is MetricType.SUMMARY) or (
            number == 7 and family.kind is MetricType.HISTOGRAM
        ):
            whole = protobuf.inner(value)
    if family.special and family.kind is not None:
        parts = _parts(whole or b"", family.kind is MetricType.SUMMARY, labels, room)
        parts.time = time
        family.parts[frozenset([("", str(len(family.parts)))])] = parts
    elif amount is not None:
        family.samples.append((labels, amount, time))


def _parts(data: bytes, is_summary: bool, labels: dict[str, str], room: PageRoom) -> Parts:
    parts = Parts(labels)
    for number, _, value in protobuf.message(data):
        if number == 1:
            parts.count = float(protobuf.unsigned(value))
        elif number == 2:
            parts.sum = protobuf.double(value)
        elif number == 3:
            room.take(1, metrics=0)
            pair = {at: content for at, _, content in protobuf.message(protobuf.inner(value))}
            if is_summary:
                parts.parts.append((protobuf.double(pair.get(1, _ZERO)), protobuf.double(pair.get(2, _ZERO))))
            else:
                parts.parts.append((protobuf.double(pair.get(2, _ZERO)), float(protobuf.unsigned(pair.get(1, 0)))))
    return parts
