"""Flux's values as Python's, and the operations on them. Null is None."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.patterns import Regex
from pyagent.sandbox.limits import RUNNING, making
from pyagent.sandbox.times import civil, days_in_month, days_of, rfc3339

NANOSECONDS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
}  # fmt: skip
MONTHS: Final = {"mo": 1, "y": 12}


class Time(int):
    """Nanoseconds since the epoch."""

    __slots__ = ()


class Uint(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months and nanoseconds; both have the same sign."""

    months: int
    ns: int

    def __neg__(self) -> "Duration":
        return Duration(-self.months, -self.ns)

    def times(self, count: int) -> "Duration":
        return Duration(self.months * count, self.ns * count)


class Dictionary(dict[Any, Any]):
    """A dictionary of Flux; a record is a plain dict."""


class Unfit(Exception):
    """An operator does not take operands of these types."""


class WrongArguments(InfluxError):
    """A call lacks arguments, or has others than the function's."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        """`problems`: the argument that is one too many, or nothing, and the words."""
        super().__init__("invalid", "; ".join(words for _, words in problems))
        self.problems = problems


class WrongType(InfluxError):
    """An argument has a type that the function does not take."""

    def __init__(self, argument: str, wanted: str, value: object) -> None:
        super().__init__("invalid", f"expected {wanted} but found {type_name(value)} (argument {argument})")
        self.argument, self.wanted, self.found = argument, wanted, type_name(value)


class Calls(list[str]):
    """The calls of the script's own text that are under way, as they stand in an error: `@1:2-3:4: name`."""

    running = 0
    """How many plans are being run: their functions are called for rows and tables, not by the script."""
    by_columns = False
    """Whether a map() is run whose function InfluxDB computes for whole columns."""


@dataclass(slots=True)
class Callee:
    """A function: of the script, or built in."""

    name: str
    parameters: dict[str, bool]
    """Whether each must be given."""
    pipe: str | None
    run: Callable[[dict[str, Any]], Any]
    result: str | None = None
    """The column type of what it gives, where that is always the same."""

    def __call__(self, **arguments: Any) -> Any:
        if arguments.keys() != self.parameters.keys():
            self._check(arguments)
        budget = RUNNING.budget
        if budget.ended is not None:
            budget.check()
        before = budget.texts
        value = self.run(arguments)
        if budget.texts != before:
            budget.keep(before, value)
        return value

    def _check(self, arguments: dict[str, Any]) -> None:
        others = [f"`{name}`" for name in self.parameters if name not in arguments and name != self.pipe]
        expected = f" (Expected {'one of ' if len(others) > 1 else ''}{', '.join(others)})" if others else ""
        unexpected = [name for name in arguments if name not in self.parameters]
        problems = [(name, f"found unexpected argument {name}{expected}") for name in unexpected]
        problems += [
            ("", "missing pipe argument" if name == self.pipe else f"missing required argument {name}")
            for name, required in self.parameters.items()
            if required and name not in arguments
        ]
        if problems:
            raise WrongArguments(problems)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a calendar is: a zone of the time-zone database, and an offset that is added to its times."""

    zone: str
    offset: Duration


UTC_LOCATION: Final = Location("UTC", Duration(0, 0))


def parse_duration(text: str) -> Duration:
    """A duration literal such as 1h30m."""
    months = ns = 0
    for number, unit in re.findall(r"(\d+)(mo|ms|ns|us|µs|y|w|d|h|m|s)", text):
        if unit in MONTHS:
            months += int(number) * MONTHS[unit]
        else:
            ns += int(number) * NANOSECONDS[unit]
    return Duration(months, ns)


_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d)))?")


def parse_time(text: str) -> Time:
    """An RFC 3339 time, or a date.

    Raises:
        InfluxError: it is not one.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise invalid(f'cannot parse "{text}" as time: not in RFC 3339')
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= days_in_month(year, month) and hour < 24 and minute < 60 and second < 60):
        raise invalid(f'cannot parse "{text}" as time: out of range')
    seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    if found[8]:
        offset = int(found[9]) * 3600 + int(found[10]) * 60
        seconds -= offset if found[8] == "+" else -offset
    return Time(seconds * 10**9 + int((found[7] or "0").ljust(9, "0")[:9]))


