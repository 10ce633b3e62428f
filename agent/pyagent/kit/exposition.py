"""Prometheus' text format to metrics, as Telegraf makes them. The reference in plain Python; `read` is the one door.

The native reader (`pyagent.kit.native`) is used where it was built, unless PYAGENT_NATIVE=0. It reads the usual page, and
leaves one with anything else in it to the reference, errors too: so the answers are the same.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from pyagent.api.errors import ParseError
from pyagent.api.metric import FieldValue, Metric, MetricType
from pyagent.kit.numbers import go_float
from pyagent.kit.page_room import PageRoom

__all__ = ["Family", "MetricVersion", "Parts", "go_float", "implementation", "metrics_of", "read", "reference"]

MetricVersion = Literal[1, 2]

_NAME = re.compile(rb"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = re.compile(rb"#[ \t]*([^ \t]*)(?:[ \t]+(.*))?", re.DOTALL)
_QUOTED = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ITEM = re.compile(rb'[ \t]*(?:([A-Za-z_][A-Za-z0-9_]*)|"([^"\\]*(?:\\.[^"\\]*)*)")[ \t]*', re.DOTALL)
_VALUE = re.compile(rb'=[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*', re.DOTALL)
_BLANKS = re.compile(rb"[ \t]*")
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORDS = re.compile(rb"(?:[+-]?inf(?:inity)?|nan)", re.IGNORECASE)
_INTEGER = re.compile(rb"[+-]?0*[0-9]{1,19}")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"\\": b"\\", b"n": b"\n", b'"': b'"'}

_TYPES = {
    "COUNTER": MetricType.COUNTER,
    "GAUGE": MetricType.GAUGE,
    "SUMMARY": MetricType.SUMMARY,
    "UNTYPED": MetricType.UNTYPED,
    "HISTOGRAM": MetricType.HISTOGRAM,
    "GAUGE_HISTOGRAM": None,
    "GAUGEHISTOGRAM": None,
}
"""None: of it no metrics are made."""
_VALUE_NAMES = {MetricType.COUNTER: "counter", MetricType.GAUGE: "gauge", MetricType.UNTYPED: "value"}
_MOST_SHOWN = 80
_MS = 1_000_000


class Parts:
    """A summary or a histogram of one set of labels."""

    __slots__ = ("count", "labels", "parts", "sum", "time")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.time: int | None = None
        self.count = self.sum = 0.0
        self.parts: list[tuple[float, float]] = []
        """Quantile or upper bound, and what belongs to it."""


class Family:
    __slots__ = ("helped", "kind", "name", "parts", "samples", "typed")

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind: MetricType | None = MetricType.UNTYPED
        self.typed = self.helped = False
        self.samples: list[tuple[dict[str, str], float, int | None]] = []
        self.parts: dict[frozenset[tuple[str, str]], Parts] = {}

    @property
    def special(self) -> str:
        """The label that is no tag of the whole."""
        if self.kind is MetricType.SUMMARY:
            return "quantile"
        return "le" if self.kind is MetricType.HISTOGRAM or self.kind is None else ""


def reference(
    data: bytes, version: MetricVersion, now: int, ignore_timestamp: bool = False, tags: Mapping[str, str] | None = None
) -> list[Metric]:
    """The metrics of a page; values that are not finite make none, as no output could write them.

    `now`: ns, for samples without a time, or of all with `ignore_timestamp`. `tags`: of all that have no such label.
    Raises ParseError: one bad line costs the page, as does a last line without its end, where a page broke off; and TooMuch.
    """
    families: dict[str, Family] = {}
    room = PageRoom(len(data))
    lines = data.split(b"\n")
    last = lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            _read_line(line.lstrip(b" \t"), families, room)
        except ValueError as error:
            raise ParseError(str(error), number) from None
    if last.strip(b" \t"):
        raise ParseError("the line has no end: the page broke off, or its last line feed is missing", len(lines) + 1)
    return metrics_of(families.values(), PageRoom(len(data)), version, now, ignore_timestamp, tags)


def metrics_of(
    families: Iterable[Family],
    room: PageRoom,
    version: MetricVersion,
    now: int,
    ignore_timestamp: bool = False,
    tags: Mapping[str, str] | None = None,
) -> list[Metric]:
    """As `reference`, of families that were read already."""
    make = _version_1 if version == 1 else _version_2
    metrics: list[Metric] = []
    for family in families:
        for name, labels, fields, time in make(family):
            room.take(len(tags or ()) + len(labels) + len(fields))
            whole = now if ignore_timestamp or time is None or time <= 0 else time * _MS
            kind = MetricType.UNTYPED if family.kind is None else family.kind
            metrics.append(Metric(name, {**(tags or {}), **labels}, fields, whole, kind))
    return metrics


def _read_line(line: bytes, families: dict[str, Family], room: PageRoom) -> None:
    """Raises ValueError and TooMuch."""
    if line.startswith(b"#"):
        _read_comment(line, families, room)
    elif line:
        _read_sample(line, families, room)


def _read_comment(line: bytes, families: dict[str, Family], room: PageRoom) -> None:
    found = _COMMENT.fullmatch(line)
    assert found is not None
    keyword, rest = found.groups()
    if keyword not in (b"HELP", b"TYPE") or not rest:
        return
    name, at = _name(rest, 0)
    if name is None or (at < len(rest) and rest[at] not in b" \t"):
        raise ValueError(f"{keyword.decode()} is not followed by the name of a metric: {_shown(rest)}")
    if at == len(rest):
        return
    family = _family(name, families, room)[0]
    text = rest[at:].lstrip(b" \t")
    if not text:
        return
    if keyword == b"HELP":
        if family.helped:
            raise ValueError(f"a second HELP for {family.name!r}")
        _unescaped(text)
        family.helped = True
    else:
        if family.typed:
            raise ValueError(f"a second TYPE for {family.name!r}, or one after its samples")
        kind = text.replace(b"\\", b"").decode("utf-8", "replace").upper()
        if kind not in _TYPES:
            raise ValueError(f"unknown type of metric {_shown(text)}")
        family.kind, family.typed = _TYPES[kind], True


def _read_sample(line: bytes, families: dict[str, Family], room: PageRoom) -> None:
    name, at = _name(line, 0)
    at = _behind_blanks(line, at)
    labels: list[tuple[str, str]] = []
    if line[at : at + 1] == b"{":
        name, at = _labels(line, at + 1, name, labels)
    if name is None:
        raise ValueError(f"a metric's name cannot begin like {_shown(line)}")
    family, part = _family(name, families, room)
    family.typed = True
    special = family.special
    own: dict[str, str] = {}
    position = math.nan
    for key, text in labels:
        if key == special:
            try:
                position = _number(text.encode())
            except ValueError:
                raise ValueError(f"the label {key!r} must be a number, not {_shown(text.encode())}") from None
        elif key in own:
            raise ValueError(f"the label {key!r} stands twice")
        else:
            own[key] = text
    value, time = _value_and_time(line[at:])
    tags = {key: text for key, text in own.items() if text}
    if not special:
        room.take(len(tags))
        family.samples.append((tags, value, time))
        return
    these = frozenset(own.items())
    parts = family.parts.get(these)
    if parts is None:
        room.take(len(own))
        parts = family.parts[these] = Parts(tags)
    room.take(1, metrics=0)
    if part == "_sum":
        parts.sum = value
    elif part == "_count":
        parts.count = _count(value, family)
    elif not math.isnan(position):
        parts.parts.append((position, value if family.kind is MetricType.SUMMARY else _count(value, family)))
    if time is not None:
        parts.time = time


def _name(text: bytes, at: int) -> tuple[str | None, int]:
    """A name, plain or in quotes, and where it ends; None where there is none. Raises ValueError for one that may not be."""
    plain = _NAME.match(text, at)
    if plain is not None:
        if text[plain.end() : plain.end() + 1] == b'"':
            raise ValueError("a quote stands within a name")
        return plain.group().decode(), plain.end()
    if text[at : at + 1] != b'"':
        return None, at
    quoted = _QUOTED.match(text, at)
    if quoted is None:
        raise ValueError("a name's closing quote is missing")
    name = _unescaped(quoted.group(1))
    if not _NAME.fullmatch(name):
        raise ValueError(f"{_shown(name)} is no name of a metric")
    return name.decode(), quoted.end()


def _labels(line: bytes, at: int, name: str | None, labels: list[tuple[str, str]]) -> tuple[str, int]:
    """Reads them, from behind the brace; gives the name, which may stand among them, and where the value begins."""
    while True:
        at = _behind_blanks(line, at)
        if line[at : at + 1] == b"}":
            if name is None:
                raise ValueError("there is no name before the labels or among them")
            return name, _behind_blanks(line, at + 1)
        item = _ITEM.match(line, at)
        if item is None:
            raise ValueError(f"a label's name cannot begin like {_shown(line[at:])}")
        at = item.end()
        plain, quoted = item.groups()
        key = plain if plain is not None else _unescaped(quoted)
        if line[at : at + 1] != b"=":
            if name is not None or line[at : at + 1] not in (b",", b"}"):
                raise ValueError(f"no = stands behind the label {_shown(key)}")
            if not _NAME.fullmatch(key):
                raise ValueError(f"{_shown(key)} is no name of a metric")
            name = key.decode()
        else:
            if not _LABEL.fullmatch(key) or key == b"__name__":
                raise ValueError(f"a label cannot have the name {_shown(key)}")
            found = _VALUE.match(line, at)
            if found is None:
                raise ValueError(f"the value of the label {_shown(key)} is not in quotes, or the second one is missing")
            try:
                labels.append((key.decode(), _unescaped(found.group(1)).decode()))
            except UnicodeDecodeError:
                raise ValueError(f"the value of the label {_shown(key)} is not UTF-8") from None
            at = found.end()
            if line[at : at + 1] not in (b",", b"}"):
                raise ValueError(f"neither a comma nor a brace stands behind the label {_shown(key)}")
        if line[at : at + 1] == b",":
            at += 1


def _family(name: str, families: dict[str, Family], room: PageRoom) -> tuple[Family, str]:
    """The family that a name belongs to, and which part of a summary or histogram it means."""
    family = families.get(name)
    if family is not None:
        return family, ""
    for suffix in ("_count", "_sum", "_bucket"):
        if name.endswith(suffix) and len(name) > len(suffix):
            owner = families.get(name.removesuffix(suffix))
            if owner is not None and owner.special and (suffix != "_bucket" or owner.special == "le"):
                return owner, suffix
    room.take(0)
    families[name] = family = Family(name)
    return family, ""


def _value_and_time(text: bytes) -> tuple[float, int | None]:
    end = re.search(rb"[ \t]", text)
    word = text if end is None else text[: end.start()]
    try:
        value = _number(word)
    except ValueError:
        raise ValueError(f"the value must be a number, not {_shown(word)}") from None
    if end is None:
        return value, None
    stamp = text[end.end() :].lstrip(b" \t")
    if not _INTEGER.fullmatch(stamp) or not -(2**63) <= (time := int(stamp)) < 2**63:
        raise ValueError(f"the time must be a whole number of milliseconds at the line's end, not {_shown(stamp)}")
    return value, time


def _number(word: bytes) -> float:
    """As Go's ParseFloat reads it. Raises ValueError."""
    if _DECIMAL.fullmatch(word):
        value = float(word)
        if not math.isinf(value):
            return value
    elif _WORDS.fullmatch(word):
        return float(word)
    raise ValueError("no number")


