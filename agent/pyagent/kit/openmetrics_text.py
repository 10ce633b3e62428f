"""The text of OpenMetrics to metrics: one line after the other, in the strict form that the standard asks for."""

import math
import re
from collections.abc import Mapping

from pyagent.api.errors import ParseError
from pyagent.api.metric import Metric
from pyagent.kit.exposition import MetricVersion
from pyagent.kit.numbers import parse_float
from pyagent.kit.openmetrics import Family, Kind, Point, Series, metrics_of
from pyagent.kit.page_room import PageRoom

__all__ = ["read_text"]

_NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*+"
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_ITEM = rf"([a-zA-Z_][a-zA-Z0-9_]*+|{_STRING})(?:=({_STRING}))?(,|$)"
_IN_BRACES = r'[^"{}]*+(?:' + _STRING + r'[^"{}]*+)*+'
_LABELS = re.compile(_ITEM)
_SAMPLE = re.compile(
    rf"({_NAME})?(?:\{{({_IN_BRACES})\}})? ([^ ]++)(?: (?!# \{{)([^ ]++))?(?: # \{{({_IN_BRACES})\}} ([^ ]++)(?: ([^ ]++))?)?"
)
_META = re.compile(rf"# (HELP|TYPE|UNIT) ({_NAME}|{_STRING}) (.*)")
_ESCAPED = re.compile(r'\\([\\n"])')
_ESCAPES = {"\\": "\\", "n": "\n", '"': '"'}
_DECIMAL = re.compile(r"[+-]?+(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+")
_KINDS = {
    "counter": Kind.COUNTER,
    "gauge": Kind.GAUGE,
    "histogram": Kind.HISTOGRAM,
    "gaugehistogram": Kind.GAUGE_HISTOGRAM,
    "summary": Kind.SUMMARY,
    "info": Kind.INFO,
    "stateset": Kind.STATE_SET,
    "unknown": Kind.UNKNOWN,
}
_SPECIAL = {Kind.HISTOGRAM: "le", Kind.GAUGE_HISTOGRAM: "le", Kind.SUMMARY: "quantile"}
_MOST_SHOWN = 80
_MOST_KNOWN = 10_000
"""Sets of labels that are kept to be found again."""
_MOST_MS = 2**63 // 1_000_000


def read_text(
    data: bytes, version: MetricVersion, now: int, ignore_timestamp: bool = False, tags: Mapping[str, str] | None = None
) -> list[Metric]:
    """The metrics of a page. `now`: ns, of samples without a time. `tags`: of all that have no such label.

    Raises ParseError: one bad line costs the page, as does one that does not end with `# EOF`, where it broke off; and TooMuch.
    """
    lines = data.removeprefix(b"\n").split(b"\n")
    first = 2 if data.startswith(b"\n") else 1
    if lines[-1] == b"":
        lines.pop()
    reader = _Reader(PageRoom(len(data)))
    for number, line in enumerate(lines, first):
        if line == b"# EOF":
            if number - first != len(lines) - 1:
                raise ParseError("data stand behind # EOF", number + 1)
            break
        try:
            reader.read(line.decode())
        except UnicodeDecodeError:
            raise ParseError("the line is not UTF-8", number) from None
        except ValueError as error:
            raise ParseError(str(error), number) from None
    else:
        raise ParseError("the page does not end with # EOF: it broke off, or it is not of OpenMetrics", len(lines))
    metrics: list[Metric] = []
    room = PageRoom(len(data))
    for family in reader.families:
        metrics += metrics_of(family, room, version, now, ignore_timestamp, tags or {})
    return metrics


