"""The packages influxdata/influxdb/schema and v1: what measurements, fields and tags there are."""

from typing import Any

from pyagent.sandbox.flux.library import Context, Registry, builtin, to_time
from pyagent.sandbox.flux.predicates import parts_of
from pyagent.sandbox.flux.reshape import pivot
from pyagent.sandbox.flux.source import Selection, Source
from pyagent.sandbox.flux.tables import STRING, Row, Stream, Table
from pyagent.sandbox.flux.universe import filter_
from pyagent.sandbox.flux.values import Callee, Duration

SCHEMA: Registry = {}

_START = Duration(0, -30 * 86400 * 10**9)


def _selected(context: Context, bucket: str, predicate: Callee | None, start: Any, stop: Any) -> Stream:
    first = to_time(context, start, "schema: start")
    last = context.now if stop is None else to_time(context, stop, "schema: stop")
    source = Source(context.reader, Selection(bucket, "", first, max(first, last)))
    return source if predicate is None else filter_(context, source, predicate)


def _labels(source: Stream) -> list[Row]:
    """Measurement, field and tags of every series that has a point in the range."""
    if not isinstance(source, Source) or source.selection.of_rows:
        return [
            {name: value for name, value in table.key.items() if name not in ("_start", "_stop")}
            for table in source.tables
        ]
    return source.filled()


def _one_column(values: list[str]) -> Stream:
    return Stream([Table({}, {"_value": STRING}, {"_value": values})])


def _equals(measurement: str) -> Callee:
    return Callee("predicate", {"r": True}, None, lambda given: given["r"].get("_measurement") == measurement)


@builtin(SCHEMA, "tagValues", pipe=None)
def tag_values(
    context: Context, bucket: str, tag: str, predicate: Callee | None = None, start: Any = _START, stop: Any = None
) -> Stream:
    rows = _labels(_selected(context, bucket, predicate, start, stop))
    found = {row[tag] for row in rows if tag in row}
    if (
        len(found) < len(rows)
        and predicate is not None
        and any(tag not in row for row in rows)
        and _asks_field(predicate)
    ):
        found.add(
            ""
        )  # a predicate on the field is answered by groups of series, and those without the tag are one of them
    return _one_column(sorted(found))


def _asks_field(predicate: Callee) -> bool:
    return any(part.columns is None or "_field" in part.columns for part in parts_of(predicate)[0])


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
    return _one_column([*first, *(name for name in names if name not in first)])


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
