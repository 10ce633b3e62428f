"""Paths into JSON texts, in the syntax of the library gjson, with what its results know of their place in the text.

`kit.gjson` finds values; this finds texts: what was written there, and at which position. Everything of gjson's syntax is
here, also paths that make new documents (`{name.first,"years":age}`, `[a,b]`, `!"text"`), and all of its modifiers.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from pyagent.booleans import BOOLEANS
from pyagent.kit.gjson import MISSING, compile_pattern
from pyagent.kit.gjson_modifiers import MODIFIERS
from pyagent.kit.gjson_results import NOTHING, Result, blank, children, quoted, read
from pyagent.kit.gjson_syntax import array_path, name_of_last, object_path, selectors, split_pipe, squash

__all__ = ["find"]

_MOST_MADE = 64 << 20
"""Characters of a document that a path makes: `[@this,@this]|[@this,@this]` is four times what it was."""


class _Parts:
    """Texts of which one is made."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Raises ValueError."""
        self._size += len(text) + 1
        _check(self._size)
        self.texts.append(text)


def _check(size: int) -> None:
    if size > _MOST_MADE:
        raise ValueError(
            f"a path makes more than {_MOST_MADE >> 20} MiB of the document; name fewer parts of it, and each once"
        )


class _Search:
    """One search in one text. `pipe`: the path to follow from what was found."""

    __slots__ = ("found", "pipe", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.found = NOTHING
        self.pipe: str | None = None

    def within(self, place: Result, path: str) -> bool:
        if place.is_object:
            return self._object(place, path)
        return place.is_list and self._list(place, path)

    def _object(self, place: Result, path: str) -> bool:
        part, rest, pipe, wild = object_path(path)
        if pipe is not None:
            self.pipe = pipe
        fits = compile_pattern(part).fullmatch if wild else part.__eq__
        for key, _, value in children(place):
            if not fits(key):
                continue
            if rest is None:
                self.found = value
                return True
            if self.within(value, rest):
                return True
        return False

    def _list(self, place: Result, path: str) -> bool:
        step = array_path(path)
        if step.pipe is not None and step.path is None:
            self.pipe = step.pipe
        elements = [value for _, _, value in children(place)]
        if step.query is not None:
            return self._query(step, elements)
        if step.each is not None:
            key = step.each
            if (split := split_pipe(key)) is not None:
                key, self.pipe = split
            parts, places = _Parts(), []
            for element in elements:
                if (hit := _relative(element, key)).raw:
                    parts.add(hit.raw)
                    places.append(hit.index)
            self.found = _joined("[]", parts.texts, places)
            return True
        if step.part == "#":
            raw = str(len(elements))
            self.found = Result(raw, float(raw))
            return True
        if step.counted or not (step.part.isascii() and step.part.isdigit()) or int(step.part[:18]) >= len(elements):
            return False
        element = elements[int(step.part)]
        if step.path is None:
            self.found = element
            return True
        return self.within(element, step.path)

    def _query(self, step: Any, elements: list[Result]) -> bool:
        parts, indexes = _Parts(), []
        for element in elements:
            if element.is_object or element.is_list:
                value = find(element.raw, step.query.path)
            elif step.query.path:
                continue
            else:
                value = element
            if not _fits(step.query.operator, step.query.wanted, value):
                continue
            found = element
            if step.path is not None:
                if (split := split_pipe(step.path)) is not None:
                    step.path, self.pipe = split
                found = _relative(element, step.path)
            if not step.all:
                self.found = found
                return True
            if found.raw:
                parts.add(found.raw)
                indexes.append(found.index)
        if step.all and self.found is NOTHING:
            self.found = _joined("[]", parts.texts, indexes or None)
        return False


def _joined(brackets: str, texts: list[str], indexes: list[int] | None = None) -> Result:
    made = read(brackets[0] + ",".join(texts) + brackets[1])
    made.indexes = indexes
    return made


def _relative(place: Result, path: str) -> Result:
    """What a path leads to from a part of a text, with its position in the whole of it."""
    found = find(place.raw, path)
    if not found.raw:
        return found
    indexes = [index + place.index for index in found.indexes] if found.indexes is not None else None
    return Result(found.raw, found.value, found.index if indexes is not None else found.index + place.index, indexes)


def find(text: str, path: str) -> Result:
    """What a path leads to; its `raw` is empty where there is nothing."""
    if len(path) > 1:
        if path[0] in "@!" and (made := (_modified if path[0] == "@" else _static)(text, path)) is not None:
            made_text, rest = made
            if rest[:1] in ("|", ".") and rest:
                found = find(made_text, rest[1:])
                return Result(found.raw, found.value)
            return read(made_text)
        if path[0] in "[{" and (several := selectors(path)) is not None:
            parts, rest = several
            if not rest or rest[0] in "|.":
                found = _selected(text, path[0], parts)
                found = find(found.raw, rest[1:]) if rest else found
                return Result(found.raw, found.value, 0, found.indexes)
    search = _Search(text)
    if path.startswith(".."):
        search.within(read(f"[{text}]"), path[2:])
    else:
        start = blank(text).end()  # type: ignore[union-attr]
        search.within(Result(text[start:], None, start), path)
    if search.pipe is not None:
        found = find(search.found.raw, search.pipe)
        return Result(found.raw, found.value, 0, found.indexes)
    return search.found


def _selected(text: str, kind: str, parts: list[tuple[str, str]]) -> Result:
    made = _Parts()
    for name, path in parts:
        if not (found := find(text, path)).raw:
            continue
        key = ""
        if kind == "{":
            if not name:
                last = name_of_last(path)
                key = quoted(last if not re.search(r"[\0-\x1f\[\]{}()#|!]", last) else "_") + ":"
            else:
                key = (name if name[0] == '"' and read(name).raw == name else quoted(name)) + ":"
        made.add(key + found.raw)
    return _joined("{}" if kind == "{" else "[]", made.texts)


def _fits(operator: str, wanted: str, value: Result) -> bool:
    found = value.value
    if wanted.startswith("~"):
        kind = wanted[1:]
        if kind not in ("*", "null", "true", "false"):
            return False
        if kind == "*":
            found = found is not MISSING
        elif kind == "null":
            found = found is None or found is MISSING
        else:
            found = _truth(found) is (kind == "true")
        wanted = "true"
    if found is MISSING:
        return False
    if not operator:
        return True
    if isinstance(found, bool):
        return _compared(operator, found, wanted)
    if isinstance(found, str):
        if operator in ("%", "!%"):
            return (compile_pattern(wanted).fullmatch(found) is not None) is (operator == "%")
        return _ORDER[operator](found, wanted)
    if isinstance(found, float) and operator in _ORDER:
        try:
            return _ORDER[operator](found, float(wanted))
        except ValueError:
            return _ORDER[operator](found, 0.0)
    return False


_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda one, other: bool(one == other),
    "!=": lambda one, other: bool(one != other),
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
}


