"""MessagePack: a map of name, time, tags and fields for each metric, one behind the other.

The time is MessagePack's own extension for timestamps (type -1), in the shortest of its three forms.
"""

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pyagent.api import Metric, NoOptions, Serializer, Uint
from pyagent.kit.field_texts import SeriesMemo
from pyagent.kit.records import write_packs

__all__ = ["Msgpack"]


class Msgpack(Serializer[NoOptions]):
    def setup(self) -> None:
        self._heads: SeriesMemo[tuple[bytes, bytes]] = SeriesMemo(_head)
        self._keys: dict[str, bytes] = _Keys()

    def serialize(self, metric: Metric) -> bytes:
        return self.serialize_batch([metric])

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        if write_packs is not None:
            return write_packs(metrics, lambda metric: self.reference([metric]))
        return self.reference(metrics)

    def reference(self, metrics: Sequence[Metric]) -> bytes:
        """What `serialize_batch` makes of any metrics, in Python alone."""
        head_of, keys, write = self._heads.of, self._keys, _WRITE
        pieces: list[bytes] = []
        for metric in metrics:
            name, tags = head_of(metric)
            fields = metric.fields
            pieces += (name, _time(metric.time), tags, _map(len(fields)))
            for key, value in fields.items():
                pieces += (keys[key], write[type(value)](value))
        return b"".join(pieces)


class _Keys(dict[str, bytes]):
    """Texts that come again and again, encoded; a bounded number of short ones."""

    def __missing__(self, key: str) -> bytes:
        encoded = _text(key)
        if len(self) < 4000 and len(key) <= 200:
            self[key] = encoded
        return encoded


_pack_unsigned = (
    (1 << 8, struct.Struct(">BB").pack, 0xCC),
    (1 << 16, struct.Struct(">BH").pack, 0xCD),
    (1 << 32, struct.Struct(">BI").pack, 0xCE),
    (1 << 64, struct.Struct(">BQ").pack, 0xCF),
)
_pack_signed = (
    (1 << 7, struct.Struct(">Bb").pack, 0xD0),
    (1 << 15, struct.Struct(">Bh").pack, 0xD1),
    (1 << 31, struct.Struct(">Bi").pack, 0xD2),
    (1 << 63, struct.Struct(">Bq").pack, 0xD3),
)
_pack_float = partial(struct.Struct(">Bd").pack, 0xCB)
_pack_long = struct.Struct(">BI").pack
_pack_time_long = struct.Struct(">BbQ").pack
_SMALL = [bytes([number]) for number in range(128)]


def _head(metric: Metric) -> tuple[bytes, bytes]:
    """What stands before the time, and what stands between it and the fields."""
    tags = b"".join([_text(key) + _text(value) for key, value in metric.tags.items()])
    return (
        b"\x84" + _text("name") + _text(metric.name) + _text("time"),
        _text("tags") + _map(len(metric.tags)) + tags + _text("fields"),
    )


def _time(time: int) -> bytes:
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    if not 0 <= seconds < 1 << 34:
        return struct.pack(">BBbIq", 0xC7, 12, -1, nanoseconds, seconds)
    if nanoseconds or seconds >= 1 << 32:
        return _pack_time_long(0xD7, -1, nanoseconds << 34 | seconds)
    return struct.pack(">BbI", 0xD6, -1, seconds)


def _map(count: int) -> bytes:
    if count < 16:
        return bytes((0x80 | count,))
    return struct.pack(">BH", 0xDE, count) if count < 1 << 16 else _pack_long(0xDF, count)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    size = len(data)
    if size < 32:
        return bytes((0xA0 | size,)) + data
    if size < 1 << 8:
        return bytes((0xD9, size)) + data
    return (struct.pack(">BH", 0xDA, size) if size < 1 << 16 else _pack_long(0xDB, size)) + data


def _signed(number: int) -> bytes:
    """Of positive ones, too: what is read is a signed integer again."""
    if 0 <= number < 128:
        return _SMALL[number]
    if -32 <= number < 0:
        return struct.pack("b", number)
    size = number if number >= 0 else -number - 1
    return next(pack(kind, number) for limit, pack, kind in _pack_signed if size < limit)


def _unsigned(number: int) -> bytes:
    if number < 128:
        return _SMALL[number]
    return next(pack(kind, number) for limit, pack, kind in _pack_unsigned if number < limit)


class _Writers(dict[type, Callable[[Any], bytes]]):
    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        # A subclass, of a plugin from outside.
        return next(self[base] for base in (bool, int, float, str) if issubclass(kind, base))


_WRITE = _Writers({float: _pack_float, int: _signed, Uint: _unsigned, str: _text, bool: (b"\xc2", b"\xc3").__getitem__})
