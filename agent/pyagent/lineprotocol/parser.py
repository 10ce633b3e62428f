r"""Line protocol to metrics: the reference, in plain Python. The native core gives the same metrics and errors.

The syntax is InfluxDB 2's own:

- A line is `measurement[,tag=value...] field=value[,field=value...] [time]` and ends with LF or CR LF; at the end of the data
  LF may be missing. Any other CR is a character. Lines that start with `#` and blank ones are skipped. Before the
  measurement, the fields and the time there may be more spaces, TABs and NULs, behind the time more spaces.
- In names, tags and field keys a comma, a space and `=` are escaped by the backslash that stands before them (in a
  measurement `=` needs none). Any other backslash stands for itself. In strings `\"` and `\\` are escapes, and a
  newline is a character like any other.
- Values: `-?` digits with at most one point and an exponent: float; digits with `i`: int64; with `u`: uint64; `"..."`;
  t, T, true, True, TRUE, f, F, false, False, FALSE. NaN and infinities are refused, and floats too large.
- Tags are unique; `time`, `_field` and `_measurement` cannot be tags. Of fields with one key the last wins. There are at
  most MAX_FIELDS of them.
- A time is a whole number of units of the precision; where there is none it is `default_time`, cut to that unit. With
  `apart` and nanoseconds each further line without one is 1 ns later, so that those of one series stay points of their own.

A bad line costs only itself. It ends at the first LF outside of its strings; where a string never ends, or something
else than a separator follows it, quotes cannot be trusted, and it ends at the first LF.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from pyagent.api.metric import INT64_MAX, INT64_MIN, UINT64_MAX, FieldValue, Metric, Uint
from pyagent.lineprotocol.kept import HEADS_BYTES, KEYS_BYTES, SHORT, Kept
from pyagent.lineprotocol.results import (
    MAX_ERROR_BYTES,
    MAX_ERRORS,
    MAX_FIELDS,
    MAX_KEY_BYTES,
    METRIC_BYTES,
    TIME_MAX,
    TIME_MIN,
    VALUE_BYTES,
    InvalidLine,
    Parsed,
    Precision,
    too_much,
    unit_ns,
)
from pyagent.lineprotocol.text import as_bytes, from_bytes, unescape, unquote

__all__ = ["parse", "parse_parts"]

_PART_BYTES = 2**16
_RESERVED = ("time", "_field", "_measurement")


def _run(stops: bytes) -> bytes:
    """A pattern for text up to the first of `stops` that no backslash stands before, or LF."""
    return rb"(?:[^\n\\%s]++|\\++[^\n\\])" % stops


_STRING = rb'"((?:[^"\\]++|\\.)*+)"'
_LEADING = re.compile(rb"(?:[ \t\0]*+(?:#[^\n]*+|\r)?\n)*+[ \t\0]*+(?:#[^\n]*+)?")
_HEAD = re.compile(_run(b" ") + rb"++(?= )")
_NAME = re.compile(rb"(?!,)" + _run(b", ") + rb"++")
_TAG_KEY = re.compile(_run(b",= ") + rb"++")
_TAG_VALUE = re.compile(rb"(?:=" + _run(b",= ") + rb"*+|" + _run(b",= ") + rb"++)")
_SPACE = re.compile(rb"[ \t\0]*+")
_FIELD_KEY = re.compile(_run(b",= ") + rb"++")
_FIELD = re.compile(
    rb"(" + _run(b",= ") + rb"++)=(?:"
    rb"(-?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?)|(-?\d++)i|(\d++)u|" + _STRING + rb"|"
    rb"([tT]|true|True|TRUE)|([fF]|false|False|FALSE))(?=[, \n]|\r\n|\Z)",
    re.DOTALL,
)
_FLOAT, _INTEGER, _UNSIGNED, _TEXT, _TRUE = 2, 3, 4, 5, 6
_QUOTED = re.compile(_STRING, re.DOTALL)
_TIME = re.compile(rb"[ \t\0]*+(-?\d++)? *+(?:\r?\n|\Z)")
_TO_SPACE = re.compile(_run(b" ") + rb"*+")
_REST = re.compile(rb'(?:[^\n=]++|="(?:[^"\\]++|\\.)*+"(?=[, \n]|\r\n|\Z)|=)*+', re.DOTALL)

_heads: Kept[bytes, tuple[str, dict[str, str]]] = Kept(HEADS_BYTES)
_keys: Kept[bytes, str] = Kept(KEYS_BYTES)


class _BadLine(Exception):
    """What is wrong, where, and whether the line's strings tell where it ends."""

    def __init__(self, reason: str, at: int, *, quotes: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        self.quotes = quotes


def parse(
    data: bytes | str, default_time: int, precision: Precision = "ns", *, apart: bool = False, most: int = 0
) -> Parsed:
    """Parse lines. `default_time`: ns since the epoch. Each metric has tags of its own; equal text is shared.

    Raises ValueError for an unknown precision, and for what the data hold only TooMuch: where the metrics take about
    `most` bytes of memory (0: any).
    """
    whole = Parsed([], [], 0)
    made = 0
    for part in parse_parts(data, default_time, precision, apart=apart):
        whole.metrics += part.metrics
        whole.errors += part.errors
        whole.bad += part.bad
        if most:
            values = sum(len(metric.tags) + len(metric.fields) for metric in part.metrics)
            made += METRIC_BYTES * len(part.metrics) + VALUE_BYTES * values + part.size
            if made > most:
                raise too_much(most)
    return whole


@dataclass(slots=True)
class Part(Parsed):
    """Some lines in a row. `size`: their bytes."""

    size: int = 0


def parse_parts(
    data: bytes | str, default_time: int, precision: Precision = "ns", *, apart: bool = False
) -> Iterator[Part]:
    """The same piece by piece: what a large text becomes need not be there at one time."""
    unit = unit_ns(precision)
    default_time -= default_time % unit
    step = 1 if apart and unit == 1 else 0
    data = as_bytes(data)
    part = Part([], [], 0)
    told = 0
    position, part_start, end = 0, 0, len(data)
    line, line_start = 1, 0  # the number and start of the physical line that was reported last
    while True:
        start = _LEADING.match(data, position).end()  # type: ignore[union-attr]  # matches anything, if only emptily
        if start >= end or position - part_start > _PART_BYTES:
            part.size = position - part_start
            yield part
            if start >= end:
                return
            part, part_start = Part([], [], 0), position
        try:
            head = _HEAD.match(data, start)
            if head is None:
                raise _without_fields(data, start)
            name, tags = _heads.get(head[0]) or _new_head(head[0], start)
            position = _SPACE.match(data, head.end()).end()  # type: ignore[union-attr]
            fields, position = _fields(data, position, MAX_KEY_BYTES - 4 - len(head[0]))
            match = _TIME.match(data, position)
            if match is None:
                raise _BadLine("bad timestamp", _SPACE.match(data, position).end())  # type: ignore[union-attr]
            time = default_time if match[1] is None else _integer(match[1]) * unit
            if not TIME_MIN <= time <= TIME_MAX:
                raise _BadLine("time outside range", match.start(1) if match[1] else start)
            position = match.end()
            if match[1] is None:
                default_time += step
            part.metrics.append(Metric(name, tags.copy(), fields, time))
        except _BadLine as error:
            position = _end_of_line(data, start, error.at, error.quotes)
            part.bad += 1
            told += 1
            if told > MAX_ERRORS:
                continue
            line += data.count(b"\n", line_start, error.at)
            line_start = data.rfind(b"\n", 0, error.at) + 1
            column = len(from_bytes(data[line_start : error.at])) + 1
            text = from_bytes(data[start : min(position, start + MAX_ERROR_BYTES)])
            part.errors.append(InvalidLine(line, column, error.reason, text))


def _new_head(head: bytes, start: int) -> tuple[str, dict[str, str]]:
    """Measurement and tags of a line that was not seen before."""
    if len(head) > MAX_KEY_BYTES:
        raise _BadLine("max key length exceeded", start)
    name = _NAME.match(head)
    if name is None:
        raise _BadLine("missing measurement", start)
    tags: dict[str, str] = {}
    position = name.end()
    while position < len(head):
        key = _TAG_KEY.match(head, position + 1)
        if key is None:
            raise _BadLine("missing tag key", start + position + 1)
        position = key.end()
        value = _TAG_VALUE.match(head, position + 1)
        if head[position : position + 1] != b"=" or value is None:
            raise _BadLine("missing tag value", start + position)
        position = value.end()
        if head[position : position + 1] == b"=":
            raise _BadLine("invalid tag format", start + position)
        tag = unescape(key[0])
        if tag in tags:
            raise _BadLine("duplicate tags", start + key.start())
        if tag in _RESERVED:
            raise _BadLine(f'cannot use reserved tag key "{tag}"', start + key.start())
        tags[_key(key[0])] = unescape(value[0])
    found = unescape(name[0], b", "), tags
    if len(head) <= SHORT:
        _heads.keep(head, found, 500 + 2 * len(head) + 130 * len(tags))
    return found


def _fields(data: bytes, position: int, room: int) -> tuple[dict[str, FieldValue], int]:
    """The fields, and the position behind them. `room`: bytes that a key may have."""
    fields: dict[str, FieldValue] = {}
    end = len(data)
    for number in count():
        match = _FIELD.match(data, position)
        if match is None:
            raise _bad_field(data, position, first=not fields)
        raw = match[1]
        if len(raw) > room:
            raise _BadLine("max key length exceeded", position)
        kind = match.lastindex
        value: FieldValue
        if kind == _FLOAT:
            value = float(match[_FLOAT])
            if math.isinf(value):
                raise _BadLine("invalid float", match.start(_FLOAT))
        elif kind == _INTEGER:
            value = _integer(match[_INTEGER])
            if not INT64_MIN <= value <= INT64_MAX:
                raise _BadLine("integer outside range", match.start(_INTEGER))
        elif kind == _UNSIGNED:
            value = Uint(_integer(match[_UNSIGNED]))
            if value > UINT64_MAX:
                raise _BadLine("unsigned integer outside range", match.start(_UNSIGNED))
        elif kind == _TEXT:
            value = unquote(match[_TEXT])
        else:
            value = kind == _TRUE
        if number == MAX_FIELDS:
            raise _BadLine("too many fields", match.start())
        fields[_keys.get(raw) or _key(raw)] = value
        position = match.end()
        if position >= end or data[position] != 0x2C:  # comma
            return fields, position
        position += 1
    raise AssertionError  # the loop has no other end


def _key(raw: bytes) -> str:
    """A key's text, the same object each time."""
    text = _keys.get(raw)
    if text is None:
        text = unescape(raw)
        if len(raw) <= SHORT:
            _keys.keep(raw, text, 200 + 2 * len(raw))
    return text


def _integer(raw: bytes) -> int:
    if len(raw) > 20:  # Python refuses to read very many digits, and leading zeros may be any number
        digits = raw.lstrip(b"-").lstrip(b"0")[:21] or b"0"
        return -int(digits) if raw.startswith(b"-") else int(digits)
    return int(raw)


def _without_fields(data: bytes, start: int) -> _BadLine:
    """Why a line without a space behind the tags is bad: something in its tags, or nothing behind them."""
    text = _TO_SPACE.match(data, start)[0]  # type: ignore[index]
    if text:
        try:
            _new_head(text, start)
        except _BadLine as error:
            return error
    return _BadLine("missing fields", start + len(text))


def _bad_field(data: bytes, position: int, *, first: bool) -> _BadLine:
    following = data[position : position + 1]
    key = _FIELD_KEY.match(data, position)
    if key is None:
        return _BadLine("missing fields" if first and following in b"\n" else "missing field key", position)
    position = key.end()
    if data[position : position + 1] != b"=":
        return _BadLine("invalid field format", position)
    position += 1
    following = data[position : position + 1]
    if following in b", \n" or data[position : position + 2] == b"\r\n":
        return _BadLine("missing field value", position)
    if following == b'"':
        string = _QUOTED.match(data, position)
        if string is None or b"\n" in string[0]:  # most likely it ends at a quote that opens another
            return _BadLine("unbalanced quotes", position, quotes=False)
        return _BadLine("invalid field format", string.end(), quotes=False)
    return _BadLine("invalid number" if following in b"0123456789.-Nn" else "invalid boolean", position)


def _end_of_line(data: bytes, start: int, at: int, quotes: bool) -> int:
    """The position of the LF that ends the bad line at `start`, or the end of the data."""
    if quotes:
        # Quotes mean something only behind the space that ends the tags.
        position = max(at, _TO_SPACE.match(data, start).end())  # type: ignore[union-attr]
        return _REST.match(data, position).end()  # type: ignore[union-attr]
    end = data.find(b"\n", start)
    return len(data) if end < 0 else end
