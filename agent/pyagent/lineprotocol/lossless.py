"""Metrics as the queue holds them for outputs that want metrics: the reference, in plain Python. The native core gives the
same bytes and reads them to the same metrics.

A record is all of one metric, its kind and unsigned values included; nothing of it is left out or written in another way.
Little-endian; `text` is its length in bytes, a varint (7 bits a byte, the lowest first, the high bit on all but the last),
and the bytes: UTF-8, bytes that were not UTF-8 as they were.

    kind  1   as pyagent.api.MetricType        tags    varint, then for each: text key, text value
    time  8   ns since the epoch         fields  varint, then for each: text key, type (1), value
    name  text

    type  0 float   8, IEEE 754    2 unsigned  8      4 true    none
          1 signed  8              3 text      text   5 false   none

Version 1. It is on disk: what changes gets a number of its own in `Content`, and this one is read on.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyagent.api.metric import INT64_MAX, INT64_MIN, FieldValue, Metric, MetricType, Uint, field_value
from pyagent.lineprotocol.results import Content, Encoded
from pyagent.lineprotocol.text import from_bytes, to_bytes

__all__ = ["pack", "unpack"]

_KINDS = {int(kind): kind for kind in MetricType}
_HEAD = struct.Struct("<Bq")
_FLOAT, _SIGNED, _UNSIGNED = struct.Struct("<Bd"), struct.Struct("<Bq"), struct.Struct("<BQ")
_VALUES: dict[int, struct.Struct] = {0: struct.Struct("<d"), 1: struct.Struct("<q"), 2: struct.Struct("<Q")}


class _Rejection(Exception):
    """The metric cannot be packed; the message is the reason."""


def pack(metrics: Sequence[Metric]) -> Encoded:
    """Metrics in their order. Never raises for what a metric holds: see `Encoded.rejected`.

    Values that no field can hold leave their field out, as in line protocol; NaN and infinities stay."""
    records: list[bytes] = []
    times: list[int] = []
    rejected: list[tuple[Metric, str]] = []
    for metric in metrics:
        try:
            records.append(_record(metric))
            times.append(metric.time)
        except _Rejection as error:
            rejected.append((metric, str(error)))
        except (AttributeError, TypeError, ValueError):
            rejected.append((metric, "invalid type: names, keys and tags are str, the time is int"))
    oldest, newest = min(times, default=0), max(times, default=0)
    return Encoded.of(b"".join(records), map(len, records), oldest, newest, rejected=rejected, content=Content.METRICS)


def unpack(data: bytes) -> list[Metric]:
    """The metrics of any number of records. Raises ValueError for data that are none."""
    metrics: list[Metric] = []
    try:
        position = 0
        while position < len(data):
            reader = _Reader(data, position)
            metrics.append(reader.metric())
            position = reader.position
    except (struct.error, IndexError, KeyError):
        raise ValueError("the data are no records of metrics") from None
    return metrics


def _record(metric: Metric) -> bytes:
    time, kind = metric.time, int(metric.kind)
    if isinstance(time, bool) or not isinstance(time, int):
        raise TypeError
    if not INT64_MIN <= time <= INT64_MAX:
        raise _Rejection("time outside range")
    values = [_text(key) + packed for key, value in metric.fields.items() if (packed := _value(value))]
    if not values:
        raise _Rejection("no serializable fields")
    tags = [_text(key) + _text(value) for key, value in metric.tags.items()]
    head = _HEAD.pack(kind if kind in _KINDS else 0, time)
    return b"".join([head, _text(metric.name), _varint(len(tags)), *tags, _varint(len(values)), *values])


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _text(text: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    data = to_bytes(text)
    return _varint(len(data)) + data


def _value(value: Any) -> bytes:
    """Type and value; empty where no field can hold it."""
    write = _WRITERS.get(type(value))
    if write is None or (type(value) in (int, Uint) and not _fits(value)):
        try:
            plain: FieldValue | None = field_value(value)
        except Exception:  # whatever the foreign type's own methods raise
            return b""
        if plain is None:
            return b""
        value, write = plain, _WRITERS[type(plain)]
    return write(value)


def _fits(value: int) -> bool:
    return 0 <= value < 2**64 if type(value) is Uint else INT64_MIN <= value <= INT64_MAX


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    float: lambda value: _FLOAT.pack(0, value),
    int: lambda value: _SIGNED.pack(1, value),
    Uint: lambda value: _UNSIGNED.pack(2, value),
    str: lambda value: b"\3" + _text(value),
    bool: lambda value: b"\4" if value else b"\5",
}


class _Reader:
    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position

    def metric(self) -> Metric:
        kind, time = _HEAD.unpack_from(self._data, self.position)
        self.position += _HEAD.size
        name = self._text()
        tags = {self._text(): self._text() for _ in self._several()}
        fields = {self._text(): self._value() for _ in self._several()}
        return Metric(name, tags, fields, time, _KINDS[kind])

    def _several(self) -> Iterator[None]:
        for _ in range(self._varint()):
            yield None

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._data[self.position]
            self.position += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 63:
                raise IndexError

    def _text(self) -> str:
        size = self._varint()
        end = self.position + size
        if end > len(self._data):
            raise IndexError
        text = from_bytes(self._data[self.position : end])
        self.position = end
        return text

    def _value(self) -> FieldValue:
        kind = self._data[self.position]
        self.position += 1
        if kind == 3:
            return self._text()
        if kind in (4, 5):
            return kind == 4
        (value,) = _VALUES[kind].unpack_from(self._data, self.position)
        self.position += 8
        return Uint(value) if kind == 2 else value
