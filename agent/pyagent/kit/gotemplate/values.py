"""Values as Go's templates see them: what is true, how they compare, how they are written, and the names they have inside."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pyagent.api.metric import Metric, Uint
from pyagent.kit.exposition import go_float
from pyagent.kit.layouts import TimeLayout

__all__ = [
    "MEMBERS",
    "METRIC_MEMBERS",
    "Member",
    "Named",
    "Pair",
    "TemplateError",
    "Texts",
    "Time",
    "compared",
    "equal",
    "quoted",
    "shown",
    "truth",
    "type_name",
]


class TemplateError(ValueError):
    """What a template does with this value cannot be done."""


class Named(int):
    """A number that is written as a word, such as a month."""

    word: str

    def __new__(cls, number: int, word: str) -> "Named":
        made = super().__new__(cls, number)
        made.word = word
        return made


class Texts(dict[str, str]):
    """Tags: what is missing is an empty text where it is asked for by `index`."""


class Pair:
    """An element of `.TagList` and `.FieldList`."""

    def __init__(self, key: str, value: Any) -> None:
        self.key, self.value = key, value


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905


class Time:
    """A time in UTC, ns since the epoch."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns

    @property
    def at(self) -> datetime:
        try:
            return _EPOCH + timedelta(seconds=self.ns // 1_000_000_000)
        except OverflowError:
            raise TemplateError("the time is out of range") from None

    def format(self, layout: str) -> str:
        return TimeLayout(layout).format(self.ns)

    def __str__(self) -> str:
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.ns == other.ns

    def __hash__(self) -> int:
        return hash(self.ns)

    def moved(self, years: int, months: int, days: int) -> "Time":
        at = self.at
        year, month = divmod(at.year * 12 + at.month - 1 + years * 12 + months, 12)
        try:
            first = at.replace(year=year, month=month + 1, day=1)
            return Time(self.ns + int((first + timedelta(days=at.day - 1 + days) - at).total_seconds()) * 1_000_000_000)
        except (OverflowError, ValueError):
            raise TemplateError("the time is out of range") from None


Member = tuple[str, Callable[..., Any]]
"""The kinds of the arguments, a letter for each (`s`: text, `i`: integer, `t`: time), and what it does."""

METRIC_MEMBERS: Mapping[str, Member] = {
    "Name": ("", lambda metric: metric.name),
    "Tag": ("s", lambda metric, key: metric.tags.get(key, "")),
    "Tags": ("", lambda metric: Texts(metric.tags)),
    "TagList": ("", lambda metric: [Pair(key, metric.tags[key]) for key in sorted(metric.tags)]),
    "HasTag": ("s", lambda metric, key: key in metric.tags),
    "Field": ("s", lambda metric, key: metric.fields.get(key)),
    "Fields": ("", lambda metric: dict(metric.fields)),
    "FieldList": ("", lambda metric: [Pair(key, value) for key, value in metric.fields.items()]),
    "HasField": ("s", lambda metric, key: key in metric.fields),
    "Time": ("", lambda metric: Time(metric.time)),
    "String": ("", lambda metric: shown(metric)),
}
_TIME: Mapping[str, Member] = {
    "Unix": ("", lambda time: time.ns // 1_000_000_000),
    "UnixMilli": ("", lambda time: time.ns // 1_000_000),
    "UnixMicro": ("", lambda time: time.ns // 1000),
    "UnixNano": ("", lambda time: time.ns),
    "UTC": ("", lambda time: time),
    "Format": ("s", lambda time, layout: time.format(layout)),
    "Year": ("", lambda time: time.at.year),
    "Month": ("", lambda time: Named(time.at.month, _MONTHS[time.at.month - 1])),
    "Day": ("", lambda time: time.at.day),
    "Hour": ("", lambda time: time.at.hour),
    "Minute": ("", lambda time: time.at.minute),
    "Second": ("", lambda time: time.at.second),
    "Nanosecond": ("", lambda time: time.ns % 1_000_000_000),
    "Weekday": ("", lambda time: Named(time.at.isoweekday() % 7, _DAYS[time.at.weekday()])),
    "YearDay": ("", lambda time: time.at.timetuple().tm_yday),
    "AddDate": ("iii", lambda time, *parts: time.moved(*parts)),
    "Before": ("t", lambda time, other: time.ns < other.ns),
    "After": ("t", lambda time, other: time.ns > other.ns),
    "Equal": ("t", lambda time, other: time.ns == other.ns),
    "String": ("", str),
}
_PAIR: Mapping[str, Member] = {"Key": ("", lambda pair: pair.key), "Value": ("", lambda pair: pair.value)}
_NAMED: Mapping[str, Member] = {"String": ("", lambda named: named.word)}
MEMBERS: Mapping[type, Mapping[str, Member]] = {Metric: METRIC_MEMBERS, Time: _TIME, Pair: _PAIR, Named: _NAMED}
"""What values have inside, by their type."""

_TYPES = {
    bool: "bool",
    int: "int64",
    Uint: "uint64",
    float: "float64",
    str: "string",
    Texts: "map[string]string",
    dict: "map[string]interface {}",
    list: "[]interface {}",
    Metric: "telegraf.Metric",
    Time: "time.Time",
    type(None): "nil",
}


def type_name(value: Any) -> str:
    """As Go calls it."""
    return _TYPES.get(type(value), type(value).__name__)


def truth(value: Any) -> bool:
    """Of numbers: not 0; of texts, lists and maps: not empty."""
    return value is not None and (bool(value) if isinstance(value, bool | int | float | str | list | dict) else True)


def shown(value: Any) -> str:
    """As Go's `%v` writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Named):
        return value.word
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return go_float(value)
    if value is None:
        return "<nil>"
    if isinstance(value, list):
        return f"[{' '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join([f'{key}:{shown(value[key])}' for key in sorted(value)])}]"
    if isinstance(value, Metric):
        return f"{value.name} {shown(dict(value.tags))} {shown(dict(value.fields))} {value.time}"
    if isinstance(value, Pair):
        return f"{{{shown(value.key)} {shown(value.value)}}}"
    return str(value)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return next((name for kind, name in ((int, "int"), (float, "float"), (str, "text")) if isinstance(value, kind)), "")


def equal(one: Any, other: Any) -> bool:
    """Raises TemplateError for values of kinds that do not compare, as an integer and a float."""
    if one is None or other is None:
        return one is other
    if isinstance(one, Time) and isinstance(other, Time):
        return one == other
    kind = _kind(one)
    if not kind or kind != _kind(other):
        raise TemplateError(f"cannot compare a {type_name(one)} with a {type_name(other)}")
    return bool(one == other)


def compared(one: Any, other: Any) -> int:
    """-1, 0 or 1. Raises TemplateError for what has no order."""
    kind = _kind(one)
    if kind in ("", "bool") or kind != _kind(other):
        raise TemplateError(f"cannot order a {type_name(one)} and a {type_name(other)}")
    return int(one > other) - int(one < other)


def quoted(text: str) -> str:
    """As Go's `%q` writes it, but for what is no letter of a language."""
    return json.dumps(text, ensure_ascii=False)
