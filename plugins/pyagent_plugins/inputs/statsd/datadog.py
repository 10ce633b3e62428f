"""Datadog's events and service checks."""

import re

from pyagent.api import FieldValue, Metric
from pyagent_plugins.inputs.statsd.lines import read_tags

__all__ = ["is_event", "read_event"]

_HEAD = re.compile(r"_e.([0-9]{1,9}),([0-9]{1,9}).:", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_ALERTS = ("info", "warning", "error", "success")
_STATUSES = ("ok", "warning", "critical", "unknown")


def is_event(line: bytes) -> bool:
    return line.startswith((b"_e", b"_sc|"))


def read_event(line: str, host: str, now: int) -> Metric:
    """`host`: who sends, the tag `source` where the line names none. `now`: ns. Raises ValueError."""
    tags = {"source": host} if host else {}
    metric = _check(line, tags, now) if line.startswith("_sc|") else _event(line, tags, now)
    if "host" in tags:
        tags["source"] = tags.pop("host")
    return metric


def _event(line: str, tags: dict[str, str], now: int) -> Metric:
    head = _HEAD.match(line)
    if head is None:
        raise ValueError("an event begins with _e{LENGTH OF TITLE,LENGTH OF TEXT}:")
    title_end = int(head[1])
    text_end = title_end + 1 + int(head[2])
    # Lengths count bytes.
    body = line[head.end() :].encode("utf-8", "surrogateescape")
    if text_end > len(body):
        raise ValueError("an event is shorter than its lengths say")
    title, text = (part.decode("utf-8", "replace") for part in (body[:title_end], body[title_end + 1 : text_end]))
    if not title or not text:
        raise ValueError("an event has no title or no text")
    found: dict[str, FieldValue] = {"alert_type": "info", "text": text.replace("\\n", "\n"), "priority": "normal"}
    rest = body[text_end:].decode("utf-8", "replace")
    for item in rest[1:].split("|") if len(rest) > 1 else ():
        if len(item) < 2:
            raise ValueError("a part of an event is too short")
        kind, value = item[:2], item[2:]
        if kind == "d:":
            if _INTEGER.fullmatch(value):
                found["ts"] = int(value)
        elif kind == "p:":
            if value == "low":
                found["priority"] = value
        elif kind == "h:":
            tags["source"] = value
        elif kind == "t:":
            if value in _ALERTS:
                found["alert_type"] = value
        elif kind == "k:":
            tags["aggregation_key"] = value
        elif kind == "s:":
            found["source_type_name"] = value
        elif item.startswith("#"):
            read_tags(item[1:], tags)
        else:
            raise ValueError(f"an event has an unknown part {item[:20]!r}")
    return Metric(title, tags, found, now)


def _check(line: str, tags: dict[str, str], now: int) -> Metric:
    _, *parts = line.split("|")
    if len(parts) < 2 or not parts[0]:
        raise ValueError("a service check is _sc|NAME|STATUS")
    if not _INTEGER.fullmatch(parts[1]) or not 0 <= (status := int(parts[1])) < len(_STATUSES):
        raise ValueError(f"a service check has a status from 0 to 3, not {parts[1][:20]!r}")
    tags["check_name"] = parts[0]
    found: dict[str, FieldValue] = {"status": status, "status_text": _STATUSES[status]}
    for item in parts[2:]:
        kind, value = item[:2], item[2:]
        if kind == "d:":
            if _INTEGER.fullmatch(value) and abs(int(value)) < 9_000_000_000:
                now = int(value) * 10**9
        elif kind == "h:":
            tags["source"] = value
        elif kind == "m:":
            found["message"] = value.replace("\\n", "\n")
        elif item.startswith("#"):
            read_tags(item[1:], tags)
    return Metric("statsd_service_check", tags, found, now)
