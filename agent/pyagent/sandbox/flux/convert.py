"""Conversions of single values, and the functions that convert the column _value."""

import math
import re
from collections.abc import Callable
from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.collections import display_text
from pyagent.sandbox.flux.library import Context, Registry, builtin
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Stream, Table
from pyagent.sandbox.flux.values import Duration, Time, Uint, long_time, parse_duration, parse_time, to_text, type_name
from pyagent.sandbox.points import quote

CONVERT: Registry = {}


def _refused(value: object, kind: str) -> InfluxError:
    if isinstance(value, str):
        return invalid(f"cannot convert string {quote(value)} to {kind} due to invalid syntax")
    return invalid(f"cannot convert {type_name(value)} to {kind}")


def to_int(value: Any) -> int:
    if isinstance(value, Duration):
        return value.ns + value.months * _MONTH
    if isinstance(value, float):
        return _truncated(value)
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?[0-9]+", value) and -(2**63) <= int(value) < 2**63:
            return int(value)
        raise _refused(value, "int")
    if isinstance(value, int):
        return (int(value) + 2**63) % 2**64 - 2**63
    raise _refused(value, "int")


_MONTH = 2_629_800 * 10**9
"""InfluxDB's length of a month where a number is needed."""


def _truncated(value: float) -> int:
    """As the processor does it: what does not fit is the smallest integer."""
    return int(value) if math.isfinite(value) and -(2.0**63) <= value < 2.0**63 else -(2**63)


def to_uint(value: Any) -> Uint:
    if isinstance(value, str):
        if re.fullmatch(r"\+?[0-9]+", value) and "+" not in value and int(value) < 2**64:
            return Uint(int(value))
        raise _refused(value, "uint")
    if isinstance(value, float) and 2.0**63 <= value < 2.0**64:
        return Uint(int(value))
    if not isinstance(value, int | float | Duration):
        raise _refused(value, "uint")
    return Uint(to_int(value) % 2**64)


_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE)


def to_float(value: Any) -> float:
    if isinstance(value, str):
        if not _FLOAT.fullmatch(value):
            raise _refused(value, "float")
        found = float(value)
        if math.isinf(found) and "inf" not in value.lower():
            raise _refused(value, "float")
        return found
    if isinstance(value, Time | Duration) or not isinstance(value, int | float):
        raise _refused(value, "float")
    return float(value)


def to_bool(value: Any) -> bool:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise invalid(f"cannot convert string {quote(value)} to bool")
        return value == "true"
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not isinstance(value, Time):
        if value in (0, 1):
            return bool(value)
        shown = f"{value:f}" if isinstance(value, float) else str(int(value))
        raise invalid(f"cannot convert {type_name(value)} {shown} to bool, must be 0 or 1")
    raise _refused(value, "bool")


def to_time(value: Any) -> Time:
    if isinstance(value, str):
        try:
            return parse_time(value)
        except InfluxError:
            shown = quote(value)
            raise invalid(f"cannot convert string {shown} to time due to invalid syntax: cannot parse date") from None
    if isinstance(value, int) and not isinstance(value, bool):
        return Time((int(value) + 2**63) % 2**64 - 2**63)
    raise _refused(value, "time")


def to_duration(value: Any) -> Duration:
    if isinstance(value, str):
        text = value.removeprefix("-")
        if not re.fullmatch(r"(\d+(y|mo|w|d|h|ms|us|µs|ns|m|s))+", text):
            raise _refused(value, "duration")
        found = parse_duration(text)
        return -found if value.startswith("-") else found
    if isinstance(value, Duration):
        return value
    if isinstance(value, int) and not isinstance(value, bool | Time):
        return Duration(0, (int(value) + 2**63) % 2**64 - 2**63)
    raise _refused(value, "duration")


def to_string(value: Any) -> str:
    if isinstance(value, Time):
        return long_time(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict | list):
        return display_text(value)
    return to_text(value)


def to_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise invalid(f"cannot convert {type_name(value)} to bytes")


CONVERSIONS: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "int": (to_int, LONG), "uint": (to_uint, UNSIGNED), "float": (to_float, DOUBLE), "string": (to_string, STRING),
    "bool": (to_bool, BOOLEAN), "time": (to_time, TIME), "duration": (to_duration, None), "bytes": (to_bytes, None),
}  # fmt: skip


def _value(name: str) -> None:
    work, kind = CONVERSIONS[name]

    @builtin(CONVERT, name, pipe=None, result=kind)
    def convert(context: Context, v: Any) -> Any:
        return None if v is None else work(v)


def _column(name: str, conversion: str) -> None:
    work, kind = CONVERSIONS[conversion]

    @builtin(CONVERT, name)
    def convert(context: Context, tables: Stream) -> Stream:
        return tables.each(lambda table: _converted(table, work, kind or STRING))


def _converted(table: Table, work: Callable[[Any], Any], kind: str) -> Table | None:
    """What map() makes of a table: floats, which InfluxDB computes as a whole column, keep the order of the columns."""
    if not table.size:
        return None
    values: list[Any] = [None] * table.size
    if "_value" in table.types:
        try:
            typed = table.typed("_value")
            values = [None if value is None else work(value) for value in typed]
        except InfluxError as error:
            error.message = f"failed to evaluate map function: {error.message}"
            raise
    made = table.with_columns(_value=(kind, values))
    if kind != DOUBLE:
        order = sorted(made.types)
        made = Table(
            made.key, {name: made.types[name] for name in order}, {name: made.data[name] for name in order}, made.size
        )
    made.key = {name: table.key[name] for name in made.types if name in table.key}
    return made


for _name in CONVERSIONS:
    _value(_name)
for _name, _conversion in (
    ("toInt", "int"), ("toUInt", "uint"), ("toFloat", "float"), ("toString", "string"), ("toBool", "bool"),
    ("toTime", "time"),
):  # fmt: skip
    _column(_name, _conversion)


@builtin(CONVERT, "contains", pipe=None, result=BOOLEAN)
def contains(context: Context, value: Any, set_: Any) -> bool:
    if not isinstance(set_, list):
        raise invalid(f"contains: expected array but found {type_name(set_)}")
    return any(type(item) is type(value) and item == value for item in set_)


@builtin(CONVERT, "length", pipe="arr", result=LONG)
def length(context: Context, arr: Any) -> int:
    if not isinstance(arr, list):
        raise invalid(f"length: expected array but found {type_name(arr)}")
    return len(arr)


@builtin(CONVERT, "display", pipe=None, result=STRING)
def display(context: Context, v: Any) -> str:
    return display_text(v)
