"""cel-go's extension Math."""

import math
from typing import Any

from pyagent.api import Uint
from pyagent.api.metric import UINT64_MAX
from pyagent.cel.conversions import same
from pyagent.cel.functions import Library
from pyagent.cel.operators import checked_int, greater, less
from pyagent.cel.values import NUMBERS, Failure, shown

__all__ = ["LIBRARY"]

LIBRARY = Library()
function = LIBRARY.function

_KINDS = ("int", "uint", "double")
_PAIRS = [f"{one}, {other} -> {one if one == other else 'dyn'}" for one in _KINDS for other in _KINDS]
_LISTS = [f"list({kind}) -> {kind}" for kind in _KINDS]

for _name in ("math.@max", "math.@min"):
    function(_name, *(f"{kind} -> {kind}" for kind in _KINDS))(same)


@function("math.@max", *_PAIRS)
def greatest(one: Any, other: Any) -> Any:
    return other if less(one, other) else one


@function("math.@min", *_PAIRS)
def least(one: Any, other: Any) -> Any:
    return other if greater(one, other) else one


@function("math.@max", *_LISTS)
def greatest_of(numbers: list[Any]) -> Any:
    return _of_all(numbers, greatest)


@function("math.@min", *_LISTS)
def least_of(numbers: list[Any]) -> Any:
    return _of_all(numbers, least)


def _of_all(numbers: list[Any], better: Any) -> Any:
    if not numbers:
        raise Failure("an empty list has no greatest or least number")
    for number in numbers:
        if type(number) not in NUMBERS:
            raise Failure(f"math.greatest and math.least take numbers only, and {shown(number)} is none")
    best = numbers[0]
    for number in numbers[1:]:
        best = better(best, number)
    return best


def _rounding(name: str, rounded: Any) -> None:
    def whole(value: float) -> float:
        return math.copysign(float(rounded(value)), value) if math.isfinite(value) else value

    function(name, "double -> double")(whole)


_rounding("math.ceil", math.ceil)
_rounding("math.floor", math.floor)
_rounding("math.trunc", math.trunc)


@function("math.round", "double -> double")
def round_half_away(value: float) -> float:
    if not math.isfinite(value):
        return value
    whole, rest = divmod(abs(value), 1.0)
    return math.copysign(whole + (rest >= 0.5), value)


function("math.isInf", "double -> bool")(math.isinf)
function("math.isNaN", "double -> bool")(math.isnan)
function("math.isFinite", "double -> bool")(math.isfinite)
function("math.abs", "double -> double")(math.fabs)
function("math.abs", "uint -> uint")(same)


@function("math.abs", "int -> int")
def absolute(value: int) -> int:
    return checked_int(abs(value))


@function("math.sign", "int -> int", "uint -> uint", "double -> double")
def sign(value: Any) -> Any:
    if value != value:
        return value
    return type(value)((value > 0) - (value < 0))


@function("math.sqrt", "double -> double", "int -> double", "uint -> double")
def square_root(value: Any) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


@function("math.bitAnd", "int, int -> int", "uint, uint -> uint")
def bit_and(one: Any, other: Any) -> Any:
    return type(one)(int(one) & int(other))


@function("math.bitOr", "int, int -> int", "uint, uint -> uint")
def bit_or(one: Any, other: Any) -> Any:
    return type(one)(int(one) | int(other))


@function("math.bitXor", "int, int -> int", "uint, uint -> uint")
def bit_xor(one: Any, other: Any) -> Any:
    return type(one)(int(one) ^ int(other))


@function("math.bitNot", "int -> int", "uint -> uint")
def bit_not(value: Any) -> Any:
    return _wrapped(~int(value), type(value))


@function("math.bitShiftLeft", "int, int -> int", "uint, int -> uint")
def shift_left(value: Any, bits: int) -> Any:
    return _wrapped(int(value) << min(_offset(bits), 64), type(value))


@function("math.bitShiftRight", "int, int -> int", "uint, int -> uint")
def shift_right(value: Any, bits: int) -> Any:
    """Without regard to the sign: zeros move in from the left."""
    return _wrapped((int(value) & UINT64_MAX) >> min(_offset(bits), 64), type(value))


def _offset(bits: int) -> int:
    if bits < 0:
        raise Failure(f"bits cannot be shifted by {bits}")
    return bits


def _wrapped(value: int, kind: type) -> Any:
    """The lowest 64 bits, as the kind of integer reads them."""
    value &= UINT64_MAX
    if kind is Uint:
        return Uint(value)
    return value if value < 2**63 else value - 2**64
