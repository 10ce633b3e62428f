"""Cells of CSV to the values of line protocol, by the types of csv2lp: the reference for the native reader of rows."""

import math
import re
from collections.abc import Callable

from pyagent.api.metric import INT64_MAX, INT64_MIN, UINT64_MAX
from pyagent.api.units import format_number
from pyagent.lineprotocol.text import from_bytes, string_value, to_bytes

__all__ = ["ALIASES", "FIELD_TYPES", "MAX_STRING", "MISSING", "Convert", "NoValue", "converter_of", "too_long"]

Convert = Callable[[bytes], bytes]
"""A cell that is not empty to a value as it stands in a line. Raises ValueError, NoValue."""

_Number = Callable[[bytes, bytes], bytes]
"""A number as text with a point, and the cell that it comes from."""

FIELD_TYPES = ("string", "double", "boolean", "long", "unsignedLong", "duration", "base64Binary")
ALIASES = {"float": "double", "int": "long", "integer": "long", "bool": "boolean", "uint": "unsignedLong"}
"""What people write in place of them behind `field:`, and on the command line."""
_DEFAULT_FORMAT = ". \n\t\r_"
"""The decimal separator, then what is left out."""
MISSING = frozenset(("null", "nan", "n/a", "na", "none", "nil", "mm", "-", "--", "#n/a", "."))
"""Words for no value, in small letters."""
MAX_STRING = 1_048_576
"""Bytes of a string field that InfluxDB takes."""
_MISSING = frozenset(word.encode() for word in MISSING)
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SIGNED, _UNSIGNED = re.compile(rb"[+-]?[0-9]+"), re.compile(rb"[0-9]+")
_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_LITERAL = re.compile(
    rb"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?[0-9]+i|[0-9]+u|[tT]|true|True|TRUE|[fF]|false|False|FALSE|"
    rb'"(?:[^"\\]|\\.)*"',
    re.DOTALL,
)


class NoValue(Exception):
    """The cell is a word for nothing."""


def converter_of(
    kind: str, form: str, *, missing_words: bool = False, told: Callable[[str], None] = lambda _: None
) -> Convert:
    """What converts cells of a type. `form`: what stands behind its colon. `missing_words`: NULL, N/A and the like are no
    value. `told`: hears of what was changed. Raises ValueError for a type that there is not."""
    if kind == "field":
        return converter_of(ALIASES.get(form, form), "") if form else _verbatim
    if kind == "":
        return _verbatim
    if kind in ("string", "base64Binary"):
        convert: Convert = _string
    elif kind == "boolean":
        convert = _boolean_of(form) if form else _boolean
    elif kind == "double":
        convert = _number_of(form, _double)
    elif kind == "long":
        convert = _whole_number_of(form, _long, told)
    elif kind == "unsignedLong":
        convert = _whole_number_of(form, _unsigned, told)
    elif kind == "duration":
        convert = _duration
    else:
        raise ValueError(f"data type {kind!r} is not supported; write one of {', '.join(FIELD_TYPES)}")
    return _unless_missing(convert) if missing_words else convert


def _unless_missing(convert: Convert) -> Convert:
    def converted(cell: bytes) -> bytes:
        if cell.strip().lower() in _MISSING or not cell.strip():
            raise NoValue
        return convert(cell)

    return converted


def too_long(size: int) -> str:
    """Why a string of so many bytes is refused."""
    return f"the text has {size:,} bytes, and InfluxDB takes {MAX_STRING:,} at the most"


def _string(cell: bytes) -> bytes:
    if len(cell) > MAX_STRING:
        raise ValueError(too_long(len(cell)))
    try:
        return string_value(cell.decode()).encode()
    except UnicodeDecodeError as error:
        raise ValueError(_not_utf8(cell, error)) from None


def _not_utf8(cell: bytes, error: UnicodeDecodeError) -> str:
    return f"it is not UTF-8 (byte 0x{cell[error.start]:02x}); give the file's encoding, such as --encoding ISO-8859-1"


def _verbatim(cell: bytes) -> bytes:
    """A value of line protocol as it stands, any other text as a string."""
    return cell if len(cell) <= MAX_STRING and _LITERAL.fullmatch(cell) else _string(cell)