def _compared(operator: str, found: bool, wanted: str) -> bool:
    match operator:
        case "=":
            return wanted == ("true" if found else "false")
        case "!=":
            return wanted != ("true" if found else "false")
        case ">":
            return found and wanted == "false"
        case ">=":
            return found
        case "<":
            return not found and wanted == "true"
        case "<=":
            return not found
    return False


def _truth(value: Any) -> bool | None:
    """Whether a value counts as true or as false, None for neither."""
    if isinstance(value, str):
        return BOOLEANS.get(value.lower())
    if value is None or value is MISSING:
        return False
    return bool(value) if isinstance(value, bool | float) else None


def _static(text: str, path: str) -> tuple[str, str] | None:
    name = path[1:]
    if name[:1] and name[0] in '{["+-0123456789':
        made = squash(name)
        return made, name[len(made) :]
    end = min((at for at in (path.find("|"), path.find(".")) if at > 0), default=len(path))
    name = path[1:end] if end < len(path) else path[1:]
    return (name, path[end:]) if name.lower() in ("true", "false", "null", "nan", "inf") else None


def _modified(text: str, path: str) -> tuple[str, str] | None:
    match = re.compile(r"@([^:|.]*)(:?)", re.DOTALL).match(path)
    if match is None or (function := _MODIFIERS.get(match[1])) is None:
        return None
    rest, argument = path[match.end() :], ""
    if match[2] and rest:
        if rest[0] in '{["' and read(rest).raw:
            argument = squash(rest)
        else:
            end = 0
            while end < len(rest) and rest[end] != "|":
                end += len(squash(rest[end:])) if rest[end] in '{["(' else 1
            argument = rest[:end]
        rest = rest[len(argument) :]
    made = function(text, argument)
    _check(len(made) - len(text))
    return made, rest


def _dig(text: str, argument: str) -> str:
    found = _Parts()

    def search(place: Result) -> None:
        if (hit := find(place.raw, argument)).raw:
            found.add(hit.raw)
        if place.is_object or place.is_list:
            for _, _, value in children(place):
                search(value)

    search(read(text))
    return "[" + ",".join(found.texts) + "]"


_MODIFIERS: Final = {**MODIFIERS, "dig": _dig}
