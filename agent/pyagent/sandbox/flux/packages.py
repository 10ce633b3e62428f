"""What a script may import, by path."""

import math
import re
from collections.abc import Callable
from typing import Any

from pyagent.sandbox import annotated
from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, text_list, to_time
from pyagent.sandbox.flux.reshape import pivot
from pyagent.sandbox.flux.source import Selection, Source
from pyagent.sandbox.flux.syntax import compile_regex
from pyagent.sandbox.flux.tables import FLUX_NAMES, STRING, TIME, Row, Stream, Table, from_rows
from pyagent.sandbox.flux.universe import filter_
from pyagent.sandbox.flux.values import NANOSECONDS, Callee, Duration, Time, Uint
from pyagent.sandbox.flux.windows import windows
from pyagent.sandbox.points import BOOLEAN, FLOAT, INTEGER, UNSIGNED, Field, Point, make_key
from pyagent.sandbox.points import STRING as STRING_VALUE
from pyagent.sandbox.times import civil, days_of

SCHEMA: Registry = {}
CSV: Registry = {}
TO: Registry = {}
STRINGS: Registry = {}
MATH: Registry = {}
DATE: Registry = {}
REGEXP: Registry = {}
ARRAY: Registry = {}
SYSTEM: Registry = {}

_START = Duration(0, -30 * 86400 * 10**9)


def _selected(context: Context, bucket: str, predicate: Callee | None, start: Any, stop: Any) -> Source:
    first = to_time(context, start, "schema: start")
    last = context.now if stop is None else to_time(context, stop, "schema: stop")
    source = Source(context.reader, Selection(bucket, "", first, max(first, last)))
    if predicate is None:
        return source
    found: Source = filter_(context, source, predicate)
    return found


def _labels(source: Source) -> list[Row]:
    """Measurement, field and tags of every series that has a point in the range."""
    if source.selection.of_rows:
        return [
            {name: value for name, value in table.key.items() if name not in ("_start", "_stop")}
            for table in source.tables
        ]
    return [row for _, row, _ in source.rows("1", "LIMIT 1")]


def _one_column(values: list[str]) -> Stream:
    return Stream([Table({}, {"_value": STRING}, {"_value": values})] if values else [])


def _equals(measurement: str) -> Callee:
    return Callee("predicate", {"r": True}, None, lambda given: given["r"].get("_measurement") == measurement)


@builtin(SCHEMA, "tagValues", pipe=None)
def tag_values(
    context: Context, bucket: str, tag: str, predicate: Callee | None = None, start: Any = _START, stop: Any = None
) -> Stream:
    found = {row[tag] for row in _labels(_selected(context, bucket, predicate, start, stop)) if tag in row}
    return _one_column(sorted(found))


@builtin(SCHEMA, "measurementTagValues", pipe=None)
def measurement_tag_values(
    context: Context, bucket: str, measurement: str, tag: str, start: Any = _START, stop: Any = None
) -> Stream:
    return _of_measurement(context, bucket, measurement, tag, start, stop)


def _of_measurement(context: Context, bucket: str, measurement: str, tag: str, start: Any, stop: Any) -> Stream:
    rows = _labels(_selected(context, bucket, None, start, stop))
    return _one_column(sorted({row[tag] for row in rows if row["_measurement"] == measurement and tag in row}))


@builtin(SCHEMA, "tagKeys", pipe=None)
def tag_keys(
    context: Context, bucket: str, predicate: Callee | None = None, start: Any = _START, stop: Any = None
) -> Stream:
    return _keys(_labels(_selected(context, bucket, predicate, start, stop)))


@builtin(SCHEMA, "measurementTagKeys", pipe=None)
def measurement_tag_keys(
    context: Context, bucket: str, measurement: str, start: Any = _START, stop: Any = None
) -> Stream:
    rows = _labels(_selected(context, bucket, None, start, stop))
    return _keys([row for row in rows if row["_measurement"] == measurement])


def _keys(rows: list[Row]) -> Stream:
    names = sorted({name for row in rows for name in row})
    first = ["_start", "_stop", "_field", "_measurement"]
    return _one_column([*first, *(name for name in names if name not in first)] if rows else [])


@builtin(SCHEMA, "fieldKeys", pipe=None)
def field_keys(
    context: Context, bucket: str, predicate: Callee | None = None, start: Any = _START, stop: Any = None
) -> Stream:
    found: Stream = tag_values(context, bucket, "_field", predicate, start, stop)
    return found