def _boolean(cell: bytes) -> bytes:
    first = cell[:1]
    if first in b"tTyY1":
        return b"true"
    if first in b"fFnN0":
        return b"false"
    raise ValueError(f"{_shown(cell)} is neither true nor false; its first character may be one of t, y, 1, f, n, 0")


def _boolean_of(form: str) -> Convert:
    """`yes,Y:no,N`: what is true, what is false; one that is empty is all the rest."""
    true_text, _, false_text = form.partition(":")
    true, false = ({to_bytes(word) for word in text.split(",")} for text in (true_text, false_text))

    def boolean(cell: bytes) -> bytes:
        if false_text and cell in false:
            return b"false"
        if true_text and cell in true:
            return b"true"
        if not false_text:
            return b"false"
        if not true_text:
            return b"true"
        raise ValueError(f"{_shown(cell)} is neither of {true_text} nor of {false_text}")

    return boolean


def _number_of(form: str, convert: _Number) -> Convert:
    decimal, removed = _separators(form)

    def number(cell: bytes) -> bytes:
        return convert(_normal(cell, decimal, removed)[0], cell)

    return number


def _whole_number_of(form: str, convert: _Number, told: Callable[[str], None]) -> Convert:
    strict = form.startswith("strict")
    decimal, removed = _separators(form.removeprefix("strict"))

    def number(cell: bytes) -> bytes:
        text, fraction = _normal(cell, decimal, removed)
        if fraction:
            if strict:
                raise ValueError(f"{_shown(cell)} has a fraction, which a whole number has not")
            told("numbers were cut to whole ones")
            text = text.partition(b".")[0]
        return convert(text, cell)

    return number


def _separators(form: str) -> tuple[bytes, tuple[bytes, ...]]:
    form = form or _DEFAULT_FORMAT
    return form[0].encode(), tuple(other.encode() for other in form[1:])


def _normal(cell: bytes, decimal: bytes, removed: tuple[bytes, ...]) -> tuple[bytes, bool]:
    """The number with a point, and whether it has one."""
    text = cell
    for separator in removed:
        text = text.replace(separator, b"")
    return text if decimal == b"." else text.replace(decimal, b"."), decimal in text


def _double(text: bytes, cell: bytes) -> bytes:
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"{_shown(cell)} is no number")
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{_shown(cell)} is out of the range of a double")
    return format_number(number).encode()


def _long(text: bytes, cell: bytes) -> bytes:
    if not _SIGNED.fullmatch(text):
        raise ValueError(f"{_shown(cell)} is no whole number")
    number = int(text) if len(text) < 100 else INT64_MAX + 1
    if not INT64_MIN <= number <= INT64_MAX:
        raise ValueError(f"{_shown(cell)} is out of the range of a long")
    return b"%di" % number


def _unsigned(text: bytes, cell: bytes) -> bytes:
    if not _UNSIGNED.fullmatch(text):
        raise ValueError(f"{_shown(cell)} is no whole number from 0 on")
    number = int(text) if len(text) < 100 else UINT64_MAX + 1
    if number > UINT64_MAX:
        raise ValueError(f"{_shown(cell)} is out of the range of an unsignedLong")
    return b"%du" % number


def _duration(cell: bytes) -> bytes:
    """As Go writes them: 1h30m, 1.5s, -2ms."""
    text = from_bytes(cell)
    body = text.lstrip("+-") if text[:2] not in ("--", "++", "+-", "-+") else ""
    total, position = 0, 0
    while match := _DURATION.match(body, position):
        whole, _, fraction = match[1].partition(".")
        unit = _UNITS[match[2]]
        total += int(whole or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        position = match.end()
    if body != "0" and (not body or position < len(body)):
        raise ValueError(f"{_shown(cell)} is no duration such as 1h30m")
    return b"%di" % (-total if text.startswith("-") else total)


def _shown(cell: bytes) -> str:
    shown = cell.decode("utf-8", "replace")
    return repr(shown if len(shown) <= 60 else f"{shown[:60]}...")
