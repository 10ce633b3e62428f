"""A field that has another type in the bucket: written again with that type, where no digit is lost by it."""

import re
from collections.abc import Callable

from pyagent.api.metric import FieldValue, Metric, Uint
from pyagent.lineprotocol import parse

__all__ = ["repaired"]

_CONFLICT = re.compile(
    r'input field "(?P<field>.{1,300}?)" on measurement "(?P<measurement>.{1,300}?)" is type (?P<given>\w+), '
    r"already exists as type (?P<wanted>\w+)"
)
_EXACT = 2**53


def _to_integer(value: FieldValue) -> FieldValue | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return int(value) if isinstance(value, Uint) and value < 2**63 else None


def _to_unsigned(value: FieldValue) -> FieldValue | None:
    if isinstance(value, float) and value.is_integer() and 0 <= value <= _EXACT:
        return Uint(int(value))
    return Uint(value) if type(value) is int and value >= 0 else None


def _to_float(value: FieldValue) -> FieldValue | None:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT else None


_INTO: dict[str, Callable[[FieldValue], FieldValue | None]] = {
    "integer": _to_integer,
    "unsigned": _to_unsigned,
    "float": _to_float,
}


def repaired(lines: list[bytes], reason: str) -> tuple[list[Metric], list[bytes]]:
    """The points of those lines that can be had with the type that the bucket has by `reason`, and the other lines."""
    conflict = _CONFLICT.search(reason)
    convert = _INTO.get(conflict["wanted"]) if conflict else None
    if conflict is None or convert is None:
        return [], lines
    mended: list[Metric] = []
    rest: list[bytes] = []
    for line in lines:
        metrics = parse(line, 0).metrics
        point = metrics[0] if len(metrics) == 1 else None
        value = point.fields.get(conflict["field"]) if point and point.name == conflict["measurement"] else None
        other = None if value is None else convert(value)
        if point is None or other is None:
            rest.append(line)
        else:
            point.fields[conflict["field"]] = other
            mended.append(point)
    return mended, rest
