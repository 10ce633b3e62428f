r"""Paths into JSON documents, in the syntax of the library gjson, which Telegraf's options use.

`name.last`, `children.1`, `children.#` (their number), `friends.#.first` (one of each), `friends.#(age>45).last` (of the
first that fits), `friends.#(age>45)#.last` (of all), `child*.?`, `fav\.movie`, `a.b|@reverse`. Of the modifiers there are
@this, @valid, @ugly, @pretty, @reverse, @keys, @values and @flatten. Paths that build new documents (`{...}`, `[...]`) are
not supported here; `kit.gjson_text` has them.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

__all__ = ["MISSING", "Path", "Unsupported", "compile_path", "compile_pattern"]


class Unsupported(ValueError):
    """A path that only `kit.gjson_text` can follow."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What a path leads to where nothing is."""

Path = Callable[[Any], Any]
"""From a document, as `json.loads` gives it, to the part that the path leads to, or MISSING."""


def compile_path(text: str) -> Path:
    """Raises ValueError for a path that is none, Unsupported for one that is not supported."""
    try:
        if text.startswith(".."):
            raise Unsupported("lines of JSON are not supported")
        pipeline = [_steps(part) for part in _split(text, "|")]
    except ValueError as error:
        raise type(error)(f"cannot read the path {text!r}: {error}") from None

    def find(document: Any) -> Any:
        for steps in pipeline:
            document = _follow(document, steps)
        return document

    return find


class _Key(Struct, frozen=True):
    name: str
    pattern: re.Pattern[str] | None

    def find(self, value: Any) -> Any:
        if isinstance(value, dict):
            if self.pattern is None:
                return value.get(self.name, MISSING)
            return next((item for key, item in value.items() if self.pattern.fullmatch(key)), MISSING)
        if isinstance(value, list) and self.name.isascii() and self.name.isdigit() and int(self.name) < len(value):
            return value[int(self.name)]
        return MISSING


class _Each(Struct, frozen=True):
    """`#`: what follows, for every element; their number where nothing does."""


class _Query(Struct, frozen=True):
    path: "tuple[_Step, ...]"
    operator: str
    wanted: str
    all: bool

    def fits(self, element: Any) -> bool:
        if self.path:
            element = _follow(element, self.path) if isinstance(element, dict | list) else MISSING
        wanted = self.wanted
        if wanted.startswith("~"):
            element, wanted = _truth(element, wanted[1:]), "true"
        if element is MISSING:
            return False
        if not self.operator:
            return True
        if isinstance(element, bool):
            return _compare(self.operator, element, wanted == "true") and wanted in ("true", "false")
        if isinstance(element, str):
            if self.operator in ("%", "!%"):
                return (compile_pattern(wanted).fullmatch(element) is not None) is (self.operator == "%")
            return _compare(self.operator, element, wanted)
        if isinstance(element, int | float):
            try:
                return _compare(self.operator, element, float(wanted))
            except ValueError:
                return _compare(self.operator, element, 0.0)
        return False


class _Modifier(Struct, frozen=True):
    function: Callable[[Any], Any]


_Step = _Key | _Each | _Query | _Modifier


def _follow(value: Any, steps: tuple[_Step, ...]) -> Any:
    for number, step in enumerate(steps):
        if value is MISSING:
            return MISSING
        if isinstance(step, _Key):
            value = step.find(value)
        elif isinstance(step, _Modifier):
            value = step.function(value)
        elif not isinstance(value, list):
            return MISSING
        else:
            rest = steps[number + 1 :]
            if isinstance(step, _Query):
                fitting = [element for element in value if step.fits(element)]
                if not step.all:
                    return _follow(fitting[0], rest) if fitting else MISSING
                value = fitting
            elif not rest:
                return len(value)
            if not rest:
                return value
            return [found for element in value if (found := _follow(element, rest)) is not MISSING]
    return value


def _compare(operator: str, one: Any, other: Any) -> bool:
    match operator:
        case "=" | "==":
            return bool(one == other)
        case "!=":
            return bool(one != other)
        case "<":
            return bool(one < other)
        case "<=":
            return bool(one <= other)
        case ">":
            return bool(one > other)
        case ">=":
            return bool(one >= other)
    return False


