"""Texts as numbers and back, as Go's `strconv` reads and writes them: what Telegraf's parsers and processors do with values."""

import math
import re
import struct
from decimal import Decimal

from pyagent.api import FieldValue
from pyagent.api.metric import INT64_MAX, INT64_MIN, UINT64_MAX
from pyagent.api.units import format_number
from pyagent.booleans import BOOLEANS

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "UINT64_MAX",
    "divided",
    "go_float",
    "guess_value",
    "parse_boolean",
    "parse_finite",
    "parse_float",
    "parse_integer",
    "parse_unsigned",
    "seconds_of",
    "shortest_float32",
    "shown_float",
    "shown_value",
]

_INTEGER = re.compile(r"[+-]?0{0,400}[0-9]{1,19}")
_UNSIGNED = re.compile(r"0{0,400}[0-9]{1,20}")
_HEX = re.compile(r"0{0,400}[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[+-]?(?:[0-9_]++\.?[0-9_]*+|\.[0-9_]++)(?:[eE][+-]?[0-9_]++)?")
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]++\.?[0-9a-fA-F]*+|\.[0-9a-fA-F]++)[pP][+-]?[0-9]++")
_SPECIAL = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)


def guess_value(text: str) -> FieldValue:
    """The first that fits: an integer, a float, a boolean, else the text."""
    first = text[:1]
    if first not in _FIRST:
        return float(text) if len(text) <= 8 and _SPECIAL.fullmatch(text) else BOOLEANS.get(text, text)
    if len(text) < 19 and text.isdigit() and text.isascii():
        return int(text)
    if (number := parse_integer(text)) is not None:
        return number
    if (fraction := parse_float(text)) is not None:
        return fraction
    return text


_FIRST = frozenset("+-.0123456789_")
"""What numbers begin with, but for the words for infinity and NaN."""


def parse_integer(text: str) -> int | None:
    """Within 64 bits."""
    if _INTEGER.fullmatch(text) and -(2**63) <= (number := int(text)) < 2**63:
        return number
    return None


def parse_unsigned(text: str, base: int = 10) -> int | None:
    """Within 64 bits, without a sign; `base` is 10 or 16, whose digits stand without a prefix."""
    if (_UNSIGNED if base == 10 else _HEX).fullmatch(text) and (number := int(text, base)) < 2**64:
        return number
    return None


def parse_float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        pass
    else:  # the texts that both read alike
        if -math.inf < number < math.inf and text.isascii() and "_" not in text and text[0] > " " < text[-1]:
            return number
    if _FLOAT.fullmatch(text):
        try:
            number = float(text)
        except ValueError:  # an underscore in the wrong place
            return None
        return None if math.isinf(number) else number
    if "x" not in text[:3].lower():
        return float(text) if len(text) <= 9 and _SPECIAL.fullmatch(text) else None
    if _HEX_FLOAT.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            return None
    return None


def parse_finite(text: str) -> float | None:
    """The same, but for infinity and NaN: no instrument reads that, and no line holds it."""
    number = parse_float(text)
    return None if number is None or not math.isfinite(number) else number


def parse_boolean(text: str) -> bool | None:
    return BOOLEANS.get(text)


def divided(value: float, by: float) -> float:
    """As processors do it: by zero it is infinite, or no number."""
    if by:
        return value / by
    return math.nan if not value or math.isnan(value) else math.copysign(math.inf, value) * math.copysign(1.0, by)


def seconds_of(ns: int) -> float:
    """As Go's Duration has them, to the last digit."""
    whole, rest = divmod(abs(ns), 1_000_000_000)
    seconds = whole + rest / 1e9
    return seconds if ns > 0 else -seconds


def shown_float(value: float) -> str:
    """The shortest digits, as Go's %v has them: with an exponent from 1e+06 on and below 0.0001."""
    if not math.isfinite(value):
        return _SHOWN[str(value)]
    if not value or 0.0001 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    first, rest = str(digits[0]), "".join(map(str, digits[1:]))
    power = int(exponent) + len(digits) - 1
    return f"{'-' * sign}{first}{'.' * bool(rest)}{rest}e{power:+03d}"


_SHOWN = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def shown_value(value: FieldValue) -> str:
    """The text of a field's value, as Go's %v has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return shown_float(value) if isinstance(value, float) else str(int(value))


def shortest_float32(value: float) -> str:
    """The fewest digits that mean this number of 32 bits, without an exponent."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if value != value or struct.pack("f", float(text)) == struct.pack("f", value):
            break
    return format_number(float(text))


def go_float(value: float) -> str:
    """As Go's FormatFloat(value, 'g', -1, 64): 0.5, 125000, 1e+06, +Inf."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = repr(value).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    power = int(exponent or 0) + len(whole) - 1
    if not digits:
        return f"{sign}0"
    if whole.strip("0") == "":
        power = int(exponent or 0) - (len(fraction) - len(fraction.lstrip("0"))) - 1
    digits = digits.rstrip("0")
    if power < -4 or power >= 6:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    padded = digits.ljust(power + 1, "0")
    return f"{sign}{padded[: power + 1]}{'.' if len(padded) > power + 1 else ''}{padded[power + 1 :]}"
