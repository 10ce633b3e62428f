"""What a point may hold, and why one is refused: here, where the mistake is made, and not by the server later.

Numbers are floats unless it is said otherwise, so that a first 0 does not make an integer of a field that is 0.4 next.
"""

import contextlib
import math
import numbers
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum

from pyagent.api.metric import FieldValue, Metric, Uint
from pyagent.client.times import time_ns

__all__ = [
    "AHEAD",
    "MOST_TEXT",
    "FieldType",
    "Int",
    "PointError",
    "Schema",
    "field_codes",
    "metric",
    "too_long",
    "typed",
]

FieldType = type[float] | type[int] | type[bool] | type[str]
"""float, int, Uint, bool or str."""
Schema = Mapping[str, "FieldType | Mapping[str, FieldType]"]
"""The types of fields by their names; those of one measurement alone as a dict under its name."""

AHEAD = 300_000_000_000
"""Nanoseconds that a point may be ahead of the clock before that is worth a warning."""
EXACT = 2**53
"""Integers up to here are floats without loss."""
_CODES: dict[type, int] = {float: 1, int: 2, Uint: 3, bool: 4, str: 5}
_INT64_MIN, _INT64_MAX, _UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_RESERVED = ("time", "_field", "_measurement")
_LOST = re.compile(r"[\t\n\f\r\0]")
_MOST = 65_535
"""Bytes of measurement and tags."""
MOST_TEXT = 1_048_576
"""Bytes of a field that is text."""
_ROUND = "give a float, which rounds it, or a str"


class Int(int):
    """An integer field: `{"count": Int(4)}` is written as `count=4i`, where a plain 4 is the float 4."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Int({int(self)})"


class PointError(ValueError):
    """A point cannot be stored as it is given. Nothing of it was taken."""


def field_codes(schema: Schema | None) -> dict[str | None, dict[str, int]] | None:
    """The types by measurement and field as numbers; under None those of all other measurements. Raises TypeError."""
    if not schema:
        return None
    general: dict[str, int] = {}
    special: dict[str, dict[str, int]] = {}
    for name, wanted in schema.items():
        if isinstance(wanted, Mapping):
            special[name] = {field: _code(field, one) for field, one in wanted.items()}
        else:
            general[name] = _code(name, wanted)
    found: dict[str | None, dict[str, int]] = {name: {**general, **codes} for name, codes in special.items()}
    return {**found, None: general}


def _code(name: str, wanted: object) -> int:
    code = _CODES.get(int if wanted is Int else wanted) if isinstance(wanted, type) else None
    if code is None:
        raise TypeError(f"the schema's type of {name!r} is {wanted!r}; use float, int, Uint, bool or str")
    return code


def metric(
    name: object,
    fields: object,
    tags: object,
    when: object,
    *,
    codes: Mapping[str | None, Mapping[str, int]] | None = None,
    unit: str = "ns",
) -> tuple[Metric, list[str]]:
    """The point, and the fields left out because they are NaN, infinite or None. Raises PointError."""
    try:
        return _metric(name, fields, tags, when, codes, unit)
    except PointError as error:
        shown = repr(name) if isinstance(name, str) else "a point"
        raise PointError(f"cannot write {shown:.100}: {error}") from None


def _metric(
    name: object,
    fields: object,
    tags: object,
    when: object,
    codes: Mapping[str | None, Mapping[str, int]] | None,
    unit: str,
) -> tuple[Metric, list[str]]:
    measurement = _text(name, "the measurement")
    if measurement.startswith("#"):
        raise PointError("the line would be a comment, which is skipped; choose a name that does not begin with #")
    if not isinstance(fields, Mapping):
        raise PointError(f"the fields are a {type(fields).__name__}; give a dict of names and values")
    if tags is not None and not isinstance(tags, Mapping):
        raise PointError(f"the tags are a {type(tags).__name__}; give a dict of names and values")
    texts: dict[str, str] = {}
    for key, value in (tags or {}).items():
        if (text := _tag(_name(key, "tag"), value)) != "":
            texts[str(key)] = text
    size = len(measurement.encode()) + sum(len(key.encode()) + len(text.encode()) + 2 for key, text in texts.items())
    if size > _MOST:
        raise PointError(f"measurement and tags have {size} bytes; InfluxDB takes {_MOST}: such text is for a field")
    wanted = (codes.get(measurement) or codes.get(None) or {}) if codes else {}
    values: dict[str, FieldValue] = {}
    left_out: list[str] = []
    for key, value in fields.items():
        field = _name(key, "field")
        found = typed(field, value, wanted.get(field, 0))
        if found is None:
            left_out.append(field)
        else:
            values[field] = found
    if not fields:
        raise PointError("it has no fields")
    if not values:
        raise PointError(
            f"it has no value: {', '.join(left_out)[:100]} {'is' if len(left_out) == 1 else 'are'} None or NaN"
        )
    try:
        ns = time.time_ns() if when is None else time_ns(when, unit)
    except (TypeError, ValueError) as error:
        raise PointError(str(error)) from None
    return Metric(measurement, texts, values, ns), left_out


def typed(field: str, value: object, code: int) -> FieldValue | None:
    """The value as the wire's type: a float, an int (for `i`), a Uint, a bool or a str; None where it is no value. `code`: the
    declared type, 0 for none. Raises PointError."""
    plain = _plain(field, value)
    if plain is None:
        return None
    if code == 0:
        if type(plain) is int:
            if abs(plain) > EXACT:
                raise PointError(
                    f"the field {field!r} is {_shown(plain)}, which no type of field holds without loss; {_ROUND}"
                    if not _INT64_MIN <= plain <= _UINT64_MAX
                    else f"the field {field!r} is {plain}, which a float does not hold without loss;"
                    f" give {'Int' if plain <= _INT64_MAX else 'Uint'}({plain}), or declare it in the schema"
                )
            return float(plain)
        return int(plain) if isinstance(plain, Int) else plain
    return _declared(field, plain, code)


def _declared(field: str, value: FieldValue, code: int) -> FieldValue:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if code == _CODES[float] and number:
        if isinstance(value, int) and abs(value) > EXACT:
            raise PointError(f"the field {field!r} is declared float, which does not hold {_shown(value)} without loss")
        return float(value)
    if code in (_CODES[int], _CODES[Uint]) and number:
        if isinstance(value, float) and not value.is_integer():
            raise PointError(f"the field {field!r} is declared an integer, and is {value}")
        whole = int(value)
        low, high = (0, _UINT64_MAX) if code == _CODES[Uint] else (_INT64_MIN, _INT64_MAX)
        if not low <= whole <= high:
            raise PointError(f"the field {field!r} is {_shown(whole)}, which its declared type does not hold")
        return Uint(whole) if code == _CODES[Uint] else whole
    if code == _CODES[bool] and isinstance(value, bool):
        return value
    if code == _CODES[str] and isinstance(value, str):
        return value
    names = {number: kind.__name__ for kind, number in _CODES.items()}
    raise PointError(
        f"the field {field!r} is declared {names[code]}, and is {value!r:.60} of type {type(value).__name__}"
    )


def _plain(field: str, value: object) -> FieldValue | None:
    """A value of one of Python's own types; None for what is no value."""
    if value is None:
        return None
    if isinstance(value, Enum):
        return _plain(field, value.value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if isinstance(value, Int | Uint):
            low, high = (0, _UINT64_MAX) if isinstance(value, Uint) else (_INT64_MIN, _INT64_MAX)
            if not low <= value <= high:
                raise PointError(
                    f"the field {field!r} is {_shown(value)}, which no {type(value).__name__} holds; {_ROUND}"
                )
            return value
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, str):
        text = _utf8(str(value), f"the field {field!r}")
        if len(text) > MOST_TEXT // 4 and (size := len(text.encode())) > MOST_TEXT:
            raise PointError(too_long(field, size))
        return text
    if isinstance(value, Decimal):
        return _float(field, value) if value.is_finite() else None
    kind = type(value)
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if kind.__name__ in ("float16", "float32"):
        return _plain(field, float(str(value)))  # 1.1, and not 1.100000023841858
    if kind.__name__ not in ("datetime64", "timedelta64"):  # numpy calls these numbers, too
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real):
            return _plain(field, _float(field, value))
        if kind.__module__.partition(".")[0] == "numpy" and kind.__name__.startswith("bool"):
            return bool(value)
    raise PointError(
        f"the field {field!r} is a {kind.__name__}, which no field can hold; give a number, a bool or a str"
    )