def _truth(value: Any, kind: str) -> bool:
    """Whether a value counts as `true`, `false`, `null` or as being there at all (`*`)."""
    there = value is not MISSING
    if kind == "*":
        return there
    if kind == "null":
        return not there or value is None
    false = not there or value is None or value is False or value in (0, "", "false", "0") or value in ([], {})
    return false if kind == "false" else not false


# Reading a path --------------------------------------------------------------------------------------------------------


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators that stand outside of parentheses and strings and behind no backslash."""
    parts, start, depth, quoted, position = [], 0, 0, False, 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == '"' and depth:
            quoted = not quoted
        elif not quoted:
            if character in "([":
                depth += 1
            elif character in ")]":
                depth -= 1
            elif character == separator and not depth:
                parts.append(text[start:position])
                start = position + 1
        position += 1
    if depth or quoted:
        raise ValueError("a parenthesis or a string is not closed")
    return [*parts, text[start:]]


def _steps(text: str) -> tuple[_Step, ...]:
    return tuple(_step(part) for part in _split(text, "."))


def _step(part: str) -> _Step:
    if part == "#":
        return _Each()
    if part.startswith("#(") and part.endswith((")", ")#")):
        return _query(part[2:].rstrip("#")[:-1], all_of_them=part.endswith("#"))
    if part.startswith("@"):
        name, _, argument = part[1:].partition(":")
        if name not in _MODIFIERS:
            raise Unsupported(f"the modifier @{name} is not supported; there are @{', @'.join(_MODIFIERS)}")
        deep = bool(argument) and '"deep":true' in argument.replace(" ", "")
        return _Modifier(lambda value: _flatten(value, deep)) if name == "flatten" else _Modifier(_MODIFIERS[name])
    if part.startswith(("{", "[", "!")):
        raise Unsupported("paths that build new documents are not supported")
    plain = re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL)
    wild = re.search(r"[*?]", re.sub(r"\\.", "", part, flags=re.DOTALL))
    return _Key(plain, compile_pattern(part) if wild else None)


_QUERY = re.compile(r"(.*?)(==|!=|<=|>=|!%|=|<|>|%)(.*)", re.DOTALL)


def _query(text: str, *, all_of_them: bool) -> _Query:
    match = _QUERY.fullmatch(text) if "#(" not in text else _nested(text)
    path, operator, wanted = (group.strip() for group in match.groups()) if match else (text.strip(), "", "")
    if wanted.startswith('"'):
        if len(wanted) < 2 or not wanted.endswith('"'):
            raise ValueError(f"the string {wanted} is not closed")
        wanted = re.sub(r"\\(.)", r"\1", wanted[1:-1], flags=re.DOTALL)
    return _Query(_steps(path) if path else (), operator, wanted, all_of_them)


def _nested(text: str) -> "re.Match[str] | None":
    """The same for a path that has queries itself: the operator is behind its last parenthesis."""
    return re.fullmatch(r"(.*\)#?[^()=!<>%]*)(==|!=|<=|>=|!%|=|<|>|%)([^()]*)", text, re.DOTALL)


def compile_pattern(text: str) -> re.Pattern[str]:
    parts, position = [""], 0  # what stands before, between and after the stars
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            position += 1
            parts[-1] += re.escape(text[position])
        elif character == "*":
            parts.append("")
        else:
            parts[-1] += "." if character == "?" else re.escape(character)
        position += 1
    # Each where it comes first, for good: documents come from anybody, and a*a*a*b would take for ever.
    between = "".join(f"(?>.*?{part})" for part in parts[1:-1])
    return re.compile(parts[0] + between + (f".*{parts[-1]}" if parts[1:] else ""), re.DOTALL)


def _same(value: Any) -> Any:
    return value


def _reverse(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(reversed(value.items()))
    return value[::-1] if isinstance(value, list) else value


def _keys(value: Any) -> Any:
    return list(value) if isinstance(value, dict) else []


def _values(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _flatten(value: Any, deep: bool) -> Any:
    if not isinstance(value, list):
        return value
    flat: list[Any] = []
    for item in value:
        flat += (_flatten(item, deep) if deep else item) if isinstance(item, list) else [item]
    return flat


_MODIFIERS: dict[str, Callable[[Any], Any]] = {
    "this": _same,
    "valid": _same,
    "ugly": _same,
    "pretty": _same,
    "reverse": _reverse,
    "keys": _keys,
    "values": _values,
    "flatten": _same,
}
