"""Metrics to line protocol: the reference, in plain Python. The native core gives the same bytes.

A line is `measurement[,tag=value...] field=value[,field=value...] [time]` and ends with LF.

- Tags are sorted by the bytes of their keys; a tag whose key or value is empty, or empty once its trailing backslashes
  are cut off, is left out. So is one whose key, as written, was written before: receivers refuse a whole request for it.
- Fields keep their order unless `sort_fields`. Floats are written with the fewest digits that read back as the same
  number, never with an exponent (1e21 is 1000000000000000000000), a whole one without a fraction (42), -0 as -0.
  Integers end in `i`. A `Uint` ends in `u` with `uint_support`, else in `i`, clipped to the signed range. NaN, infinities,
  integers that 64 bits do not hold and values that no field can hold leave their field out.
- A metric without a name, or whose name would make its line a comment, without a field that can be written, with a time
  or a length of name and tags that InfluxDB refuses, or with parts of a wrong type, is rejected.
- With `max_line_bytes` a metric's fields are spread over several lines with the same head and time, none longer than
  that, LF included. A metric with a field that fits no line is rejected.
"""

from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from pyagent.api.line_options import LineOptions
from pyagent.api.metric import FieldValue, Metric, Uint, field_value
from pyagent.lineprotocol.kept import HEADS_BYTES, KEYS_BYTES, SHORT, Kept
from pyagent.lineprotocol.results import MAX_KEY_BYTES, TIME_MAX, TIME_MIN, Encoded
from pyagent.lineprotocol.text import field_key, measurement, string_value, tag_text, to_bytes

__all__ = ["encode"]

_DEFAULT = LineOptions()
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_heads: Kept[tuple[str, tuple[tuple[str, str], ...]], str] = Kept(HEADS_BYTES)
_keys: Kept[str, str] = Kept(KEYS_BYTES)


class Rejection(Exception):
    """The metric cannot be encoded; the message is the reason."""


def encode(
    metrics: Sequence[Metric], options: LineOptions = _DEFAULT, tags: tuple[tuple[str, str], ...] = ()
) -> Encoded:
    """Encode metrics in their order; `tags` are written with those that have none of these keys. Never raises for what a metric
    holds: see `Encoded.rejected`."""
    lines: list[str] = []
    times: list[int] = []
    rejected: list[tuple[Metric, str]] = []
    formats = _formats(options)
    sort, limit = options.sort_fields, options.max_line_bytes
    added = dict(tags)
    for metric in metrics:
        try:
            # A head is found by all of its name and tags, never by the identity of a dict that may have changed since.
            own = {**added, **metric.tags} if added else metric.tags
            series = (metric.name, tuple(own.items()))
            head = _heads.get(series) or _new_head(series)
            time = metric.time
            if not TIME_MIN <= time <= TIME_MAX:
                raise Rejection("time outside range")
            tail = "\n" if options.omit_timestamp else f" {time:d}\n"
            pairs = []
            for key, value in sorted(metric.fields.items(), key=_key_bytes) if sort else metric.fields.items():
                start = _keys.get(key) or _new_key(key)
                text = (formats.get(type(value)) or formats[object])(value)
                if text and start:
                    pairs.append(start + text)
            if not pairs:
                raise Rejection("no serializable fields")
            line = f"{head} {','.join(pairs)}{tail}"
            if len(line) > SHORT:  # a line within it has no key too long
                _check_keys(head, metric)
            lines.append(_spread(head, pairs, tail, limit) if limit > 0 else line)
            times.append(time)
        except Rejection as error:
            rejected.append((metric, str(error)))
        except (AttributeError, TypeError, ValueError):
            rejected.append((metric, "invalid type: names, keys and tags are str, the time is int"))
    data, ends = _join(lines)
    return Encoded(data, ends, min(times, default=0), max(times, default=0), rejected)


def _new_head(key: tuple[str, tuple[tuple[str, str], ...]]) -> str:
    """Measurement and tags, as written."""
    name, tags = key
    written = measurement(name)
    if not written or written.startswith("#"):
        raise Rejection("invalid name")
    texts: dict[str, str] = {}
    for tag, value in sorted(tags, key=_key_bytes):
        if (tag_key := tag_text(tag)) and (tag_value := tag_text(value)):
            texts.setdefault(tag_key, tag_value)
    head = written + "".join([f",{tag}={value}" for tag, value in texts.items()])
    if len(head) <= SHORT:
        _heads.keep(key, head, 300 + 2 * len(head) + 170 * len(tags))
    return head


def _new_key(key: str) -> str:
    """A field's key as written, with the `=`; empty if the field has to be left out."""
    written = field_key(key)
    if not written:
        return ""
    if len(key) <= SHORT:
        _keys.keep(key, written + "=", 200 + 2 * len(written))
    return written + "="


def _check_keys(head: str, metric: Metric) -> None:
    longest = max(len(to_bytes(field_key(key))) for key in metric.fields)
    if len(to_bytes(head)) + 4 + longest > MAX_KEY_BYTES:
        raise Rejection("max key length exceeded")


def _key_bytes(item: tuple[str, Any]) -> bytes:
    return to_bytes(item[0])


def _float(value: float) -> str:
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text:
        return _without_exponent(text)
    return "" if "n" in text else text  # nan, inf


def _without_exponent(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits, point = whole + fraction, len(whole) + int(exponent)
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits.ljust(point, '0')}"  # repr uses an exponent from 1e16, where no digit is behind the point


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _formats(options: LineOptions) -> dict[type, Callable[[Any], str]]:
    """For each type the function that writes its values, which gives "" where the field is to be left out."""
    uint_support = options.uint_support

    def integer(value: int) -> str:
        return f"{value}i" if _INT64_MIN <= value <= _INT64_MAX else other(value)

    def unsigned(value: Uint) -> str:
        number = int(value)
        if not 0 <= number < 2**64:
            return ""
        return f"{number}u" if uint_support else f"{min(number, _INT64_MAX)}i"

    def other(value: object) -> str:
        try:
            plain: FieldValue | None = field_value(value)
            return "" if plain is None else exact[type(plain)](plain)
        except Exception:  # whatever the foreign type's own methods raise
            return ""

    exact: dict[type, Callable[[Any], str]] = {
        float: _float,
        int: integer,
        Uint: unsigned,
        bool: _bool,
        str: string_value,
    }
    return exact | {object: other}


def _spread(head: str, pairs: list[str], tail: str, limit: int) -> str:
    """The metric's lines, none longer than `limit` bytes."""
    fixed = len(to_bytes(head)) + 1 + len(tail)
    lines: list[str] = []
    current: list[str] = []
    size = 0
    for pair in pairs:
        width = len(to_bytes(pair))
        if fixed + width > limit:
            raise Rejection("need more space: a field does not fit max_line_bytes")
        if current and size + 1 + width > limit:
            lines.append(f"{head} {','.join(current)}{tail}")
            current = []
        size = size + 1 + width if current else fixed + width
        current.append(pair)
    lines.append(f"{head} {','.join(current)}{tail}")
    return "".join(lines)


def _join(lines: list[str]) -> tuple[bytes, "array[int]"]:
    text = "".join(lines)
    if text.isascii():
        return text.encode("ascii"), array("Q", accumulate(map(len, lines)))
    parts = [to_bytes(line) for line in lines]
    return b"".join(parts), array("Q", accumulate(map(len, parts)))
