"""One entry of the journal, as `journalctl -o json` prints it, and the metric that is made of it."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from pyagent.api import FieldValue, Metric

__all__ = ["FACILITIES", "SEVERITIES", "Entry", "Maker", "read_entry"]

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console", "solaris-cron"),
    *(f"local{number}" for number in range(8)),
)
_NEEDED = (
    *("MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "UNIT", "_COMM"),
    *("_HOSTNAME", "_PID", "_SOURCE_REALTIME_TIMESTAMP", "_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT", "_UID"),
)
_MOST_TIME = 9_223_372_036_854_775
"""Microseconds whose nanoseconds still fit 64 bits."""
_PER_MICROSECOND = 1000


class Entry:
    """Fields as texts: bytes that are not UTF-8 stay as they are, one that stands there several times has a line for each."""

    __slots__ = ("cursor", "fields", "time")

    def __init__(self, cursor: str, time: int, fields: Mapping[str, Any]) -> None:
        self.cursor = cursor
        self.time = time
        """Microseconds since 1970, of the journal's clock."""
        self.fields = fields

    def all(self, name: str) -> list[str]:
        """Its values; none where it is not there, or was left out as too large."""
        value = self.fields.get(name)
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            return []
        if value and isinstance(value[0], int):
            return [_text(value)]
        return [one if isinstance(one, str) else _text(one) for one in value if one is not None]

    def text(self, name: str) -> str | None:
        values = self.all(name)
        return "\n".join(values) if values else None

    def first(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def number(self, name: str) -> int | None:
        text = self.first(name)
        return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 19 else None


def _text(value: list[int]) -> str:
    return bytes(value).decode("utf-8", "surrogateescape")


def read_entry(line: bytes) -> Entry:
    """Raises ValueError."""
    found = msgspec.json.decode(line)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    cursor, time = found.get("__CURSOR"), found.get("__REALTIME_TIMESTAMP")
    if not isinstance(cursor, str) or not cursor:
        raise ValueError("it has no __CURSOR")
    if not isinstance(time, str) or not time.isascii() or not time.isdecimal() or not 0 < int(time[:20]) < _MOST_TIME:
        raise ValueError("its __REALTIME_TIMESTAMP is no time")
    return Entry(cursor, int(time), found)


class Maker:
    """Metrics of entries. `tags`, `fields`: further fields of the journal to keep, `*` and `?` stand for any characters;
    `include_units`: the only units, none: all; `exclude_units`, `exclude_matches`: entries to leave out."""

    def __init__(
        self,
        tags: Iterable[str],
        fields: Iterable[str],
        include_units: Iterable[str],
        exclude_units: Iterable[str],
        exclude_matches: Mapping[str, Iterable[str]],
    ) -> None:
        self._tags, self._fields = list(tags), list(fields)
        self._include_units, self._exclude_units = list(include_units), list(exclude_units)
        self._exclude_matches = {name: frozenset(values) for name, values in exclude_matches.items()}
        self._picked: dict[str, tuple[str, str]] = {}
        """Of fields that were met: whether they are a tag, a field or nothing, and their key."""

    def needed(self) -> list[str] | None:
        """The fields to ask for; None: all of them."""
        extra = [*self._tags, *self._fields]
        if any("*" in one or "?" in one for one in extra):
            return None
        return sorted({*_NEEDED, *extra, *self._exclude_matches})

    def metric(self, entry: Entry) -> Metric | None:
        """None: it is left out."""
        get, number = entry.first, entry.number
        unit = get("UNIT") if get("_PID") == "1" and "UNIT" in entry.fields else get("_SYSTEMD_UNIT")
        user_unit = get("_SYSTEMD_USER_UNIT")
        if self._is_excluded(entry, (unit, user_unit)):
            return None
        severity, severity_code = _named(SEVERITIES, number("PRIORITY"))
        facility, facility_code = _named(FACILITIES, number("SYSLOG_FACILITY"))
        tags = {
            "appname": get("SYSLOG_IDENTIFIER") or get("_COMM"),
            "facility": facility,
            "hostname": get("_HOSTNAME"),
            "severity": severity,
            "unit": unit,
            "user_unit": user_unit,
        }
        source = number("_SOURCE_REALTIME_TIMESTAMP")
        values: dict[str, FieldValue | None] = {
            "message": entry.text("MESSAGE"),
            "msgid": get("MESSAGE_ID"),
            "severity_code": severity_code,
            "facility_code": facility_code,
            "procid": get("SYSLOG_PID") or get("_PID"),
            "pid": number("_PID"),
            "uid": number("_UID"),
            "timestamp": (source if source is not None and source < _MOST_TIME else entry.time) * _PER_MICROSECOND,
        }
        if self._tags or self._fields:
            self._add_others(entry, tags, values)
        return Metric(
            "journald",
            {key: value for key, value in tags.items() if value},
            {key: value for key, value in values.items() if value is not None},
            entry.time * _PER_MICROSECOND + _place(entry.cursor),
        )

    def _is_excluded(self, entry: Entry, units: tuple[str | None, ...]) -> bool:
        if _matches(units, self._exclude_units) or (self._include_units and not _matches(units, self._include_units)):
            return True
        return any(not values.isdisjoint(entry.all(name)) for name, values in self._exclude_matches.items())

    def _add_others(self, entry: Entry, tags: dict[str, str | None], values: dict[str, Any]) -> None:
        for name in entry.fields:
            kind, key = self._picked.get(name) or self._pick(name)
            if kind == "tag":
                tags.setdefault(key, entry.first(name))
            elif kind == "field" and key not in tags:
                values.setdefault(key, entry.text(name))

    def _pick(self, name: str) -> tuple[str, str]:
        kind = ""
        if not name.startswith("__"):
            if any(fnmatchcase(name, one) for one in self._tags):
                kind = "tag"
            elif any(fnmatchcase(name, one) for one in self._fields):
                kind = "field"
        picked = kind, name.lstrip("_").lower()
        if len(self._picked) < 10_000:
            self._picked[name] = picked
        return picked


def _named(names: Sequence[str], code: int | None) -> tuple[str | None, int | None]:
    return (names[code], code) if code is not None and code < len(names) else (None, None)


def _matches(units: Iterable[str | None], patterns: Iterable[str]) -> bool:
    return any(unit is not None and fnmatchcase(unit, pattern) for pattern in patterns for unit in units)


def _place(cursor: str) -> int:
    """The last three digits of the entry's number in the journal: entries of the same microsecond are points of their own
    then, and the same ones when they are read again."""
    text = cursor.partition("i=")[2].partition(";")[0]
    try:
        return int(text[-16:], 16) % _PER_MICROSECOND
    except ValueError:
        return 0
