"""The text of a query: where it is, and the variables of dashboards that it may use."""

import argparse
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pyagent.api import PyagentError
from pyagent.cli.terminal import harmless

__all__ = ["QueryError", "dashboard_variables", "query_text"]

DEFAULT_RANGE = "-1h"
_WINDOWS = 360
"""Into as many windows InfluxDB's pages cut a range."""
_MOST_BYTES = 1 << 24
_USES = re.compile(r"""\bv\s*(?:\.\s*|\[\s*")(?:timeRangeStart|timeRangeStop|windowPeriod)\b""")
_DEFINES = re.compile(r"^[ \t]*(?:option[ \t]+)?v[ \t]*=(?![=~>])", re.MULTILINE)
_DURATION = re.compile(r"-?((?:[0-9]{1,15}(?:ns|us|µs|ms|mo|[smhdwy]))+)")
_PART = re.compile(r"([0-9]+)([a-zµ]+)")
_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
    "mo": 2629800.0, "y": 31557600.0,
}  # fmt: skip
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Tree = dict[str, Any]


class QueryError(PyagentError):
    """A query cannot be run as it is given. One line."""


def query_text(arguments: argparse.Namespace) -> str:
    """The Flux that is given: as an argument, in --file, or on standard input. Raises QueryError."""
    if arguments.file and arguments.query:
        raise QueryError("cannot run two queries at once: give the text or --file")
    source = arguments.file or ("-" if arguments.query in (None, "-") else "")
    if not source:
        text = str(arguments.query)
    elif source != "-":
        text = _read(source)
    elif sys.stdin is None or (arguments.query is None and not arguments.file and sys.stdin.isatty()):
        raise QueryError("no query is given; write pyagent query 'FLUX', --file FILE, or - for standard input")
    elif "-" in (arguments.token_file, arguments.password_file):
        raise QueryError(
            "cannot read both a secret and the query from standard input; set INFLUX_TOKEN or INFLUX_PASSWORD"
        )
    else:
        text = _decoded(sys.stdin.buffer.read(_MOST_BYTES + 1), "standard input")
    if not text.strip():
        raise QueryError("cannot run an empty query; write pyagent query 'FLUX', --file FILE, or - for standard input")
    return text


def dashboard_variables(text: str, given: str) -> Tree | None:
    """`v` with timeRangeStart, timeRangeStop and windowPeriod, as InfluxDB's pages send it beside the text; None where the
    text has its own, or uses none of them. `given`: --range. Raises QueryError."""
    defined = _DEFINES.search(text) is not None
    if given and (defined or not _USES.search(text)):
        what = "defines v itself" if defined else "does not use v.timeRangeStart"
        raise QueryError(f"cannot use --range: the query {what}; leave the flag out, or write range(start: {given})")
    if defined or not _USES.search(text):
        return None
    first, comma, last = (given or DEFAULT_RANGE).partition(",")
    start, stop = _moment(first, given), _moment(last if comma else "now()", given)
    length = stop.seconds - start.seconds
    if length <= 0:
        raise QueryError(f"cannot use --range {harmless(given)!r}: it ends before it begins")
    period = max(1, round(length * 1000 / _WINDOWS))
    window = {"type": "DurationLiteral", "values": [{"magnitude": period, "unit": "ms"}]}
    return _option("v", {"timeRangeStart": start.tree, "timeRangeStop": stop.tree, "windowPeriod": window})


class _Moment(NamedTuple):
    tree: Tree
    seconds: float
    """From now on; negative in the past."""


def _moment(text: str, given: str) -> _Moment:
    text = text.strip()
    if text in ("now()", "now"):
        return _Moment(
            {"type": "CallExpression", "callee": {"type": "Identifier", "name": "now"}, "arguments": []}, 0.0
        )
    if match := _DURATION.fullmatch(text):
        parts = [(int(number), unit) for number, unit in _PART.findall(match[1])]
        literal = {
            "type": "DurationLiteral",
            "values": [{"magnitude": number, "unit": unit} for number, unit in parts],
        }
        # `1h` means the last hour as well: nobody asks for the next one.
        return _Moment(
            {"type": "UnaryExpression", "operator": "-", "argument": literal},
            -sum(number * _SECONDS[unit] for number, unit in parts),
        )
    try:
        when = datetime.fromisoformat(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
        if when.tzinfo is None:
            raise ValueError
        utc = when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise QueryError(
            f"cannot use --range {harmless(given)!r}: write one like -1h, -7d, or START,STOP in RFC 3339 "
            "(2026-01-31T08:00:00Z,2026-01-31T09:00:00Z)"
        ) from None
    literal = {"type": "DateTimeLiteral", "value": utc.isoformat().replace("+00:00", "Z")}
    return _Moment(literal, (utc - datetime.now(UTC)).total_seconds())


def _option(name: str, values: Mapping[str, Tree]) -> Tree:
    """A file of one statement: `option name = {...}`."""
    properties = [
        {"type": "Property", "key": {"type": "Identifier", "name": key}, "value": value}
        for key, value in values.items()
    ]
    record = {"type": "ObjectExpression", "properties": properties}
    assignment = {"type": "VariableAssignment", "id": {"type": "Identifier", "name": name}, "init": record}
    statement = {"type": "OptionStatement", "assignment": assignment}
    return {"type": "File", "package": None, "imports": None, "body": [statement]}


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return _decoded(file.read(_MOST_BYTES + 1), path)
    except OSError as error:
        raise QueryError(f"cannot read the query in {path}: {(error.strerror or str(error)).lower()}") from None


def _decoded(data: bytes, where: str) -> str:
    if len(data) > _MOST_BYTES:
        raise QueryError(f"cannot read the query in {where}: it has more than {_MOST_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise QueryError(f"cannot read the query in {where}: line {line} is not UTF-8") from None