@builtin(SCHEMA, "measurementFieldKeys", pipe=None)
def measurement_field_keys(
    context: Context, bucket: str, measurement: str, start: Any = _START, stop: Any = None
) -> Stream:
    return _of_measurement(context, bucket, measurement, "_field", start, stop)


@builtin(SCHEMA, "measurements", pipe=None)
def measurements(context: Context, bucket: str, start: Any = _START, stop: Any = None) -> Stream:
    found: Stream = tag_values(context, bucket, "_measurement", None, start, stop)
    return found


@builtin(SCHEMA, "fieldsAsCols")
def fields_as_cols(context: Context, tables: Stream) -> Stream:
    found: Stream = pivot(context, tables, ["_time"], ["_field"], "_value")
    return found


@builtin(CSV, "from", pipe=None)
def csv_from(context: Context, csv: str = "", file: str = "", mode: str = "annotations", url: str = "") -> Stream:
    if file or url:
        raise invalid("csv.from: reading files and URLs is not supported by this server; give the text as csv")
    if mode not in ("annotations", "raw"):
        raise invalid(f'csv.from: invalid mode "{mode}"')
    return Stream(table for _, tables in annotated.decode(csv, mode == "raw") for table in tables)


@builtin(TO, "to")
def to(
    context: Context, tables: Stream, bucket: str = "", bucketID: str = "", org: str = "", orgID: str = "", host: str = "",
    token: str = "", timeColumn: str = "_time", measurementColumn: str = "_measurement", tagColumns: Any = None,
    fieldFn: Callee | None = None,
) -> Stream:  # fmt: skip
    if host:
        raise invalid("to: writing to another host is not supported by this server")
    points: list[Point] = []
    for table in tables.tables:
        for name, kind in ((measurementColumn, STRING), (timeColumn, TIME)):
            if table.types.get(name) != kind:
                raise invalid(f"no column with label {name} of type {FLUX_NAMES[kind]} exists")
        reserved = {timeColumn, measurementColumn, "_field", "_value", "_start", "_stop"}
        tags = [name for name, kind in table.types.items() if kind == STRING and name not in reserved]
        if tagColumns is not None:
            tags = text_list(tagColumns, "to: tagColumns")
        for row in table.rows():
            fields = fieldFn(r=row) if fieldFn is not None else {row.get("_field"): row.get("_value")}
            written = [field for name, value in fields.items() if (field := _field(name, value))]
            if row[timeColumn] is not None and row[measurementColumn] and written:
                key = make_key(row[measurementColumn], {name: row.get(name) or "" for name in tags})
                points.append((key, written, int(row[timeColumn])))
    context.write(bucket, bucketID, points)
    return tables


def _field(name: Any, value: Any) -> Field | None:
    """A field to write; None for what line protocol cannot say."""
    if not isinstance(name, str) or value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    raw = name.encode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return raw, BOOLEAN, value
    if isinstance(value, Uint):
        return raw, UNSIGNED, int(value)
    if isinstance(value, int):
        return raw, INTEGER, int(value)
    if isinstance(value, float):
        return raw, FLOAT, value
    return raw, STRING_VALUE, str(value).encode("utf-8", "surrogateescape")


def _strings(name: str, work: Callable[..., Any]) -> None:
    builtin(STRINGS, name, pipe=None)(work)


_strings("toUpper", lambda context, v: v.upper())
_strings("toLower", lambda context, v: v.lower())
_strings("title", lambda context, v: re.sub(r"\b[a-z]", lambda found: found[0].upper(), v))
_strings("trimSpace", lambda context, v: v.strip())
_strings("trim", lambda context, v, cutset: v.strip(cutset))
_strings("trimLeft", lambda context, v, cutset: v.lstrip(cutset))
_strings("trimRight", lambda context, v, cutset: v.rstrip(cutset))
_strings("trimPrefix", lambda context, v, prefix: v.removeprefix(prefix))
_strings("trimSuffix", lambda context, v, suffix: v.removesuffix(suffix))
_strings("containsStr", lambda context, v, substr: substr in v)
_strings("hasPrefix", lambda context, v, prefix: v.startswith(prefix))
_strings("hasSuffix", lambda context, v, suffix: v.endswith(suffix))
_strings("strlen", lambda context, v: len(v))
_strings("split", lambda context, v, t: v.split(t) if t else list(v))
_strings("joinStr", lambda context, arr, v: v.join(text_list(arr, "joinStr: arr")))
_strings("replace", lambda context, v, t, u, i: v.replace(t, u, i))
_strings("replaceAll", lambda context, v, t, u: v.replace(t, u))
_strings("substring", lambda context, v, start, end: v[max(0, start) : max(0, end)])
_strings("index", lambda context, v, substr: v.find(substr))
_strings("repeat", lambda context, v, i: v * i)
_strings("compare", lambda context, v, t: (v > t) - (v < t))


