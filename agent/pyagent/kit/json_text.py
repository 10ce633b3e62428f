"""JSON as Go's library writes it: what serializers of formats that are JSON put together.

Numbers have the fewest digits that read back as the same; `<`, `>` and `&` are escaped, so that the text can stand in a page
of HTML; bytes that are not UTF-8 become U+FFFD.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from pyagent.api.metric import FieldValue
from pyagent.kit.field_texts import FieldTexts

__all__ = ["JSON_TEXTS", "json_any", "json_bytes", "json_number", "json_object", "json_quoted", "json_value"]

_ESCAPES = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_ESCAPED = re.compile("[<>&\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_quoted = json.encoder.encode_basestring


def json_bytes(text: str) -> bytes:
    if text.isascii():
        return text.encode("ascii")
    return _SURROGATES.sub("\ufffd", text).encode()


def json_quoted(text: str) -> str:
    quoted = _quoted(text)
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], quoted) if _ESCAPED.search(quoted) else quoted


def json_number(value: float) -> str:
    """Empty for what is no number. Exponents from 1e21 on and below 1e-6, as in JavaScript."""
    text = repr(value)
    if text[-2:] == ".0":
        return text[:-2]
    if "e" not in text and "n" not in text:
        return text
    return _with_exponent(value, text) if math.isfinite(value) else ""


def _with_exponent(value: float, text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    if mantissa.endswith(".0"):
        mantissa = mantissa[:-2]
    if abs(value) < 1e-6 or abs(value) >= 1e21:
        return f"{mantissa}e{'-' if exponent[0] == '-' else '+'}{int(exponent.lstrip('+-'))}"
    # repr has an exponent from 1e16 on and below 1e-4.
    sign = "-" if value < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits, point = whole + fraction, len(whole) + int(exponent)
    return f"{sign}{digits.ljust(point, '0')}" if point > 0 else f"{sign}0.{'0' * -point}{digits}"


JSON_TEXTS = FieldTexts(text=json_quoted, number=json_number)
"""Values as they stand in JSON; empty for NaN and infinities."""


def json_value(value: FieldValue) -> str:
    """Raises ValueError for NaN and infinities."""
    if text := JSON_TEXTS[type(value)](value):
        return text
    raise ValueError(f"JSON has no number {value}")


def json_object(values: Mapping[str, FieldValue]) -> str:
    """Sorted by the keys. Raises ValueError for NaN and infinities."""
    return "{" + ",".join([f"{json_quoted(key)}:{json_value(values[key])}" for key in sorted(values)]) + "}"


def json_any(value: Any, quote: Callable[[str], str] = json_quoted, line: str = "") -> str:
    """Of None, texts, numbers, booleans, lists and maps of these; maps are sorted by their keys. `line`: a line end, for text
    that is indented. Raises ValueError for anything else, and for NaN and infinities."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool | int | float):
        return json_value(value)
    if not isinstance(value, list | dict):
        raise ValueError(f"a {type(value).__name__} cannot be JSON")
    inner = line and line + "  "
    if isinstance(value, list):
        items = [json_any(item, quote, inner) for item in value]
    else:
        colon = ": " if line else ":"
        items = [f"{quote(key)}{colon}{json_any(value[key], quote, inner)}" for key in sorted(value)]
    opened, closed = "[]" if isinstance(value, list) else "{}"
    return f"{opened}{inner}{f',{inner}'.join(items)}{line}{closed}" if items else opened + closed
