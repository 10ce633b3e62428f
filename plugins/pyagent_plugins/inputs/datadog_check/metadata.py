"""Datadog's metadata.csv: what the metrics of a check are, with their units. Measurements with charts are made of it.

Its columns: https://docs.datadoghq.com/developers/integrations/check_references/#metrics-metadata-file
"""

import csv
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from pyagent.api import Chart, Field, Measurement, PyagentError
from pyagent.api.files import read_file

__all__ = ["file_beside", "read_metadata"]

NAME = "metadata.csv"
_LARGEST, _MOST_ROWS, _LONGEST = 8 << 20, 20_000, 300
_TOGETHER = 6
"""Fields of one chart, at most."""
_TYPES = ("gauge", "count", "rate", "distribution")
_AGGREGATE = re.compile(r"max|min|median|avg|sum|count|\d{1,2}percentile")
_UNITS = {
    "byte": "bytes",
    "bit": "bits",
    "kibibyte": "KiB",
    "mebibyte": "MiB",
    "gibibyte": "GiB",
    "percent": "%",
    "fraction": "fraction",
    "nanosecond": "ns",
    "microsecond": "us",
    "millisecond": "ms",
    "second": "s",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "hertz": "Hz",
    "volt": "V",
    "ampere": "A",
    "watt": "W",
    "degree celsius": "C",
    "request": "requests",
    "packet": "packets",
}
"""Others are counts of something, which the text names."""
Place = Callable[[str], tuple[str, str]]


def file_beside(module: str) -> str:
    """The file that belongs to a check: beside its file, or in the folder of its integration, as in Datadog's repository. Empty
    where there is none."""
    folder = os.path.dirname(module)
    above = (
        os.path.dirname(os.path.dirname(folder))
        if os.path.basename(os.path.dirname(folder)) == "datadog_checks"
        else ""
    )
    return next((path for one in (folder, above) if one and os.path.isfile(path := os.path.join(one, NAME))), "")


def read_metadata(path: str, place: Place) -> list[Measurement]:
    """`place`: measurement and field of a metric. Raises PyagentError for what is no such file, with the line."""
    try:
        data = read_file(path)
    except OSError as error:
        raise PyagentError(f"cannot read {path}: {error.strerror or error}; see `metadata`") from None
    if len(data) > _LARGEST:
        raise PyagentError(f"cannot read {path}: it has more than {_LARGEST >> 20} MiB")
    rows = {row["metric_name"]: row for row in _rows(path, data.decode("utf-8-sig", "replace"))}
    found: dict[str, dict[str, Field]] = {}
    for name, row in rows.items():
        stem, _, last = name.rpartition(".")
        if stem and _AGGREGATE.fullmatch(last) and _is_histogram(stem, rows):
            measurement, field = place(stem)
            field = f"{field}_{last}"
        else:
            measurement, field = place(name)
        found.setdefault(measurement, {})[field] = _field(row)
    return [
        Measurement(name, "", fields=fields, group=name, open=True, charts=tuple(_charts(name, fields)))
        for name, fields in sorted(found.items())
    ]


def _rows(path: str, text: str) -> Iterator[Mapping[str, str]]:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True, restval="")
    try:
        lacking = [
            name for name in ("metric_name", "metric_type", "unit_name") if name not in (reader.fieldnames or ())
        ]
        if lacking:
            raise PyagentError(
                f"cannot read {path}:1: it is no metadata.csv of Datadog: there is no column {lacking[0]}"
            )
        for count, row in enumerate(reader):
            where = f"cannot read {path}:{reader.line_num}:"
            if count == _MOST_ROWS:
                raise PyagentError(f"{where} there are more than {_MOST_ROWS:,} metrics")
            if None in row:
                raise PyagentError(
                    f"{where} it has more values than there are columns; put those with a comma in quotes"
                )
            if not row["metric_name"]:
                raise PyagentError(f"{where} it has no metric_name")
            if row["metric_type"] not in _TYPES:
                raise PyagentError(
                    f"{where} the metric_type is {row['metric_type'][:20]!r}; use one of {', '.join(_TYPES)}"
                )
            yield row
    except csv.Error as error:
        raise PyagentError(f"cannot read {path}:{reader.reader.line_num}: {error}") from None


def _is_histogram(stem: str, rows: Mapping[str, object]) -> bool:
    """A metric may be called `x.count` without being one: those that the Agent makes come together."""
    return f"{stem}.avg" in rows and (f"{stem}.max" in rows or f"{stem}.95percentile" in rows)


def _field(row: Mapping[str, str]) -> Field:
    name, per = row["unit_name"].strip(), row.get("per_unit_name", "").strip()
    unit = _UNITS.get(name, "1")
    if per and (unit == "1" or per != "second"):
        unit = f"{name or '1'}/{per}" if per != "second" else "1/s"
    elif per:
        unit = f"{unit}/s"
    what = f"{name} per {per}" if per else name
    text = row.get("description", "").strip()[:_LONGEST]
    if what and unit in ("1", "1/s"):
        text = f"{text} ({what})".strip()
    return Field("float", unit, text, label=row.get("short_name", "").strip()[:_LONGEST])


def _charts(measurement: str, fields: Mapping[str, Field]) -> Iterator[Chart]:
    """Those of one unit together, a few at a time."""
    units: dict[str, list[str]] = {}
    for name, field in fields.items():
        units.setdefault(field.unit, []).append(name)
    subject = re.sub(r"[._]+", " ", measurement)
    for unit, names in units.items():
        parts: Sequence[list[str]] = [names[at : at + _TOGETHER] for at in range(0, len(names), _TOGETHER)]
        for number, part in enumerate(parts, 1):
            what = "" if unit == "1" else unit
            if len(names) == 1:
                what = fields[names[0]].label or names[0].replace("_", " ")
            title = f"{subject}: {what}" if what else subject
            yield Chart(f"{title} ({number})" if len(parts) > 1 else title, tuple(part))
