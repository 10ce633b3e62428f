"""One line of statsd to what it says. The store remembers what follows from a line without its value: see there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyagent.kit.templates import Templates

__all__ = ["Line", "Names", "Settings", "integer", "number", "read_line", "read_tags"]

TYPES = {b"c": "counter", b"g": "gauge", b"s": "set", b"ms": "timing", b"h": "histogram", b"d": "distribution"}
_INTEGER = re.compile(rb"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BLANKS = re.compile(r"\s+")
_NOT_ALLOWED = re.compile(r"[^a-zA-Z_\-0-9.;=]")
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Settings:
    datadog: bool
    distributions: bool
    container: bool
    percentiles: bool
    percentile_limit: int


@dataclass(frozen=True, slots=True)
class Line:
    """One value of a line. `rate`: of sampling; 0: none."""

    bucket: str
    kind: str
    value: bytes
    rate: float
    tags: dict[str, str]


class Names:
    """Names of buckets to measurements, fields and tags."""

    def __init__(self, templates: Templates, *, convert: bool, sanitize: bool, temporality: str) -> None:
        self._templates = templates
        self._convert = convert
        self._sanitize = sanitize
        self._temporality = temporality

    def read(self, bucket: str, kind: str, more: dict[str, str]) -> tuple[str, str, dict[str, str]]:
        """Measurement, field and tags; the first may be empty. `more`: tags that go before those of the bucket."""
        name, *items = bucket.split(",")
        own = {}
        for item in items:
            key, equals, value = item.partition("=")
            if equals and key:
                own[key] = value
        if self._sanitize:
            name = _NOT_ALLOWED.sub("", _BLANKS.sub("_", name).replace("/", "-"))
        words = name.split()
        if not words:
            return "", "value", {}
        name, tags, field = self._templates.apply(words[0])
        tags = own | tags
        if self._convert:
            name = name.replace(".", "_").replace("-", "__")
        tags["metric_type"] = kind
        if self._temporality and kind == "counter":
            tags["temporality"] = self._temporality
        return name, field or "value", tags | more


def read_line(line: bytes, settings: Settings) -> Iterator[Line]:
    """The values of a line, which has no blanks at its ends; good ones come before ValueError for the first bad one."""
    tags: dict[str, str] = {}
    if settings.datadog:
        rest = []
        for segment in line.split(b"|"):
            if segment.startswith(b"#"):
                read_tags(_text(segment[1:]), tags)
            elif segment.startswith(b"c:"):
                if settings.container:
                    tags["container"] = _text(segment[2:])
            else:
                rest.append(segment)
        line = b"|".join(rest)
    bucket, *bits = line.split(b":")
    if not bits:
        raise ValueError("it has no colon")
    for bit in bits:
        value, *more = bit.split(b"|")
        if not more:
            raise ValueError("a value has no type behind it")
        kind = TYPES.get(more[0])
        if kind is None:
            raise ValueError(f"there is no type {_text(more[0])[:20]!r}")
        if value[:1] in (b"+", b"-") and kind not in ("gauge", "counter"):
            raise ValueError("only gauges and counters may have a sign")
        rate = 0.0
        if len(more) > 1 and b"@" in more[1] and _NUMBER.fullmatch(more[1][1:]):
            rate = float(more[1][1:])
        yield Line(_text(bucket), kind, value, rate, tags)


def read_tags(text: str, tags: dict[str, str]) -> None:
    """Datadog's tags, `key:value,word`; a word alone is `true`."""
    for item in text.split(","):
        key, _, value = item.partition(":")
        if key:
            tags[key] = value or "true"


def integer(value: bytes, rate: float) -> int:
    """A counter's; a number with a fraction loses it. Raises ValueError."""
    fits = _INTEGER.fullmatch(value) and -_INT64 <= int(value) < _INT64
    found = int(value) if fits else _whole(number(value))
    return _whole(found / rate) if rate else found


def number(value: bytes) -> float:
    """Raises ValueError."""
    if _NUMBER.fullmatch(value) and abs(found := float(value)) < 1e309:
        return found
    raise ValueError(f"{_text(value)[:40]!r} is no number")


def _whole(value: float) -> int:
    if not abs(value) < _INT64:
        raise ValueError("the number is too large")
    return int(value)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
