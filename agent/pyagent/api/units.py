"""Option types of the field's own: durations, sizes, secrets; and numbers as text."""

import math
import re
from decimal import Decimal, Overflow
from typing import Self

from pyagent.api.masking import mask_urls
from pyagent.hooks import known_secrets

__all__ = ["LEAST_INTERVAL", "Duration", "Secret", "Size", "counted", "format_number", "joined", "redact"]

_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # micro sign
    "μs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DAY_NS = 86_400_000_000_000
_DURATION_PART = re.compile(r"([0-9]++\.?[0-9]*+|\.[0-9]++)(ns|us|µs|μs|ms|s|m|h|d)")
_INT64_MAX = 2**63 - 1
_BARE_NUMBER = re.compile(r"[+-]?([0-9]++\.?[0-9]*+|\.[0-9]++)([eE][+-]?[0-9]{1,9})?")


class Duration(int):
    """A span of time in nanoseconds (as Go's time.Duration). `Duration("1h30m")`, `Duration("1.5s")`."""

    __slots__ = ()

    def __new__(cls, value: int | str = 0) -> Self:
        return super().__new__(cls, cls._parse(value, days=True) if isinstance(value, str) else value)

    @classmethod
    def from_option(cls, value: object) -> Self:
        """A plugin's or the agent's own option: integers and floats are seconds, text may be a bare number of seconds or
        Go's units and `d` (reference: telegraf 1.1). Raises ValueError."""
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"expected a duration such as '10s', got {_type_of(value)}")
        if isinstance(value, str):
            if not value:
                return cls(0)
            if not _BARE_NUMBER.fullmatch(value):
                return cls(value)
        seconds = Decimal(str(value))
        # adjusted(): the power of ten, looked at first because 1e999999999 would fill the memory with digits.
        if not seconds.is_finite() or seconds.adjusted() > 10 or abs(seconds * 1_000_000_000) > _INT64_MAX:
            raise ValueError(f"the duration {value} is out of range")
        return cls(int(seconds * 1_000_000_000))

    @classmethod
    def from_common(cls, value: str) -> Self:
        """An option common to all plugins (`interval`, `precision`, ...): Go's own syntax, no days, no bare numbers but 0.
        Raises ValueError."""
        return cls(cls._parse(value, days=False))

    @staticmethod
    def _parse(text: str, *, days: bool) -> int:
        body = text[1:] if text[:1] in ("+", "-") else text
        if body == "0":
            return 0
        total, position = 0, 0
        while position < len(body):
            part = _DURATION_PART.match(body, position)
            if part is None or (part[2] == "d" and not days):
                break
            try:
                total += int(Decimal(part[1]) * (_DAY_NS if part[2] == "d" else _DURATION_NS[part[2]]))
            except Overflow:
                raise ValueError(f"the duration {text!r} is out of range") from None
            position = part.end()
        if not body or position < len(body):
            units = "ns, us, ms, s, m, h" + (", d" if days else "")
            raise ValueError(f"cannot read the duration {text!r}: expected numbers with units ({units}), such as '10s'")
        if total > _INT64_MAX:
            raise ValueError(f"the duration {text!r} is out of range")
        return -total if text.startswith("-") else total

    @property
    def seconds(self) -> float:
        return self / 1e9

    def __str__(self) -> str:
        """As Go prints it: 10s, 1m30s, 1.5s, 250ms."""
        if self == 0:
            return "0s"
        sign, rest = ("-", -int(self)) if self < 0 else ("", int(self))
        if rest < 1_000_000_000:
            unit = next(u for u in ("ms", "us", "ns") if rest >= _DURATION_NS[u])
            return f"{sign}{_trim(Decimal(rest) / _DURATION_NS[unit])}{unit}"
        hours, rest = divmod(rest, 3_600_000_000_000)
        minutes, rest = divmod(rest, 60_000_000_000)
        text = f"{hours}h" if hours else ""
        if hours or minutes:
            text += f"{minutes}m"
        return f"{sign}{text}{_trim(Decimal(rest) / 1_000_000_000)}s"

    __repr__ = __str__


LEAST_INTERVAL = Duration("1ms")
"""What is done again and again is not done more often: the agent would do nothing else."""

_METRIC, _BINARY = {"B": 1, "kB": 1000}, {"B": 1}
for _power, _letter in enumerate("KMGTPE", start=1):
    _METRIC[f"{_letter}B"] = 1000**_power
    _BINARY[f"{_letter}iB"] = 1024**_power
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_SIZE_PART = re.compile(r"([0-9]++\.?[0-9]*+|\.[0-9]++)([A-Za-z]+)")


class Size(int):
    """A number of bytes. `Size("10MB")` is 10,000,000, `Size("1MiB")` is 1,048,576."""

    __slots__ = ()

    def __new__(cls, value: int | str = 0) -> Self:
        return super().__new__(cls, cls._parse(value) if isinstance(value, str) else value)

    @classmethod
    def from_option(cls, value: object) -> Self:
        """An integer is bytes; text has units (reference: telegraf 1.1). Raises ValueError."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"expected a size such as '10MB', got {_type_of(value)}")
        return cls(value)

    @staticmethod
    def _parse(text: str) -> int:
        if not text:
            return 0
        size = int(text) if len(text) < 30 and _WHOLE_NUMBER.fullmatch(text) else _with_units(text)
        if size is None:
            raise ValueError(f"cannot read the size {text!r}: expected bytes or a unit (KB, MB, GB, KiB, MiB, GiB)")
        if abs(size) > _INT64_MAX:
            raise ValueError(f"the size {text!r} is out of range")
        return size


def _with_units(text: str) -> int | None:
    """Bytes of numbers with units, all of them metric or all of them binary; None for what is neither."""
    body = text[1:] if text[:1] in ("+", "-") else text
    parts, position = [], 0
    while part := _SIZE_PART.match(body, position):
        parts.append((Decimal(part[1]), part[2]))
        position = part.end()
    if parts and position == len(body):
        for units in (_BINARY, _METRIC):
            if all(unit in units for _, unit in parts):
                try:
                    size = int(sum(number * units[unit] for number, unit in parts))
                except Overflow:
                    return _INT64_MAX + 1
                return -size if text.startswith("-") else size
    return None


class Secret:
    """A value that is never shown: its text in messages is `***`, and the log masks it wherever it would appear."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value
        # Very short values would mask half of every message, and hide nothing that is worth hiding.
        if len(value) >= 4:
            known_secrets.add(value)

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('***')" if self._value else "Secret('')"

    __str__ = __repr__


def redact(text: str) -> str:
    """`text` with every secret of this process masked, and those in URLs."""
    for value in sorted(known_secrets, key=len, reverse=True):
        if value in text:
            text = text.replace(value, "***")
    return mask_urls(text)


def format_number(value: float) -> str:
    """A float as tags and names show it: its shortest digits, never an exponent: 2, 0.1, 100000000000000000000."""
    return _trim(Decimal(repr(value))) if math.isfinite(value) else str(value)


def _trim(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _type_of(value: object) -> str:
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "a list", dict: "a table"}
    return names.get(type(value), f"a {type(value).__name__}")


def joined(text: str, more: str) -> str:
    """What a message says next: behind a question nothing is joined by a semicolon."""
    return f"{text} {more}" if text.endswith("?") else f"{text}; {more}"


def counted(count: int, one: str, several: str = "", *, separator: str = "") -> str:
    """`1 metric`, `2 metrics`; `several` where it is not `one` with an s. `separator`: of thousands, `,` or none."""
    number = f"{count:,}" if separator else str(count)
    return f"{number} {one if count == 1 else several or f'{one}s'}"
