"""Go's printf, for what a template has."""

import re
from typing import Any

from pyagent.kit.gotemplate.values import TemplateError, quoted, shown, type_name

__all__ = ["printf"]

_VERB = re.compile(r"%([-+# 0]*)(\*|\d*)(?:\.(\*|\d*))?(.|$)", re.DOTALL)
_MOST_WIDTH = 10_000
_BASES = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b"}


def printf(layout: str, *values: Any) -> str:
    """Verbs v, d, s, q, t, x, X, o, b, c, U, T, e, E, f, F, g, G and %%, with flags, width and precision."""
    rest = list(values)

    def number(text: str | None) -> int | None:
        if text == "*":
            if not rest or not isinstance(rest[0], int) or isinstance(rest[0], bool):
                raise TemplateError("a width or precision `*` wants an integer")
            text = str(int(rest.pop(0)))
        found = int(text) if text else None
        if found is not None and abs(found) > _MOST_WIDTH:
            raise TemplateError(f"a width or precision may be {_MOST_WIDTH} at the most")
        return found

    def one(match: re.Match[str]) -> str:
        flags, verb = match[1], match[4]
        width = number(match[2])
        precision = number(match[3])
        if match[3] == "":
            precision = 0
        if width is not None and width < 0:
            flags, width = flags + "-", -width
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        if not rest:
            return f"%!{verb}(MISSING)"
        text = _written(verb, flags, precision, rest.pop(0))
        return _padded(text, flags, width or 0, verb)

    found = _VERB.sub(one, layout)
    if rest:
        extra = ", ".join(["<nil>" if value is None else f"{type_name(value)}={shown(value)}" for value in rest])
        found += f"%!(EXTRA {extra})"
    return found


def _padded(text: str, flags: str, width: int, verb: str) -> str:
    if len(text) >= width:
        return text
    if "-" in flags:
        return text.ljust(width)
    if ("0" in flags and verb not in "vT") or ("0" in flags and text.lstrip("+-")[:1].isdigit()):
        sign = text[:1] if text[:1] in ("+", "-") and verb not in "sq" else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _written(verb: str, flags: str, precision: int | None, value: Any) -> str:
    if verb == "v":
        return _float("g", "", precision, value) if isinstance(value, float) and precision is not None else shown(value)
    if verb == "T":
        return "<nil>" if value is None else type_name(value)
    if isinstance(value, bool):
        return shown(value) if verb == "t" else _bad(verb, value)
    if (isinstance(value, list) and verb != "q") or (isinstance(value, dict) and verb != "q"):
        inner = (
            [_written(verb, flags, precision, item) for item in value]
            if isinstance(value, list)
            else [
                f"{_written(verb, flags, precision, key)}:{_written(verb, flags, precision, value[key])}"
                for key in sorted(value)
            ]
        )
        return f"{'map' if isinstance(value, dict) else ''}[{' '.join(inner)}]"
    if isinstance(value, str):
        return _text(verb, flags, precision, value)
    if isinstance(value, int):
        return _integer(verb, flags, precision, value)
    if isinstance(value, float):
        return _float(verb, flags, precision, value)
    if value is not None and verb in "sq":
        return _text(verb, flags, precision, shown(value))
    return _bad(verb, value)


def _text(verb: str, flags: str, precision: int | None, value: str) -> str:
    if verb in "xX":
        digits = value.encode("utf-8", "surrogateescape").hex()
        return digits.upper() if verb == "X" else digits
    if verb not in "sq":
        return _bad(verb, value)
    if precision is not None:
        value = value[:precision]
    return quoted(value) if verb == "q" else value


def _integer(verb: str, flags: str, precision: int | None, value: int) -> str:
    if hasattr(value, "word") and verb == "s":
        return shown(value)
    if verb in ("c", "U", "q"):
        if not 0 <= value < 0x110000:
            value = 0xFFFD
        return chr(value) if verb == "c" else f"U+{int(value):04X}" if verb == "U" else f"'{chr(value)}'"
    if verb not in _BASES:
        return _bad(verb, value)
    digits = format(abs(int(value)), _BASES[verb])
    if precision is not None:
        digits = digits.rjust(precision, "0")
    if "#" in flags:
        digits = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") + digits
    return f"{'-' if value < 0 else '+' if '+' in flags else ' ' if ' ' in flags else ''}{digits}"


def _float(verb: str, flags: str, precision: int | None, value: float) -> str:
    if verb not in "eEfFgG":
        return _bad(verb, value)
    if value != value or value in (float("inf"), float("-inf")) or (verb in "gG" and precision is None):
        text = shown(value).upper() if verb == "G" else shown(value)
    elif verb in "fF" and precision is None:
        text = format(value, ".6f")
    else:
        text = format(value, f".{6 if precision is None else precision}{verb}")
    if text[0] not in "+-":
        text = ("+" if "+" in flags else " " if " " in flags else "") + text
    return text if "+" in flags or not text.startswith("+") or "Inf" in text else text[1:]


def _bad(verb: str, value: Any) -> str:
    return f"%!{verb}({'<nil>' if value is None else f'{type_name(value)}={shown(value)}'})"
