"""`"...".format([...])` of cel-go's extension Strings, version 4: the clauses %s %d %f %e %b %o %x %X, and %% for a percent."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pyagent.api import Duration, Uint
from pyagent.api.units import format_number
from pyagent.cel.conversions import text_of_bool
from pyagent.cel.cost import spend, spend_on
from pyagent.cel.functions import Library
from pyagent.cel.times import text_of_duration, text_of_time
from pyagent.cel.types import Type
from pyagent.cel.values import CelType, Failure, Timestamp, cel_type_of

__all__ = ["LIBRARY", "check_format"]

LIBRARY = Library()

_CLAUSE = re.compile(r"%(?:(?P<percent>%)|(?:\.(?P<precision>[0-9]{1,9}))?(?P<letter>[a-zA-Z]))")
_INTEGERS = ("int", "uint")
_NUMBERS = (*_INTEGERS, "double")
_TAKES = {"d": _NUMBERS, "f": _NUMBERS, "e": _NUMBERS, "b": ("bool", *_INTEGERS), "o": _INTEGERS}
_TAKES |= dict.fromkeys("xX", (*_INTEGERS, "string", "bytes"))
_MOST_DIGITS = 100


def _clauses(text: str) -> Iterator[str | tuple[str, int]]:
    """Text, and clauses as letter and precision. Raises Failure for a clause that is none."""
    position = 0
    for match in re.finditer("%%?", text):
        if match.start() < position:
            continue
        yield text[position : match.start()]
        clause = _CLAUSE.match(text, match.start())
        if clause is None or not (clause["percent"] or clause["letter"] in _TAKES or clause["letter"] == "s"):
            raise Failure(
                f"{text[match.start() : match.start() + 3]!r} is no clause of format; there are %s %d %f %e %b %o %x %X"
            )
        position = clause.end()
        if clause["percent"]:
            yield "%"
            continue
        precision = int(clause["precision"] or 6)
        if precision > _MOST_DIGITS:
            raise Failure(f"format gives {_MOST_DIGITS} digits at the most, not {precision}")
        yield clause["letter"], precision
    yield text[position:]


def _refuse(letter: str, kind: str) -> Failure:
    return Failure(f"%{letter} of format takes {', '.join(_TAKES[letter])}, not {kind}")


def check_format(text: str, types: Sequence[Type]) -> None:
    """Raises Failure where a text and the types of its arguments can be seen beforehand not to fit."""
    letters = [clause[0] for clause in _clauses(text) if isinstance(clause, tuple)]
    if len(letters) != len(types):
        raise Failure(f"format has {len(letters)} clauses and {len(types)} arguments")
    for letter, kind in zip(letters, types, strict=True):
        if letter != "s" and not kind.open and kind.name not in _TAKES[letter]:
            raise _refuse(letter, kind.name)


@LIBRARY.method("format", "string, list(dyn) -> string")
def format_text(text: str, arguments: list[Any]) -> str:
    parts, waiting = [], iter(arguments)
    for clause in _clauses(text):
        if isinstance(clause, str):
            parts.append(clause)
            continue
        try:
            value = next(waiting)
        except StopIteration:
            raise Failure(f"format has more clauses than its {len(arguments)} arguments") from None
        parts.append(_formatted(clause, value))
    return "".join(parts)


def _formatted(clause: tuple[str, int], value: Any) -> str:
    letter, precision = clause
    if letter == "s":
        return str(spend_on(_as_text(value)))
    kind = cel_type_of(value).name
    if kind not in _TAKES[letter]:
        raise _refuse(letter, kind)
    if letter in "fed":
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        if letter == "d":
            return _as_text(value)
        return format(float(value), f".{precision}{letter}")
    if isinstance(value, str | bytes):
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        return data.hex().upper() if letter == "X" else data.hex()
    return format(int(value), letter)


def _as_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return text_of_bool(value)
    if isinstance(value, float):
        return format_number(value) if math.isfinite(value) else _formatted(("f", 6), value)
    if isinstance(value, Timestamp):
        return text_of_time(value)
    if isinstance(value, Duration):
        return text_of_duration(value)
    if isinstance(value, int | Uint):
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, CelType):
        return value.name
    if isinstance(value, list | dict):
        spend(1 + len(value))
    if isinstance(value, list):
        return str(spend_on(f"[{', '.join(map(_as_text, value))}]"))
    if isinstance(value, dict):
        entries = sorted((_as_text(key), _as_text(item)) for key, item in value.items())
        return str(spend_on(f"{{{', '.join(f'{key}: {item}' for key, item in entries)}}}"))
    return str(value)