def _count(value: float, family: Family) -> float:
    if family.kind is MetricType.SUMMARY:
        return float(math.trunc(value)) if math.isfinite(value) else value
    if value < 0:
        raise ValueError(f"a count of the histogram {family.name!r} is negative")
    return value + 0.0


Made = Iterator[tuple[str, dict[str, str], dict[str, FieldValue], int | None]]


def _version_1(family: Family) -> Made:
    if family.kind is None:
        return
    for labels, value, time in family.samples:
        if math.isfinite(value):
            yield family.name, labels, {_VALUE_NAMES[family.kind]: value}, time
    for whole in family.parts.values():
        fields: dict[str, FieldValue] = {"count": whole.count, "sum": whole.sum}
        for position, value in whole.parts:
            if math.isfinite(value):
                fields[go_float(position)] = value
        yield family.name, whole.labels, fields, whole.time


def _version_2(family: Family) -> Made:
    if family.kind is None:
        return
    name = family.name
    for labels, value, time in family.samples:
        if math.isfinite(value):
            yield "prometheus", labels, {name: value}, time
    is_histogram = family.kind is MetricType.HISTOGRAM
    field = f"{name}_bucket" if is_histogram else name
    for whole in family.parts.values():
        yield "prometheus", whole.labels, {f"{name}_count": whole.count, f"{name}_sum": whole.sum}, whole.time
        parts = whole.parts
        if is_histogram and not any(position == math.inf for position, _ in parts):
            parts = [*parts, (math.inf, whole.count)]
        for position, value in parts:
            if math.isfinite(value):
                yield "prometheus", whole.labels | {family.special: go_float(position)}, {field: value}, whole.time


