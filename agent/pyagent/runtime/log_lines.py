"""How a log line looks (reference: telegraf 1.2, 8): text, or one JSON object a line. Secrets are masked in both."""

import json
import logging
from datetime import UTC, datetime, tzinfo

from pyagent.api import redact
from pyagent.api.foreign import plain_text
from pyagent.plugin_kinds import KINDS
from pyagent.runtime.colours import coloured

__all__ = ["ROOT", "StructuredLines", "TextLines", "log_zone", "logger_name", "message_text"]

ROOT = "pyagent"
_DOT = "\x1f"
"""A dot of an alias, in the name of a logger."""
_MOST_NAME = 300
_MOST_BEGINNING, _MOST_END = 8_000, 4_000
"""Characters of a component's name, and of a message: names and texts of others are in it, and may be of any length. Of a
traceback the end says most."""
_COLOURS = {"E": "red", "W": "yellow", "D": "dim", "T": "dim"}


def log_zone(name: str) -> tzinfo | None:
    """The time zone that `log_with_timezone` names: UTC where it names none, None for the host's own.

    Raises KeyError, ValueError or OSError for a name that is not known.
    """
    if not name:
        return UTC
    if name.lower() == "local":
        return None
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


class TextLines(logging.Formatter):
    """`2026-01-02T03:04:05Z E! [inputs.mem] message`; for the journal, which has its own times, `<3>[inputs.mem] message`.

    `colours`: errors are red, warnings yellow, for people at a terminal.
    """

    def __init__(self, zone: tzinfo | None = UTC, *, journal: bool = False, colours: bool = False) -> None:
        super().__init__()
        self._zone = zone
        self._journal = journal
        self._colours = _COLOURS if colours else {}

    def format(self, record: logging.LogRecord) -> str:
        text = f"[{_component(record)}] {_bounded(redact(message_text(self, record)))}"
        letter, priority, _ = _level(record.levelno)
        if self._journal:
            # A message of several lines needs the priority on each.
            return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
        text = f"{letter}! {text}"
        if colour := self._colours.get(letter):
            text = coloured(text, colour)
        return f"{_time(record, self._zone, 'seconds')} {text}"


class StructuredLines(logging.Formatter):
    """`{"time":"2026-01-02T03:04:05.678Z","level":"ERROR","msg":"message","category":"inputs","plugin":"mem"}`.

    A plugin's alias is a key, too. What is not a plugin's has its component in the message: `"msg":"[agent] stopping"`.
    """

    def __init__(self, zone: tzinfo | None = UTC, *, key: str = "msg", journal: bool = False) -> None:
        super().__init__()
        self._zone = zone
        self._key = key
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        component = _component(record)
        kind, _, plugin = component.partition(".")
        _, priority, level = _level(record.levelno)
        message, names = _bounded(redact(message_text(self, record))), {}
        if kind in KINDS and plugin:
            name, _, alias = plugin.partition("::")
            names = {"category": kind, "plugin": name} | ({"alias": redact(alias)} if alias else {})
        else:
            message = f"[{component}] {message}"
        line = {"time": _time(record, self._zone, "microseconds"), "level": level, self._key: message} | names
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        return f"<{priority}>{text}" if self._journal else text


def logger_name(component: str) -> str:
    """That of a component's logger. An alias may hold dots, and must not be the child of another one: `logging` would give it
    that one's level, and keeps an object for each part of a name."""
    label, mark, alias = component.partition("::")
    return f"{ROOT}.{label}{mark}{alias.replace('.', _DOT)}"


def _component(record: logging.LogRecord) -> str:
    if record.name == ROOT:
        return "agent"
    name = record.name.removeprefix(f"{ROOT}.").replace(_DOT, ".")
    return name if len(name) <= _MOST_NAME else f"{redact(name)[:_MOST_NAME]}..."


def _bounded(text: str) -> str:
    """Called when secrets are masked: half of one would not be found."""
    left_out = len(text) - _MOST_BEGINNING - _MOST_END
    if left_out <= 0:
        return text
    return f"{text[:_MOST_BEGINNING]} ... ({left_out:,} characters) ... {text[-_MOST_END:]}"


def message_text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The message, and the traceback where there is one."""
    try:
        text = plain_text(record.getMessage())
    except Exception:
        # A plugin's mistake, such as a %d for text: the line is worth more than its form.
        text = f"{record.msg} {_shown(record.args)}"
    return f"{text}\n{formatter.formatException(record.exc_info)}" if record.exc_info else text


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return "(arguments that cannot be shown)"


def _time(record: logging.LogRecord, zone: tzinfo | None, unit: str) -> str:
    text = datetime.fromtimestamp(record.created, UTC).astimezone(zone).isoformat(timespec=unit)
    moment, offset = text[:-6], text[-6:]
    if unit == "microseconds":
        moment = moment.rstrip("0").rstrip(".")
    return moment + ("Z" if offset == "+00:00" else offset)


def _level(level: int) -> tuple[str, int, str]:
    """Letter, the journal's priority, and name."""
    if level >= logging.ERROR:
        return "E", 3, "ERROR"
    if level >= logging.WARNING:
        return "W", 4, "WARN"
    if level >= logging.INFO:
        return "I", 6, "INFO"
    return ("D", 7, "DEBUG") if level >= logging.DEBUG else ("T", 7, "TRACE")