def to_datetime(time: int) -> datetime:
    """In UTC, cut to microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time // 1000)


def add_duration(time: int, duration: Duration) -> Time:
    """Months first, by the calendar (the day is cut to the month's length), then the rest."""
    if duration.months:
        year, month, day, rest = civil(time)
        index = year * 12 + month - 1 + duration.months
        year, month = index // 12, index % 12 + 1
        time = days_of(year, month, min(day, days_in_month(year, month))) * NANOSECONDS["d"] + rest
    return Time(time + duration.ns)


def format_float(value: float) -> str:
    """The shortest decimal that gives the value back, without an exponent, as in the CSV."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text or "E" in text:
        mantissa, _, exponent = text.lower().partition("e")
        sign = "-" if mantissa.startswith("-") else ""
        whole, _, fraction = mantissa.lstrip("-").partition(".")
        shift = int(exponent)
        digits = whole + fraction
        point = len(whole) + shift
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}".rstrip("0").rstrip(".")
        if point >= len(digits):
            return sign + digits + "0" * (point - len(digits))
        return f"{sign}{digits[:point]}.{digits[point:]}".rstrip("0").rstrip(".")
    return text[:-2] if text.endswith(".0") else text


def go_float(value: float) -> str:
    """A float as Go's shortest form has it: with an exponent from a million on, and below 0.0001."""
    if not math.isfinite(value) or value == 0 or 1e-4 <= abs(value) < 1e6:
        return format_float(value)
    plain = format_float(abs(value))
    whole, _, fraction = plain.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) - 1 if whole != "0" else -(len(fraction) - len(fraction.lstrip("0")) + 1)
    digits = digits.rstrip("0") or "0"
    mantissa = digits[0] + (f".{digits[1:]}" if digits[1:] else "")
    return f"{'-' if value < 0 else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def format_duration(value: Duration) -> str:
    if value == Duration(0, 0):
        return "0ns"
    sign = "-" if value.months < 0 or value.ns < 0 else ""
    months, ns = abs(value.months), abs(value.ns)
    text = sign
    for unit, size in (("y", 12), ("mo", 1)):
        if months >= size:
            text += f"{months // size}{unit}"
            months %= size
    for unit in ("w", "d", "h", "m", "s", "ms", "us", "ns"):
        if ns >= NANOSECONDS[unit]:
            text += f"{ns // NANOSECONDS[unit]}{unit}"
            ns %= NANOSECONDS[unit]
    return text


def long_time(value: int) -> str:
    """A time with all nine digits of its fraction, as string(v:) writes it."""
    text = rfc3339(value)[:-1]
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<9}Z"


def to_text(value: object) -> str:
    """string(v:)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Time):
        return rfc3339(value)
    if isinstance(value, float):
        return format_float(value)
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, str | int):
        return str(value)
    raise invalid(f"cannot convert {type_name(value)} to string")


def type_name(value: object) -> str:
    """The name of a value's type in messages."""
    names: list[tuple[type, str]] = [
        (bool, "bool"), (Time, "time"), (Uint, "uint"), (int, "int"), (float, "float"), (str, "string"), (Duration, "duration"),
        (bytes, "bytes"), (Regex, "regexp"), (list, "array"), (dict, "record"), (Callee, "function"),
    ]  # fmt: skip
    if value is None:
        return "null"
    return next((name for kind, name in names if isinstance(value, kind)), "stream")


def _wrap(value: int, kind: type) -> Any:
    if kind is Uint:
        return Uint(value % 2**64)
    return (value + 2**63) % 2**64 - 2**63


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, float):
        if right == 0:
            return math.nan if left == 0 or left != left else math.copysign(math.inf, left) * math.copysign(1.0, right)
        return left / right
    if right == 0:
        raise invalid("cannot divide by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, float):
        return math.fmod(left, right) if right and math.isfinite(left) else math.nan
    if right == 0:
        raise invalid("cannot divide by zero")
    return left - right * _divide(left, right)


def _power(left: Any, right: Any) -> Any:
    try:
        return float(left) ** float(right)
    except (OverflowError, ZeroDivisionError):
        return math.inf


_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": _modulo,
    "^": _power,
}


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """`left operator right`; null if one is null.

    Raises:
        Unfit: the types do not go together.
        InfluxError: a division by zero.
    """
    if left is None or right is None:
        return None
    kinds = type(left), type(right)
    if operator == "+" and kinds == (str, str):
        return concat(left, right)
    if operator in "+-" and kinds == (Duration, Duration):
        other = right if operator == "+" else -right
        return Duration(left.months + other.months, left.ns + other.ns)
    if kinds[0] is kinds[1] and kinds[0] in (int, Uint, float):
        value = _ARITHMETIC[operator](left, right)
        return value if isinstance(value, float) else _wrap(value, kinds[0])
    raise Unfit


def concat(left: str, right: str) -> str:
    making(len(left) + len(right))
    return left + right


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_NUMBERS: Final = (int, Uint, float)


def compare(operator: str, left: Any, right: Any) -> bool | None:
    """`left operator right`; null if one is null. Numbers of different types compare by value.

    Raises:
        Unfit: the types do not go together.
    """
    if left is None or right is None:
        return None
    if operator in ("=~", "!~"):
        if not (isinstance(left, str) and isinstance(right, Regex)):
            raise Unfit
        return (right.search(left) is not None) == (operator == "=~")
    if type(left) is type(right) or (type(left) in _NUMBERS and type(right) in _NUMBERS):
        if isinstance(left, Duration | list | dict) or (isinstance(left, bool) and operator not in ("==", "!=")):
            raise Unfit
        return _COMPARE[operator](left, right)
    raise Unfit


def negate(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Duration) or type(value) in (int, float):
        return -value
    raise invalid(f"type conflict: {type_name(value)} is not Negatable")


def truth(value: Any) -> bool:
    """A condition's value; null counts as false.

    Raises:
        InfluxError: it is not a boolean.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InfluxError("invalid", f"type conflict: bool != {type_name(value)}")
