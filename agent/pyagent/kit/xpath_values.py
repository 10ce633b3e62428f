"""JSON and MessagePack as Python's values, with the bounds and the types that Telegraf's libraries have."""

import base64
import json
import math
import struct
from datetime import datetime, timedelta
from typing import Any

from pyagent.api import ParseError
from pyagent.kit.numbers import shortest_float32
from pyagent.kit.surrogates import whole_characters

__all__ = ["Foreign", "read_json", "read_msgpack"]


def read_json(data: bytes) -> Any:
    """Numbers are floats. Raises ParseError, RecursionError."""
    text = whole_characters(data.decode("utf-8", "replace"))
    try:
        return json.loads(text, parse_int=float, parse_float=_finite, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ParseError(f"column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}", error.lineno) from None


_INFINITY = math.inf


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _finite(text: str) -> float:
    if (number := float(text)) == _INFINITY or number == -_INFINITY:
        raise ValueError(f"the number {text[:40]} is out of range")
    return number


class Foreign:
    """A value that has a text, and no type that a field can have."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def read_msgpack(data: bytes) -> Any:
    """Numbers are floats, bytes are base64. Raises ParseError."""
    if not data:
        raise ParseError("there is no document")
    reader = _Msgpack(data)
    try:
        value = reader.value(0)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ParseError(f"byte {reader.position}: the data end within a value") from None
    if reader.position < len(data):
        raise ParseError(f"byte {reader.position}: the document ends there, and more follows")
    return value


class _Msgpack:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def _take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._data):
            raise IndexError
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _text(self, size: int) -> str:
        return self._take(size).decode("utf-8", "replace")

    def value(self, depth: int) -> Any:
        if depth > 1000:
            raise ParseError("the document is nested too deeply")
        first = self._take(1)[0]
        if first < 0x80:
            return float(first)
        if first >= 0xE0:
            return float(first - 256)
        if first < 0x90:
            return self._map(first & 15, depth)
        if first < 0xA0:
            return self._list(first & 15, depth)
        if first < 0xC0:
            return self._text(first & 31)
        if first == 0xC0:
            return None
        if first in (0xC2, 0xC3):
            return first == 0xC3
        if 0xC4 <= first <= 0xC6:
            return base64.b64encode(self._take(self._number(1 << (first - 0xC4)))).decode()
        if 0xC7 <= first <= 0xC9:
            return self._extension(self._number(1 << (first - 0xC7)))
        if first == 0xCA:
            return float(shortest_float32(_checked(struct.unpack(">f", self._take(4))[0])))
        if first == 0xCB:
            return _checked(struct.unpack(">d", self._take(8))[0])
        if 0xCC <= first <= 0xCF:
            return float(self._number(1 << (first - 0xCC)))
        if 0xD0 <= first <= 0xD3:
            return float(int.from_bytes(self._take(1 << (first - 0xD0)), "big", signed=True))
        if 0xD4 <= first <= 0xD8:
            return self._extension(1 << (first - 0xD4))
        if 0xD9 <= first <= 0xDB:
            return self._text(self._number(1 << (first - 0xD9)))
        if first in (0xDC, 0xDD):
            return self._list(self._number(2 if first == 0xDC else 4), depth)
        if first in (0xDE, 0xDF):
            return self._map(self._number(2 if first == 0xDE else 4), depth)
        raise ParseError(f"byte {self.position - 1}: 0x{first:02x} begins no value")

    def _list(self, count: int, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[str, Any]:
        made = {}
        for _ in range(count):
            place = self.position
            kind = self._data[place]
            key = self.value(depth + 1)
            if isinstance(key, float) and kind not in (0xCA, 0xCB):
                key = str(int(key))
            elif not isinstance(key, str):
                raise ParseError(f"byte {place}: a key must be text, bytes or an integer")
            made[key] = self.value(depth + 1)
        return made

    def _extension(self, size: int) -> Any:
        kind = int.from_bytes(self._take(1), "big", signed=True)
        data = self._take(size)
        if kind == -1 and size in (4, 8, 12):
            if size == 12:
                nanoseconds, seconds = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big", signed=True)
            else:
                number = int.from_bytes(data, "big")
                seconds, nanoseconds = (number, 0) if size == 4 else (number & (2**34 - 1), number >> 34)
            return _time(seconds, nanoseconds)
        if kind == 5 and size == 12:
            return _time(int.from_bytes(data[:8], "big", signed=True), int.from_bytes(data[8:], "big"))
        return {"type": float(kind), "data": base64.b64encode(data).decode()}


def _time(seconds: int, nanoseconds: int) -> str:
    try:
        text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:
        raise ParseError("a time is out of range") from None
    return text + (f".{nanoseconds:09d}".rstrip("0") if nanoseconds else "") + "Z"


def _checked(number: float) -> float:
    if not math.isfinite(number):
        raise ParseError("a number is not finite")
    return number
