"""What Grafana does with a query of the data source InfluxDB in Flux, before it is sent and after it is answered.

The page puts in the variables; the server puts in `v.…`, sends the query, and makes frames of the answer.
"""

import csv
import json
import re
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["ALL", "Frame", "Range", "Source", "frames_of", "with_variables"]

ALL = object()
"""The choice All of a variable that has `allValue`."""


@dataclass(frozen=True)
class Range:
    """Seconds since 1970, and the window that Grafana makes of them and the width of a panel."""

    start: float
    stop: float
    window: str


@dataclass
class Frame:
    """`labels` and one value for each time, or (`is_table`) rows of a table."""

    name: str
    is_table: bool
    columns: dict[str, list[Any]]
    labels: dict[str, str] = field(default_factory=dict)


def with_variables(query: str, variables: Mapping[str, Any]) -> str:
    """As the page does it: `${name:format}`, of one value, several, or ALL, which is put in as it is."""

    def put(match: re.Match[str]) -> str:
        value = variables[match[1]]
        if value is ALL:
            return ".*"
        values = [value] if isinstance(value, str) else list(value)
        if match[2] == "regex":
            escaped = [re.sub(r"([\\^$*+?.()|\[\]{}/])", r"\\\1", one) for one in values]
            return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
        assert match[2] == "doublequote", f"no panel needs {match[0]}"
        return ",".join('"' + one.replace('"', '\\"') + '"' for one in values)

    return re.sub(r"\$\{(\w+):(\w+)\}", put, query)


@dataclass
class Source:
    """A data source as it is provisioned."""

    url: str
    token: str
    organization: str
    default_bucket: str

    def with_macros(self, query: str, time: Range) -> str:
        """As the server does it: text for text, whatever the word before the point."""
        texts = {
            "timeRangeStart": _rfc3339(time.start),
            "timeRangeStop": _rfc3339(time.stop),
            "windowPeriod": time.window,
            "bucket": json.dumps(self.default_bucket, ensure_ascii=False),
            "defaultBucket": json.dumps(self.default_bucket, ensure_ascii=False),
            "organization": json.dumps(self.organization, ensure_ascii=False),
        }
        for word, name in set(re.findall(r"([a-zA-Z]+)\.([a-zA-Z]+)", query)):
            if name in texts:
                query = query.replace(f"{word}.{name}", texts[name])
        milliseconds = _milliseconds(time.window)
        return query.replace("$__interval_ms", str(milliseconds)).replace("$__interval", time.window)

    def ask(self, query: str) -> str:
        """Annotated CSV. Raises HTTPError."""
        dialect = {"annotations": ["datatype", "group", "default"], "delimiter": ",", "header": True}
        request = urllib.request.Request(
            f"{self.url}/api/v2/query?org={self.organization}",
            json.dumps({"query": query, "type": "flux", "dialect": dialect}).encode(),
            {"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: str = answer.read().decode()
        return found

    def frames(self, query: str, time: Range, variables: Mapping[str, Any]) -> list[Frame]:
        return frames_of(self.ask(self.with_macros(with_variables(query, variables), time)))


def frames_of(text: str) -> list[Frame]:
    """A frame for each table that has `_value` and a time; the rest is one table."""
    frames: list[Frame] = []
    types: list[str] = []
    groups: list[str] = []
    defaults: list[str] = []
    header: list[str] = []
    last = None
    for row in csv.reader(text.splitlines()):
        if not row or row == [""]:
            header = []
        elif row[0] == "#datatype":
            types, header = row, []
        elif row[0] == "#group":
            groups, header = row, []
        elif row[0] == "#default":
            defaults, header = row, []
        elif not header:
            header, last = row, None
            assert len(header) == len(types) == len(groups), "Grafana's client wants as many types as columns"
            assert header[1] != "error", row
        else:
            values = [cell or default for cell, default in zip(row, defaults, strict=True)]
            record = dict(zip(header[1:], values[1:], strict=True))
            kinds = dict(zip(header[1:], types[1:], strict=True))
            last = _add(frames, record, kinds, last)
    return frames


def _add(frames: list[Frame], record: dict[str, str], kinds: dict[str, str], last: str | None) -> str | None:
    times = [name for name, kind in kinds.items() if kind.startswith("dateTime")]
    typed = {name: _typed(value, kinds[name]) for name, value in record.items()}
    if "_value" not in record or not times:
        if last != "a table":
            frames.append(Frame("", True, {name: [] for name in record if name not in ("result", "table")}))
        for name, column in frames[-1].columns.items():
            column.append(typed[name])
        return "a table"
    if record["table"] != last:
        labels = {
            name: value
            for name, value in record.items()
            if kinds[name] == "string" and not name.startswith("_") and name not in ("result", "table")
        }
        name = record.get("_field", "_value")
        frames.append(Frame(record.get("_measurement", ""), False, {"_time": [], name: []}, labels))
    assert record["_time"], "Grafana refuses a row without a time"
    time, values = frames[-1].columns.values()
    time.append(typed["_time"])
    values.append(typed["_value"])
    return record["table"]


def _typed(value: str, kind: str) -> Any:
    if kind in ("double", "long", "unsignedLong"):
        return None if value == "" else float(value) if kind == "double" else int(value)
    if kind == "boolean":
        return value == "true"
    return value


def series_labels(frames: Sequence[Frame], name: str) -> set[str]:
    return {frame.labels.get(name, "") for frame in frames}


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _milliseconds(duration: str) -> int:
    units = {"h": 3_600_000, "m": 60_000, "s": 1000}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))
