"""Operators, and what the language itself has for lists and maps (cel-spec, langdef: List of Standard Definitions).

Integers that leave their 64 bits are failures, as is a division by zero; doubles follow IEEE 754.
"""

import math
import operator
from typing import Any

from pyagent.api import Duration, Uint
from pyagent.api.metric import INT64_MAX, INT64_MIN, UINT64_MAX
from pyagent.cel.cost import spend
from pyagent.cel.functions import Library
from pyagent.cel.values import Failure, Timestamp

__all__ = ["LIBRARY", "checked_duration", "checked_int", "checked_time", "checked_uint", "element", "find"]

LIBRARY = Library()
function, method, late = LIBRARY.function, LIBRARY.method, LIBRARY.late

_YEAR_1, _YEAR_9999 = -62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1


def checked_int(value: int) -> int:
    if INT64_MIN <= value <= INT64_MAX:
        return value
    raise Failure("the integer leaves its 64 bits")


def checked_uint(value: int) -> Uint:
    if 0 <= value <= UINT64_MAX:
        return Uint(value)
    raise Failure("the unsigned integer leaves its 64 bits")


def checked_duration(value: int) -> Duration:
    return Duration(checked_int(value))


def checked_time(value: int) -> Timestamp:
    if _YEAR_1 <= value <= _YEAR_9999:
        return Timestamp(value)
    raise Failure("the time is not between year 1 and year 9999")


# Arithmetic. Both sides are of one type: 1 + 1.0 is a failure where the types are known only when it runs.


@function("_+_", "int, int -> int")
def add_int(one: int, other: int) -> int:
    return checked_int(one + other)


@function("_+_", "uint, uint -> uint")
def add_uint(one: Uint, other: Uint) -> Uint:
    return checked_uint(one + other)


function("_+_", "double, double -> double")(operator.add)


@function(
    "_+_",
    "string, string -> string",
    "bytes, bytes -> bytes",
    "list(A), list(A) -> list(A)",
)
def add(one: Any, other: Any) -> Any:
    spend((len(one) + len(other)) >> 4)  # before it is made
    return one + other


@function("_+_", "duration, duration -> duration")
def add_durations(one: Duration, other: Duration) -> Duration:
    return checked_duration(one + other)


@function("_+_", "timestamp, duration -> timestamp", "duration, timestamp -> timestamp")
def add_time(one: int, other: int) -> Timestamp:
    return checked_time(one + other)


@function("_-_", "int, int -> int")
def subtract_int(one: int, other: int) -> int:
    return checked_int(one - other)


@function("_-_", "uint, uint -> uint")
def subtract_uint(one: Uint, other: Uint) -> Uint:
    return checked_uint(one - other)


@function("_-_", "double, double -> double")
def subtract(one: float, other: float) -> float:
    return one - other


@function("_-_", "duration, duration -> duration", "timestamp, timestamp -> duration")
def subtract_times(one: int, other: int) -> Duration:
    return checked_duration(one - other)


@function("_-_", "timestamp, duration -> timestamp")
def subtract_duration(one: Timestamp, other: Duration) -> Timestamp:
    return checked_time(one - other)


@function("_*_", "int, int -> int")
def multiply_int(one: int, other: int) -> int:
    return checked_int(one * other)


@function("_*_", "uint, uint -> uint")
def multiply_uint(one: Uint, other: Uint) -> Uint:
    return checked_uint(one * other)


@function("_*_", "double, double -> double")
def multiply(one: float, other: float) -> float:
    return one * other


def _quotient(one: int, other: int) -> int:
    """Towards zero, as the language has it; Python's goes down."""
    if not other:
        raise Failure("division by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


@function("_/_", "int, int -> int")
def divide_int(one: int, other: int) -> int:
    return checked_int(_quotient(one, other))


@function("_/_", "uint, uint -> uint")
def divide_uint(one: Uint, other: Uint) -> Uint:
    return Uint(_quotient(one, other))


@function("_/_", "double, double -> double")
def divide(one: float, other: float) -> float:
    if other:
        return one / other
    return math.nan if not one or math.isnan(one) else math.copysign(math.inf, one) * math.copysign(1.0, other)


@function("_%_", "int, int -> int")
def modulo_int(one: int, other: int) -> int:
    return one - other * checked_int(_quotient(one, other))


@function("_%_", "uint, uint -> uint")
def modulo_uint(one: Uint, other: Uint) -> Uint:
    return Uint(one - other * _quotient(one, other))


@function("-_", "int -> int")
def negate_int(value: int) -> int:
    return checked_int(-value)


@function("-_", "double -> double")
def negate(value: float) -> float:
    return -value


@function("!_", "bool -> bool")
def negate_bool(value: bool) -> bool:
    return not value


# Order. What is not a number (NaN) has no place among them.

_NUMERIC = ("int", "uint", "double")
_PAIRS = [f"{kind}, {kind} -> bool" for kind in (*_NUMERIC, "bool", "string", "bytes", "timestamp", "duration")]
_MIXED = [f"{one}, {other} -> bool" for one in _NUMERIC for other in _NUMERIC if one != other]


def _unordered() -> Failure:
    return Failure("what is not a number (NaN) cannot be compared")


@function("_<_", *_PAIRS)
@late("_<_", *_MIXED)
def less(one: Any, other: Any) -> bool:
    if one < other:
        return True
    if one >= other:
        return False
    raise _unordered()


@function("_<=_", *_PAIRS)
@late("_<=_", *_MIXED)
def less_or_equal(one: Any, other: Any) -> bool:
    if one <= other:
        return True
    if one > other:
        return False
    raise _unordered()


@function("_>_", *_PAIRS)
@late("_>_", *_MIXED)
def greater(one: Any, other: Any) -> bool:
    if one > other:
        return True
    if one <= other:
        return False
    raise _unordered()


@function("_>=_", *_PAIRS)
@late("_>=_", *_MIXED)
def greater_or_equal(one: Any, other: Any) -> bool:
    if one >= other:
        return True
    if one < other:
        return False
    raise _unordered()


# Lists and maps.


@function("_[_]", "list(A), int -> A")
@late("_[_]", "list(A), uint -> A", "list(A), double -> A")
def element(items: list[Any], index: Any) -> Any:
    if not 0 <= index < len(items) or index != int(index):
        raise Failure(f"the index {index} is not within the list")
    return items[int(index)]


@function("_[_]", "map(A,B), A -> B")
def find(entries: dict[Any, Any], key: Any) -> Any:
    return entries[key]


@function("size", "string -> int", "bytes -> int", "list(A) -> int", "map(A,B) -> int")
@method("size", "string -> int", "bytes -> int", "list(A) -> int", "map(A,B) -> int")
def size(value: Any) -> int:
    return len(value)
