"""The data that plugins make and the engine carries: metrics and the values of their fields."""

import numbers
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

from pyagent.api.foreign import plain_text
from pyagent.api.moved import moved

__all__ = ["FieldValue", "Metric", "MetricType", "Uint", "field_value", "timestamp_ns"]

INT64_MIN, INT64_MAX, UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class Uint(int):
    """An unsigned 64-bit value. On the wire it is `u` where the output supports that, else a signed `i`, clipped."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Uint({int(self)})"

    __str__ = int.__repr__


FieldValue = int | Uint | float | bool | str


class MetricType(IntEnum):
    """What a value means over time, as Telegraf's ValueType. Line protocol does not carry it; some outputs do."""

    UNTYPED = 0
    COUNTER = 1
    GAUGE = 2
    SUMMARY = 3
    HISTOGRAM = 4


class Metric:
    """One measurement of one thing at one time.

    `tags` and `fields` belong to the metric: whoever makes it gives fresh dicts, or dicts that it never changes again.
    """

    __slots__ = ("fields", "kind", "name", "tags", "time")

    def __init__(
        self,
        name: str,
        tags: dict[str, str],
        fields: dict[str, FieldValue],
        time: int,
        kind: MetricType = MetricType.UNTYPED,
    ) -> None:
        self.name = name
        self.tags = tags
        self.fields = fields
        self.time = time
        """Nanoseconds since the epoch."""
        self.kind = kind

    def __repr__(self) -> str:
        return f"Metric({self.name!r}, {self.tags!r}, {self.fields!r}, {self.time!r}, {self.kind!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metric):
            return NotImplemented
        return all(getattr(self, slot) == getattr(other, slot) for slot in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # mutable, so unhashable; mypy knows no other spelling


def field_value(value: Any) -> FieldValue | None:
    """What a plugin gave as a field's value, as one of the wire's types. This is the one table of conversions:

    | given | becomes |
    |---|---|
    | bool, float, str | itself |
    | int within 64 bits | itself; from 2**63 to 2**64-1 a `Uint` |
    | None | no field (None is returned) |
    | Decimal and other real numbers | float; integral types become int |
    | bytes, bytearray | str, bytes that are not UTF-8 by surrogateescape |
    | an Enum member | its value, by this table |
    | numpy and other scalars with `item()` | what `item()` gives, by this table |

    Raises TypeError for another type and OverflowError for an integer that 64 bits do not hold.
    """
    kind = type(value)
    if kind is float or kind is str or kind is bool:
        return value  # type: ignore[no-any-return]  # narrowed by the exact type above
    if isinstance(value, Enum):
        return field_value(value.value)
    if isinstance(value, int):
        if kind is not Uint and INT64_MIN <= value <= INT64_MAX:
            return value if kind is int else int(value)
        if 0 <= value <= UINT64_MAX:
            return value if kind is Uint else Uint(value)
        raise OverflowError(f"the integer {value} does not fit 64 bits")
    if value is None:
        return None
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, bytes):
        return bytes.decode(value, "utf-8", "surrogateescape")
    if isinstance(value, bytearray):
        return bytearray.decode(value, "utf-8", "surrogateescape")
    item = getattr(value, "item", None)
    if callable(item):
        plain = item()
        if type(plain) is not kind:
            return field_value(plain)
    if isinstance(value, numbers.Integral):
        return field_value(int(value))
    if isinstance(value, numbers.Real | Decimal):
        return float(value)
    raise TypeError(f"a field cannot hold a value of type {kind.__name__}")


def timestamp_ns(value: int | float | datetime) -> int:
    """A point in time as nanoseconds since the epoch: an int is ns already, a float is seconds, a datetime must know its zone.

    Raises TypeError for another type and ValueError for a datetime without a zone.
    """
    if isinstance(value, bool):
        raise TypeError("a metric's time cannot be a bool")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return round(float(value) * 1e9)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a metric's time as a datetime needs a time zone, for example datetime.now(timezone.utc)")
        return int(value.timestamp()) * 1_000_000_000 + int(value.microsecond) * 1000
    raise TypeError(f"a metric's time is nanoseconds, seconds as a float, or a datetime, not {type(value).__name__}")


__getattr__ = moved(__name__, {"Kind": "pyagent.api.metric:MetricType"})
