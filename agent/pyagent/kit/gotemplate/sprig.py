"""What the functions of the library Sprig do, where a line is too little."""

import base64
import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from math import floor, isfinite
from typing import Any, Never
from zoneinfo import ZoneInfo

from pyagent.api.metric import Metric
from pyagent.kit.gotemplate.values import TemplateError, Texts, Time, quoted, shown, type_name
from pyagent.kit.json_text import json_any
from pyagent.kit.layouts import TimeLayout
from pyagent.kit.regex import compile_regex, compile_template

__all__ = [
    "adler32",
    "atoi",
    "b64dec",
    "b64enc",
    "cut",
    "date",
    "date_in_zone",
    "decimals",
    "digest",
    "divided",
    "fail",
    "from_json",
    "has",
    "indent",
    "initials",
    "kind_of",
    "make_dict",
    "now",
    "put",
    "quote",
    "regex_find",
    "regex_match",
    "regex_quote",
    "regex_replace",
    "regex_replace_literal",
    "repeat",
    "round_places",
    "rounded",
    "split",
    "substr",
    "text_of",
    "texts_of",
    "title",
    "to_float",
    "to_integer",
    "to_json",
    "to_pretty_json",
    "to_raw_json",
    "trunc",
    "uniq",
    "unix_epoch",
    "until",
    "untitle",
    "without",
]

_MOST_TEXT = 1 << 20
_MOST_ITEMS = 100_000
_DECIMALS = Context(prec=60, rounding=ROUND_HALF_UP)


# Texts


def title(text: str) -> str:
    return re.sub(r"(?<![\w])\w", lambda match: match[0].upper(), text)


def untitle(text: str) -> str:
    return re.sub(r"(?<!\S)\S", lambda match: match[0].lower(), text)


def initials(text: str) -> str:
    return "".join([word[0] for word in text.split()])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def trunc(length: int, text: str) -> str:
    data = _bytes(text)
    cut = data[:length] if length >= 0 else data[length:] if len(data) + length > 0 else data
    return cut.decode("utf-8", "surrogateescape")


def substr(start: int, end: int, text: str) -> str:
    data = _bytes(text)
    if start < 0:
        cut = data[: max(end, 0)]
    elif end < 0 or end > len(data):
        cut = data[start:]
    else:
        cut = data[start:end]
    return cut.decode("utf-8", "surrogateescape")


def repeat(count: int, text: str) -> str:
    if count < 0 or count * len(text) > _MOST_TEXT:
        raise TemplateError(f"a text cannot be repeated {count} times")
    return text * count


def indent(width: int, text: str) -> str:
    if not 0 <= width <= 1000:
        raise TemplateError(f"a text cannot be indented by {width}")
    return " " * width + text.replace("\n", "\n" + " " * width)


def quote(*values: Any) -> str:
    return " ".join([quoted(text_of(value)) for value in values if value is not None])


def split(cut: str, text: str) -> dict[str, str]:
    return Texts({f"_{number}": part for number, part in enumerate(text.split(cut) if cut else text)})


def fail(text: str) -> Never:
    raise TemplateError(text)


def b64enc(text: str) -> str:
    return base64.b64encode(_bytes(text)).decode()


def b64dec(text: str) -> str:
    try:
        return base64.b64decode(_bytes(text), validate=True).decode("utf-8", "surrogateescape")
    except ValueError as error:
        return str(error)


def digest(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, _bytes(text), usedforsecurity=False).hexdigest()


def adler32(text: str) -> str:
    return str(zlib.adler32(_bytes(text)))


def regex_match(pattern: str, text: str) -> bool:
    return compile_regex(pattern).search(text) is not None


def regex_find(pattern: str, text: str) -> str:
    found = compile_regex(pattern).find(text)
    return found[0] if found else ""


def regex_replace(pattern: str, text: str, new: str) -> str:
    regex = compile_regex(pattern)
    found = regex.replace(text, compile_template(regex, new))
    return text if found is None else found


def regex_replace_literal(pattern: str, text: str, new: str) -> str:
    found = compile_regex(pattern).replace(text, (new,))
    return text if found is None else found


def regex_quote(text: str) -> str:
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


# Kinds of values


def text_of(value: Any) -> str:
    return shown(value)


def texts_of(value: Any) -> list[str]:
    if value is None:
        return []
    return [text_of(item) for item in value if item is not None] if isinstance(value, list) else [text_of(value)]


def to_integer(value: Any) -> int:
    """0 for what is no number."""
    if isinstance(value, float):
        return int(value) if abs(value) < 2**63 else -(2**63)
    if isinstance(value, int):
        return (int(value) + 2**63) % 2**64 - 2**63
    if isinstance(value, str):
        text = re.sub(r"(?<=[0-9])\.[0-9]*$", "", value)
        try:
            found = int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else int(text, 0) if len(text) < 70 else 0
        except ValueError:
            return 0
        return found if -(2**63) <= found < 2**63 else 0
    return 0