def _numbers(name: str, work: Callable[[float], float]) -> None:
    def run(context: Context, x: float) -> float:
        try:
            return work(x)
        except (ValueError, OverflowError):
            return math.nan

    builtin(MATH, name, pipe=None)(run)


def _round(x: float) -> float:
    return math.copysign(math.floor(abs(x) + 0.5), x)


for _name, _work in (
    ("abs", abs), ("ceil", math.ceil), ("floor", math.floor), ("round", _round), ("trunc", math.trunc), ("sqrt", math.sqrt),
    ("exp", math.exp), ("log", math.log), ("log2", math.log2), ("log10", math.log10), ("sin", math.sin), ("cos", math.cos),
    ("tan", math.tan),
):  # fmt: skip
    _numbers(_name, lambda x, work=_work: float(work(x)))  # type: ignore[misc]  # a lambda's default is not typed
builtin(MATH, "pow", pipe=None)(lambda context, x, y: math.pow(x, y))
builtin(MATH, "mMax", pipe=None)(lambda context, x, y: max(x, y))
builtin(MATH, "mMin", pipe=None)(lambda context, x, y: min(x, y))
builtin(MATH, "isNaN", pipe=None)(lambda context, f: math.isnan(f))


@builtin(DATE, "truncate", pipe=None)
def truncate(context: Context, t: Any, unit: Duration) -> Time:
    time = to_time(context, t, "date.truncate: t")
    return Time(next(iter(windows(time, time + 1, unit, unit, Duration(0, 0))))[0])


def _date(name: str, work: Callable[[int], int]) -> None:
    builtin(DATE, name, pipe=None)(lambda context, t: work(to_time(context, t, f"date.{name}: t")))


_DAY = NANOSECONDS["d"]
_date("year", lambda time: civil(time)[0])
_date("month", lambda time: civil(time)[1])
_date("monthDay", lambda time: civil(time)[2])
_date("yearDay", lambda time: time // _DAY - days_of(civil(time)[0], 1, 1) + 1)
_date("weekDay", lambda time: (time // _DAY + 4) % 7)
_date("hour", lambda time: time // NANOSECONDS["h"] % 24)
_date("minute", lambda time: time // NANOSECONDS["m"] % 60)
_date("second", lambda time: time // 10**9 % 60)
_date("millisecond", lambda time: time // 10**6 % 1000)

builtin(REGEXP, "compile", pipe=None)(lambda context, v: compile_regex(v))
builtin(REGEXP, "quoteMeta", pipe=None)(lambda context, v: re.escape(v))
builtin(REGEXP, "matchRegexpString", pipe=None)(lambda context, r, v: r.search(v) is not None)
builtin(REGEXP, "replaceAllString", pipe=None)(
    lambda context, r, v, t: r.sub(re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", t), v)
)
builtin(REGEXP, "findString", pipe=None)(lambda context, r, v: found[0] if (found := r.search(v)) else "")
builtin(REGEXP, "splitRegexp", pipe=None)(lambda context, r, v, i: r.split(v, 0 if i < 0 else max(0, i - 1)))
builtin(REGEXP, "getString", pipe=None)(lambda context, r: r.pattern)


@builtin(ARRAY, "from", pipe=None)
def array_from(context: Context, rows: Any) -> Stream:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise invalid("array.from: rows must be a non-empty array of records")
    return Stream([from_rows({}, rows, "array.from")])


builtin(ARRAY, "map", pipe="arr")(lambda context, arr, fn: [fn(x=item) for item in arr])
builtin(ARRAY, "filter", pipe="arr")(lambda context, arr, fn: [item for item in arr if fn(x=item)])
builtin(ARRAY, "concat", pipe="arr")(lambda context, arr, v: [*arr, *v])
builtin(SYSTEM, "time", pipe=None)(lambda context: Time(context.now))


PACKAGES: dict[str, Registry] = {
    "influxdata/influxdb/schema": SCHEMA,
    "influxdata/influxdb/v1": SCHEMA,
    "csv": CSV,
    "strings": STRINGS,
    "math": MATH,
    "date": DATE,
    "regexp": REGEXP,
    "array": ARRAY,
    "system": SYSTEM,
}
