"""Conversions of single values, and the functions that convert the column _value."""

import math
import re
from collections.abc import Callable
from typing import Any

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.library import Context, Registry, builtin
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Stream, Table
from pyagent.sandbox.flux.values import Duration, Time, Uint, parse_duration, parse_time, to_text, type_name

CONVERT: Registry = {}


def _refuse(value: object, kind: str) -> Any:
    shown = (
        f'"{value}"'
        if isinstance(value, str)
        else to_text(value)
        if not isinstance(value, dict | list)
        else type_name(value)
    )
    raise invalid(f"cannot convert {type_name(value)} {shown} to {kind}")


def to_int(value: Any) -> int | None:
    if isinstance(value, Duration):
        return value.ns
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else _int_refused(value)
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[+-]?\d+", value) else _int_refused(value)
    if isinstance(value, int):
        return (int(value) + 2**63) % 2**64 - 2**63
    return _int_refused(value)


def _int_refused(value: object) -> int:
    refused: int = _refuse(value, "int")
    return refused


def to_uint(value: Any) -> Uint:
    number = to_int(value)
    return Uint((number or 0) % 2**64)


def to_float(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value.replace("_", "x"))
        except ValueError:
            _refuse(value, "float")
    if isinstance(value, Time | Duration) or not isinstance(value, int | float):
        _refuse(value, "float")
    return float(value)


def to_bool(value: Any) -> bool:
    found = {"true": True, "false": False}.get(value) if isinstance(value, str) else None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not isinstance(value, Time) and value in (0, 1):
        return bool(value)
    if found is None:
        _refuse(value, "bool")
    return bool(found)


def to_time(value: Any) -> Time:
    if isinstance(value, str):
        return parse_time(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Time(value)
    _refuse(value, "time")
    return Time(0)


def to_duration(value: Any) -> Duration:
    if isinstance(value, str):
        text = value.removeprefix("-")
        if not re.fullmatch(r"(\d+(y|mo|w|d|h|ms|us|µs|ns|m|s))+", text):
            _refuse(value, "duration")
        found = parse_duration(text)
        return -found if value.startswith("-") else found
    if isinstance(value, Duration):
        return value
    if isinstance(value, int):
        return Duration(0, int(value))
    _refuse(value, "duration")
    return Duration(0, 0)


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": to_int, "uint": to_uint, "float": to_float, "string": to_text, "bool": to_bool, "time": to_time,
    "duration": to_duration,
}  # fmt: skip


def _value(name: str) -> None:
    @builtin(CONVERT, name)
    def convert(context: Context, v: Any) -> Any:
        return None if v is None else CONVERSIONS[name](v)


def _column(name: str, conversion: str, kind: str) -> None:
    @builtin(CONVERT, name)
    def convert(context: Context, tables: Stream) -> Stream:
        def work(table: Table) -> Table:
            table.need("_value", name)
            values = [None if row["_value"] is None else CONVERSIONS[conversion](row["_value"]) for row in table.rows()]
            return table.with_columns(_value=(kind, values))

        return tables.each(work)


for _name in CONVERSIONS:
    _value(_name)
for _name, _conversion, _kind in (
    ("toInt", "int", LONG), ("toUInt", "uint", UNSIGNED), ("toFloat", "float", DOUBLE), ("toString", "string", STRING),
    ("toBool", "bool", BOOLEAN), ("toTime", "time", TIME),
):  # fmt: skip
    _column(_name, _conversion, _kind)


@builtin(CONVERT, "contains")
def contains(context: Context, value: Any, set_: Any) -> bool:
    if not isinstance(set_, list):
        raise invalid(f"contains: expected array but found {type_name(set_)}")
    return any(type(item) is type(value) and item == value for item in set_)


@builtin(CONVERT, "length", pipe="arr")
def length(context: Context, arr: Any) -> int:
    if not isinstance(arr, list):
        raise invalid(f"length: expected array but found {type_name(arr)}")
    return len(arr)


@builtin(CONVERT, "display")
def display(context: Context, v: Any) -> str:
    return v if isinstance(v, str) else to_text(v)