def _float(field: str, value: Decimal | numbers.Real) -> float:
    """Raises PointError where it is beyond what a float holds."""
    with contextlib.suppress(OverflowError):
        number = float(value)
        if math.isfinite(number) or math.isnan(number) or value == number:
            return number
    raise PointError(f"the field {field!r} is beyond what a float holds, 1.8e308")


def _shown(whole: int) -> str:
    """Python refuses to print long ones."""
    if abs(whole) < 10**40:
        return str(int(whole))
    return f"about {'-' if whole < 0 else ''}1e{int(whole.bit_length() * 0.30103)}"


def too_long(field: str, size: int) -> str:
    return f"the field {field!r} has {size} bytes of text; InfluxDB takes {MOST_TEXT}: cut it, or write it in parts"


def _tag(key: str, value: object) -> str:
    """The text of a tag; empty for none."""
    if value is None or value == "":
        return ""
    if isinstance(value, Enum):
        return _tag(key, value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(str(value), f"the tag {key!r}")
    if isinstance(value, int):
        try:
            return str(int(value))
        except ValueError:  # Python refuses to print it
            raise PointError(f"the tag {key!r} is {_shown(value)}; a tag is text") from None
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) <= EXACT else str(float(value))
    kind = type(value)
    if kind.__name__ in ("NAType", "NaTType"):
        return ""
    if kind.__module__.partition(".")[0] == "numpy" and type(plain := value.item()) is not kind:  # type: ignore[attr-defined]
        return _tag(key, plain)
    if hasattr(value, "hex") and hasattr(value, "int") and kind.__name__ == "UUID":
        return str(value)
    raise PointError(f"the tag {key!r} is a {kind.__name__}; a tag is text")


def _name(key: object, what: str) -> str:
    name = _text(key, f"the name of a {what}")
    if name in _RESERVED:
        raise PointError(f"a {what} cannot be called {name!r}: InfluxDB keeps that name for itself")
    return name


def _text(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise PointError(f"{what} is {text!r:.60} of type {type(text).__name__}; it must be a str")
    if not text:
        raise PointError(f"{what} is empty")
    if lost := _LOST.search(text):
        raise PointError(
            f"{what} {text!r:.60} holds {lost[0]!r}, which InfluxDB does not keep; such text is for a field"
        )
    if text.endswith("\\"):
        raise PointError(f"{what} {text!r:.60} ends in a backslash, which InfluxDB does not keep")
    return _utf8(text, what)


def _utf8(text: str, what: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PointError(f"{what} {text!r:.60} holds what is not UTF-8") from None
    return text