class _Reader:
    def __init__(self, room: PageRoom) -> None:
        self._room = room
        self.families: list[Family] = []
        self._family = Family("")
        self._series: Series | None = None
        self._key: dict[str, str] | None = None
        self._labels: dict[str, list[tuple[str, str]]] = {"": []}
        """By their text: the same come again, and need not be read again."""

    def read(self, line: str) -> None:
        """Raises ValueError."""
        if line.startswith("#"):
            self._meta(line)
        else:
            self._sample(line)

    def _meta(self, line: str) -> None:
        found = _META.fullmatch(line)
        if found is None:
            raise ValueError(f"a comment must be HELP, TYPE or UNIT with a name and a text, or EOF, not {_shown(line)}")
        word, name, text = found.groups()
        if name[0] == '"':
            name = name[1:-1]
        if not name:
            raise ValueError(f"the name behind {word} is empty")
        if name != self._family.name:
            self._begin(name)
        family = self._family
        if word == "TYPE":
            kind = _KINDS.get(text)
            if kind is None:
                raise ValueError(f"unknown type of metric {_shown(text)}")
            if family.series and kind is not family.kind:
                raise ValueError(f"the TYPE of {_shown(name)} stands behind its samples")
            family.kind = kind
        elif word == "UNIT":
            if text and not name.endswith(f"_{text}"):
                raise ValueError(f"the name {_shown(name)} does not end with its unit {_shown(text)}")
            family.unit = text

    def _begin(self, name: str) -> None:
        self._room.take(0)
        self._family = Family(name)
        self.families.append(self._family)
        self._series = self._key = None

    def _sample(self, line: str) -> None:
        found = _SAMPLE.fullmatch(line)
        if found is None:
            raise ValueError(f"a sample must be a name, labels, a value and a time, not {_shown(line)}")
        name, inside, number, stamp, exemplar, exemplar_value, exemplar_time = found.groups()
        labels = self._labels_of(inside) if inside else []
        if not name:
            name = next((text for key, text in labels if not key), "")
            if not name:
                raise ValueError(f"the sample has no name: {_shown(line)}")
        elif any(not key for key, _ in labels):
            raise ValueError(f"the sample has two names: {_shown(line)}")
        value = _number(number, "value")
        time = None if stamp is None else _time(stamp) or None
        if exemplar is not None:
            if any(not key for key, _ in self._labels_of(exemplar)):
                raise ValueError("a label of the exemplar has no value")
            _number(exemplar_value, "exemplar's value")
            if exemplar_time is not None:
                _time(exemplar_time)
        family = self._family
        part = ""
        if name != family.name:
            # A name that is none of the family's begins one of its own: those without a TYPE need no other line.
            if family.kind in (Kind.UNKNOWN, Kind.GAUGE) or not name.startswith(f"{family.name}_"):
                self._begin(name)
                family = self._family
            else:
                part = name[len(family.name) :].lstrip("_")
        self._add(family, part, labels, value, time)

    def _add(self, family: Family, part: str, labels: list[tuple[str, str]], value: float, time: int | None) -> None:
        kind = family.kind
        special = family.name if kind is Kind.STATE_SET else _SPECIAL.get(kind, "")
        position = ""
        tags: dict[str, str] = {}
        for key, text in labels:
            if key == special:
                position = position or text
            elif key and key != "__name__":
                tags[key] = text
        if self._series is None or tags != self._key:
            own = {key: text for key, text in tags.items() if text} if "" in tags.values() else tags
            self._room.take(len(own))
            self._series = Series(own, [Point()])
            self._key = tags
            family.series.append(self._series)
        point = self._series.points[-1]
        if point.time != time:
            if point.given:
                self._room.take(0)
                point = Point()
                self._series.points.append(point)
            point.time = time
        point.given = True
        self._room.take(1, metrics=0)
        if kind in (Kind.UNKNOWN, Kind.GAUGE):
            point.value = value
        elif kind is Kind.COUNTER:
            if part == "total":
                point.value = value
        elif kind is Kind.STATE_SET:
            point.add_state(position, value > 0)
        elif kind is not Kind.INFO:
            _add_part(point, part, kind, value, position)

    def _labels_of(self, text: str) -> list[tuple[str, str]]:
        """Key and value of each label; a name among them has the key "". Raises ValueError."""
        known = self._labels.get(text)
        if known is not None:
            return known
        labels: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _LABELS.match(text, at)
            if found is None:
                raise ValueError(f'labels must be like a="b", with commas between them, not {_shown(text[at:])}')
            key, value, _ = found.groups()
            at = found.end()
            if value is not None:
                labels.append((key[1:-1] if key[0] == '"' else key, _unescaped(value[1:-1])))
            elif key[0] == '"' and not any(not known for known, _ in labels):
                labels.append(("", key[1:-1]))
            else:
                raise ValueError(f"the label {_shown(key)} has no value")
        if len(self._labels) >= _MOST_KNOWN:
            self._labels = {"": []}
        self._labels[text] = labels
        return labels


def _add_part(point: Point, part: str, kind: Kind, value: float, position: str) -> None:
    """Of a histogram or a summary. Raises ValueError."""
    if part in ("sum", "gsum"):
        point.sum = value
    elif part in ("count", "gcount"):
        point.count = _count(value)
    elif part == "created":
        if not math.isfinite(value) or abs(value) > 2**33:
            raise ValueError(f"the time of creation {value} is out of range")
        point.created = math.trunc(value * 1e9)
    elif kind is Kind.SUMMARY:
        point.add_part(_bound(position), value)
    elif part == "bucket":
        point.add_part(_bound(position), _count(value))


def _bound(text: str) -> float:
    number = parse_float(text)
    return math.nan if number is None else number


def _count(value: float) -> float:
    if not 0 <= value < 2**64:
        raise ValueError(f"a count must be a number from 0, not {value}")
    return float(math.trunc(value))


def _number(text: str, what: str) -> float:
    """As Go's ParseFloat reads it, without its later forms. Raises ValueError."""
    if _DECIMAL.fullmatch(text):
        number = float(text)
        if not math.isinf(number):
            return number
    elif not set("_xXpP") & set(text[:9]) and (special := parse_float(text)) is not None:
        return special
    raise ValueError(f"the {what} must be a number, not {_shown(text)}")


def _time(text: str) -> int:
    """Seconds with a fraction; in ns, without what is less than a millisecond. Raises ValueError."""
    seconds = _number(text, "time")
    if not abs(seconds * 1000) < _MOST_MS:
        raise ValueError(f"the time {_shown(text)} is out of range")
    return math.trunc(seconds * 1000) * 1_000_000


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPES[found[1]], text) if "\\" in text else text


def _shown(text: str) -> str:
    return repr(text[:_MOST_SHOWN])