def _behind_blanks(text: bytes, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None
    return found.end()


def _unescaped(text: bytes) -> bytes:
    r"""Of `\\`, `\n` and `\"`. Raises ValueError for others."""
    if b"\\" not in text:
        return text
    if re.fullmatch(rb'(?:[^\\]|\\[\\n"])*', text, re.DOTALL) is None:
        raise ValueError(rf"only \\, \n and \" are escapes: {_shown(text)}")
    return _ESCAPED.sub(lambda found: _ESCAPES[found.group(1)], text)


def _shown(text: bytes) -> str:
    return repr(text[:_MOST_SHOWN].decode("utf-8", "replace"))


Reader = Callable[[bytes, int, int, bool, Mapping[str, str]], list[Metric] | None]

implementation = "reference"
_native: Reader | None = None
if not TYPE_CHECKING and os.environ.get("PYAGENT_NATIVE") != "0":
    with suppress(ImportError):
        from pyagent.kit.native import read_exposition as _native

        implementation = "native"


def read(
    data: bytes, version: MetricVersion, now: int, ignore_timestamp: bool = False, tags: Mapping[str, str] | None = None
) -> list[Metric]:
    """As `reference`, which says more."""
    if _native is not None:
        metrics = _native(data, version, now, ignore_timestamp, dict(tags or {}))
        if metrics is not None:
            return metrics
    return reference(data, version, now, ignore_timestamp, tags)
