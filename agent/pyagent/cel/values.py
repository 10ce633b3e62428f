"""What expressions compute with, as Python objects, and when two of them are equal.

| CEL | Python |
|---|---|
| bool, double, string, bytes, null | bool, float, str, bytes, None |
| int, uint | int, `Uint`; within 64 bits, checked by every operation |
| list, map | list, dict |
| google.protobuf.Timestamp, google.protobuf.Duration | `Timestamp`, `Duration`, both nanoseconds |
| type | `CelType` |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyagent.api import Duration, Uint
from pyagent.cel.cost import spend

__all__ = [
    "CEL_TYPES",
    "ERRORS",
    "NUMBERS",
    "CelType",
    "Failure",
    "Timestamp",
    "cel_type_of",
    "equal",
    "explain_failure",
    "shown",
]


class Failure(Exception):
    """An evaluation that has no result."""


ERRORS = (Failure, ArithmeticError, LookupError, TypeError, ValueError)
"""All that an evaluation may raise. `&&`, `||`, `all` and `exists` do without a part that fails where the rest decides."""


class Timestamp(int):
    """A point in time, nanoseconds since the epoch; from year 1 to 9999."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CelType:
    """What `type(x)` gives."""

    name: str


CEL_TYPES: Mapping[type, CelType] = {
    bool: CelType("bool"),
    int: CelType("int"),
    Uint: CelType("uint"),
    float: CelType("double"),
    str: CelType("string"),
    bytes: CelType("bytes"),
    Timestamp: CelType("google.protobuf.Timestamp"),
    Duration: CelType("google.protobuf.Duration"),
    list: CelType("list"),
    dict: CelType("map"),
    type(None): CelType("null_type"),
    CelType: CelType("type"),
}
NUMBERS = frozenset((int, Uint, float))


def cel_type_of(value: Any) -> CelType:
    return CEL_TYPES[type(value)]


def equal(one: Any, other: Any) -> bool:
    """Numbers of different types by value; anything else of different types is unequal, and no error."""
    kind, other_kind = type(one), type(other)
    if kind is not other_kind:
        return kind in NUMBERS and other_kind in NUMBERS and bool(one == other)
    if kind in (list, dict):
        spend(1 + len(one))
    if kind is list:
        return len(one) == len(other) and all(map(equal, one, other))
    if kind is dict:
        return len(one) == len(other) and all(key in other and equal(value, other[key]) for key, value in one.items())
    return bool(one == other)


def shown(value: Any) -> str:
    """A value for a message. One of lists within lists can be longer than the memory."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'a map'} of {len(value)}"
    return repr(value if not isinstance(value, str | bytes) else value[:100])


def explain_failure(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no key {shown(error.args[0])}"
    if isinstance(error, TypeError) and "unhashable" in str(error):  # Python's words differ between its versions
        return "a list or a map cannot be a key of a map"
    return str(error) or type(error).__name__
