"""Conversions between types (cel-spec, langdef: List of Standard Definitions).

One of fixed text that cannot be done is a mistake in the expression; see compile.py.
"""

import math
import re
from decimal import Decimal
from typing import Any

from pyagent.api import Uint
from pyagent.api.metric import INT64_MAX, INT64_MIN, UINT64_MAX
from pyagent.api.units import format_number
from pyagent.booleans import BOOLEANS
from pyagent.cel.functions import Library
from pyagent.cel.operators import checked_int, checked_uint
from pyagent.cel.values import Failure, Timestamp, cel_type_of, shown

__all__ = ["LIBRARY", "same", "text_of_bool", "unconvertible"]

LIBRARY = Library()
function = LIBRARY.function


def same(value: Any) -> Any:
    return value


for _kind in ("bool", "bytes", "double", "int", "uint", "string", "timestamp", "duration"):
    function(_kind, f"{_kind} -> {_kind}")(same)
function("dyn", "A -> dyn")(same)
function("type", "A -> type(A)")(cel_type_of)

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_DOUBLE = re.compile(
    r"[+-]?(?:(?:[0-9][0-9_]*+\.?[0-9_]*+|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9]++)?|inf|infinity|nan)", re.IGNORECASE
)


def unconvertible(text: str, kind: str, reason: str = "") -> Failure:
    return Failure(f"the string {shown(text)} cannot be converted to {kind}{reason and ': '}{reason}")


@function("bool", "string -> bool")
def bool_of_text(text: str) -> bool:
    if text in BOOLEANS:
        return BOOLEANS[text]
    raise unconvertible(text, "bool")


@function("bytes", "string -> bytes")
def bytes_of_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@function("double", "int -> double", "uint -> double")
def double_of_int(value: int) -> float:
    return float(value)


@function("double", "string -> double")
def double_of_text(text: str) -> float:
    if _DOUBLE.fullmatch(text):
        value = float(text)  # underscores must stand between digits: ValueError
        if not math.isinf(value) or "i" in text.lower():
            return value
    raise unconvertible(text, "double")


@function("int", "double -> int")
def int_of_double(value: float) -> int:
    if -(2.0**63) < value < 2.0**63:
        return int(value)
    raise Failure("the integer leaves its 64 bits")


@function("int", "uint -> int", "duration -> int")
def int_of_uint(value: int) -> int:
    return checked_int(int(value))


@function("int", "timestamp -> int")
def int_of_time(value: Timestamp) -> int:
    return value // 1_000_000_000


@function("int", "string -> int")
def int_of_text(text: str) -> int:
    if _INTEGER.fullmatch(text) and INT64_MIN <= (value := int(text)) <= INT64_MAX:
        return value
    raise unconvertible(text, "int")


@function("uint", "int -> uint")
def uint_of_int(value: int) -> Uint:
    return checked_uint(value)


@function("uint", "double -> uint")
def uint_of_double(value: float) -> Uint:
    if 0 <= value < 2.0**64:
        return Uint(int(value))
    raise Failure("the unsigned integer leaves its 64 bits")


@function("uint", "string -> uint")
def uint_of_text(text: str) -> Uint:
    if _INTEGER.fullmatch(text) and text[0] not in "+-" and (value := int(text)) <= UINT64_MAX:
        return Uint(value)
    raise unconvertible(text, "uint")


@function("string", "bool -> string")
def text_of_bool(value: bool) -> str:
    return "true" if value else "false"


@function("string", "int -> string", "uint -> string")
def text_of_int(value: int) -> str:
    return str(int(value))


@function("string", "bytes -> string")
def text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Failure("bytes that are not UTF-8 cannot be converted to string") from None


@function("string", "double -> string")
def text_of_double(value: float) -> str:
    """As Go's %g: the shortest digits, with an exponent from 1e+06 on and below 0.0001."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(value))
    if not number or -4 <= (power := number.adjusted()) < 6:
        return ("-" if number.is_signed() else "") + format_number(abs(value))
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    if len(digits) > 1:
        digits = f"{digits[0]}.{digits[1:]}"
    return f"{'-' if number.is_signed() else ''}{digits}e{'-' if power < 0 else '+'}{abs(power):02d}"
