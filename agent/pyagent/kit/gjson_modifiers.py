"""What `@name` and `@name:argument` in a path of gjson make of a JSON text."""

import re
from collections.abc import Callable
from typing import Final

from pyagent.kit.gjson_results import Result, children, quoted, read

__all__ = ["MODIFIERS"]

_OUTSIDE = re.compile(r'("(?:[^"\\]|\\.)*+")|[ \t\r\n]+', re.DOTALL)


def _flag(argument: str, name: str) -> bool:
    for key, _, value in children(read(argument)) if argument else ():
        if key == name:
            return value.value is True or value.value == "true" or (type(value.value) is float and value.value != 0)
    return False


def _this(text: str, argument: str) -> str:
    return text


def _ugly(text: str, argument: str) -> str:
    return _OUTSIDE.sub(lambda match: match[1] or "", text)


def _reverse(text: str, argument: str) -> str:
    place = read(text)
    if place.is_list:
        return "[" + ",".join(value.raw for _, _, value in [*children(place)][::-1]) + "]"
    if place.is_object:
        return "{" + ",".join(f"{key}:{value.raw}" for _, key, value in [*children(place)][::-1]) + "}"
    return text


def _flatten(text: str, argument: str) -> str:
    deep = _flag(argument, "deep")

    def parts(place: Result) -> list[str]:
        found: list[str] = []
        for _, _, value in children(place):
            if not value.is_list:
                found.append(value.raw)
            elif deep:
                found += parts(value)
            else:
                found += [inner] if (inner := value.raw[1:-1].strip()) else []
        return found

    place = read(text)
    return "[" + ",".join(parts(place)) + "]" if place.is_list else text


def _keys(text: str, argument: str) -> str:
    place = read(text)
    if not place.raw:
        return "[]"
    if place.is_object or place.is_list:
        return "[" + ",".join(key or "null" for _, key, _ in children(place)) + "]"
    return "[null]"


def _values(text: str, argument: str) -> str:
    place = read(text)
    if place.is_list:
        return text
    if place.is_object:
        return "[" + ",".join(value.raw for _, _, value in children(place)) + "]"
    return f"[{place.raw}]"


def _join(text: str, argument: str) -> str:
    place = read(text)
    if not place.is_list:
        return text
    objects = [value for _, _, value in children(place) if value.is_object]
    if _flag(argument, "preserve"):
        return "{" + ",".join(value.raw[1:-1] for value in objects) + "}"
    keys: dict[str, str] = {}
    values: dict[str, str] = {}
    for item in objects:
        for key, raw, value in children(item):
            keys.setdefault(key, raw)
            values[key] = value.raw
    return "{" + ",".join(f"{raw}:{values[key]}" for key, raw in keys.items()) + "}"


def _valid(text: str, argument: str) -> str:
    place = read(text)
    return text if place.raw and place.raw == text.strip(" \t\r\n") else ""


def _from_text(text: str, argument: str) -> str:
    return read(text).text() if _valid(text, "") else ""


def _to_text(text: str, argument: str) -> str:
    return quoted(text)


def _group(text: str, argument: str) -> str:
    place = read(text)
    if not place.is_object:
        return ""
    rows: list[list[str]] = []
    for _, key, value in children(place):
        for number, (_, _, item) in enumerate(children(value) if value.is_list else ()):
            if number == len(rows):
                rows.append([])
            rows[number].append(f"{key}:{item.raw}")
    return "[" + ",".join("{" + ",".join(row) + "}" for row in rows) + "]"


MODIFIERS: Final[dict[str, Callable[[str, str], str]]] = {
    "flatten": _flatten,
    "fromstr": _from_text,
    "group": _group,
    "join": _join,
    "keys": _keys,
    "pretty": _this,
    "reverse": _reverse,
    "this": _this,
    "tostr": _to_text,
    "ugly": _ugly,
    "valid": _valid,
    "values": _values,
}