def to_float(value: Any) -> float:
    """0 for what is no number."""
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) and value == value.strip() and len(value) < 400 else 0.0
    except ValueError:
        return 0.0


def atoi(text: str) -> int:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else 0


def kind_of(value: Any) -> str:
    if value is None:
        return "invalid"
    if isinstance(value, list | dict):
        return "map" if isinstance(value, dict) else "slice"
    return {Metric: "ptr", Time: "struct"}.get(type(value), type_name(value))


# Numbers


def rounded(run: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(run(value)) if isfinite(value) else value


def round_places(value: Any, places: int) -> float:
    """Halves go up."""
    if abs(places) > 300:
        raise TemplateError(f"a number cannot be rounded to {places} places")
    number, power = to_float(value), 10.0**places
    digits = number * power
    if not isfinite(digits):
        return number
    # The part behind the point, which has the number's sign.
    part = digits - int(digits)
    whole = floor(digits) + (1 if part >= 0.5 and digits != floor(digits) else 0)
    return float(whole) / power


def decimals(run: Callable[[Decimal, Decimal], Decimal], *more: float) -> Callable[..., float]:
    """In decimal digits, as a person computes: 0.1 and 0.2 are 0.3."""

    def computed(*values: Any) -> float:
        numbers = [to_float(value) for value in (*values, *more)]
        if not all(map(isfinite, numbers)):
            raise TemplateError("NaN and infinities are no decimal numbers")
        first, *others = [Decimal(repr(number)) for number in numbers]
        for other in others:
            first = run(first, other)
            if first and abs(first.adjusted()) > 400:
                raise TemplateError("the number is out of range")
        return float(first)

    return computed


def divided(one: Decimal, other: Decimal) -> Decimal:
    if not other:
        raise TemplateError("a number cannot be divided by 0")
    return _DECIMALS.divide(one, other).quantize(Decimal("1e-16"), context=Context(prec=900, rounding=ROUND_HALF_UP))


def until(start: int, stop: int, step: int) -> list[int]:
    if not step or (stop - start) * step < 0:
        return []
    items = range(start, stop, step)
    if len(items) > _MOST_ITEMS:
        raise TemplateError(f"a list may have {_MOST_ITEMS} items at the most")
    return list(items)


# Lists and maps


def uniq(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items[:_MOST_ITEMS]:
        if not _among(item, found):
            found.append(item)
    return found


def without(items: list[Any], *others: Any) -> list[Any]:
    return [item for item in items if not _among(item, others)]


def cut(items: list[Any], *bounds: int) -> list[Any]:
    start, end = (*bounds, *(0, len(items))[len(bounds) :])[:2]
    if not 0 <= start <= end <= len(items):
        raise TemplateError(f"there are no items {start} to {end}, there are {len(items)}")
    return items[start:end]


def has(wanted: Any, items: list[Any]) -> bool:
    return _among(wanted, items)


def _among(wanted: Any, items: Any) -> bool:
    return any(type(item) is type(wanted) and item == wanted for item in items)


def make_dict(*values: Any) -> dict[str, Any]:
    keys = [text_of(key) for key in values[::2]]
    return dict(zip(keys, [*values[1::2], *([""] if len(values) % 2 else [])], strict=True))


def put(found: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    if _holds(value, found):
        raise TemplateError("a map cannot hold itself")
    found[key] = value
    return found


def _holds(value: Any, wanted: Any) -> bool:
    if value is wanted:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds(item, wanted) for item in inner)


# JSON


def from_json(text: str) -> Any:
    try:
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None


def to_json(value: Any) -> str:
    return json_any(_plain(value))


def to_raw_json(value: Any) -> str:
    return json_any(_plain(value), json.encoder.encode_basestring)


def to_pretty_json(value: Any) -> str:
    return json_any(_plain(value), line="\n")


def _plain(value: Any) -> Any:
    return value.format("2006-01-02T15:04:05.999999999Z07:00") if isinstance(value, Time) else value


# Times


def now() -> Time:
    return Time(time.time_ns())


def unix_epoch(value: Any) -> str:
    if not isinstance(value, Time):
        raise TemplateError(f"it wants a time, not a {type_name(value)}")
    return str(value.ns // 1_000_000_000)


def date(layout: str, value: Any) -> str:
    """In this host's zone."""
    return TimeLayout(layout, None).format(_time(value).ns)


def date_in_zone(layout: str, value: Any, name: str) -> str:
    if name == "Local":
        return date(layout, value)
    try:
        zone = ZoneInfo(name or "UTC")
    except (OSError, ValueError):  # Go takes what it does not know for UTC
        zone = ZoneInfo("UTC")
    return TimeLayout(layout, zone).format(_time(value).ns)


def _time(value: Any) -> Time:
    if isinstance(value, Time):
        return value
    # Seconds; what is none of all this is the present.
    return Time(int(value) * 1_000_000_000) if isinstance(value, int) and not isinstance(value, bool) else now()
