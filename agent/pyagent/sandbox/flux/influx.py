"""The package influxdata/influxdb: writing, buckets, cardinality."""

import math
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin, checked, text_list, to_time
from pyagent.sandbox.flux.source import Selection, Source
from pyagent.sandbox.flux.tables import FLUX_NAMES, LONG, STRING, TIME, Row, Stream, Table, from_rows, regroup
from pyagent.sandbox.flux.universe import filter_
from pyagent.sandbox.flux.values import Callee, Time, Uint
from pyagent.sandbox.limits import take
from pyagent.sandbox.points import BOOLEAN, FLOAT, INTEGER, UNSIGNED, Field, Point, make_key
from pyagent.sandbox.points import STRING as STRING_VALUE

INFLUX: Registry = {}

_POINT = 300
"""Bytes of a point that is to be written, without its key."""


def _check_to(bucket: str = "", bucketID: str = "", host: str = "", **_: Any) -> None:
    if host:
        raise invalid("writing to another host is not supported by this server")
    if not bucket and not bucketID:
        raise invalid('missing required keyword argument "bucketID"')


@builtin(INFLUX, "to")
@checked(_check_to)
def to(
    context: Context, tables: Stream, bucket: str = "", bucketID: str = "", org: str = "", orgID: str = "", host: str = "",
    token: str = "", timeColumn: str = "_time", measurementColumn: str = "_measurement", tagColumns: Any = None,
    fieldFn: Callee | None = None,
) -> Stream:  # fmt: skip
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
                take(_POINT + len(key))
    context.write(bucket, bucketID, points)
    return Stream(tables.tables)


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


@builtin(INFLUX, "wideTo")
@checked(_check_to)
def wide_to(
    context: Context, tables: Stream, bucket: str = "", bucketID: str = "", org: str = "", orgID: str = "", host: str = "",
    token: str = "",
) -> Stream:  # fmt: skip
    """Rows of pivoted tables: the key's texts are the measurement and the tags, every other column is a field."""
    points: list[Point] = []
    for table in tables.tables:
        if "_field" in table.key:
            raise invalid('found column "_field" in the group key; wideTo() expects pivoted data')
        if table.types.get("_measurement") != STRING or "_measurement" not in table.key:
            raise invalid('required column "_measurement" not in group key')
        if table.types.get("_time") != TIME:
            raise invalid('input table missing required column "_time"')
        tags = [name for name in table.key if name not in ("_measurement", "_start", "_stop", "_time")]
        for name in tags:
            if table.key_type(name) != STRING:
                raise invalid(f'group key column "{name}" has type {FLUX_NAMES[table.key_type(name)]}; must be string')
        fields = [name for name in table.types if name not in table.key and name not in ("_time", "_start", "_stop")]
        for row in table.rows():
            written = [field for name in fields if (field := _field(name, row[name]))]
            if row["_time"] is not None and row["_measurement"] and written:
                key = make_key(row["_measurement"], {name: row.get(name) or "" for name in tags})
                points.append((key, written, int(row["_time"])))
                take(_POINT + len(key))
    context.write(bucket, bucketID, points)
    return Stream(tables.tables)


@builtin(INFLUX, "buckets")
def buckets(context: Context, org: str = "", orgID: str = "", host: str = "", token: str = "") -> Stream:
    found = context.buckets()
    rows: list[Row] = [
        {
            "name": bucket["name"],
            "id": bucket["id"],
            "organizationID": bucket["orgID"],
            "retentionPolicy": bucket.get("rp") or "",
            "retentionPeriod": bucket["retention"] * 10**9,
        }
        for bucket in found
    ]
    types = {"name": STRING, "id": STRING, "organizationID": STRING, "retentionPolicy": STRING, "retentionPeriod": LONG}
    return Stream(regroup([from_rows({}, rows, "buckets", types)], lambda table: ["organizationID"]))


@builtin(INFLUX, "cardinality", pipe=None)
def cardinality(
    context: Context, start: Any, bucket: str = "", bucketID: str = "", org: str = "", orgID: str = "", host: str = "",
    token: str = "", stop: Any = None, predicate: Callee | None = None,
) -> Stream:  # fmt: skip
    """How many series have a point in the range."""
    first = to_time(context, start, "start")
    last = context.now if stop is None else to_time(context, stop, "stop")
    source: Stream = Source(context.reader, Selection(bucket, bucketID, first, max(first, last)))
    if predicate is not None:
        source = filter_(context, source, predicate)
    if isinstance(source, Source) and not source.selection.of_rows:
        rows = source.filled()
    else:
        rows = [dict(table.key) for table in source.tables]
    left_out = ("_start", "_stop", "_field")
    series = {tuple(sorted(pair for pair in row.items() if pair[0] not in left_out)) for row in rows}
    types = {"_start": TIME, "_stop": TIME, "_value": LONG}
    data: dict[str, list[Any]] = {"_start": [first], "_stop": [last], "_value": [len(series)]}
    return Stream([Table({"_start": first, "_stop": last}, types, data, 1)])


@builtin(INFLUX, "_lastSuccess", pipe=None, result=TIME)
def last_success(context: Context, orTime: Any, lastSuccessTime: Any) -> Any:
    return Time(to_time(context, orTime, "orTime") if lastSuccessTime is None else lastSuccessTime)
