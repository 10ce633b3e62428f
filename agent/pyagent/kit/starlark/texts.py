"""Methods of Starlark's strings, and the two ways to format."""

from collections.abc import Callable
from typing import Any

from pyagent.kit.starlark.values import (
    Dict,
    Host,
    List,
    StarlarkError,
    float_text,
    repr_of,
    str_of,
    type_of,
)

__all__ = ["STRING_METHODS", "interpolate"]

MOST_CHARACTERS = 16 << 20
"""What one call of a method may make."""


def interpolate(template: str, arguments: Any) -> str:
    """`template % arguments`"""
    values = arguments if type(arguments) is tuple else (arguments,)
    parts: list[str] = []
    at = used = 0
    while (found := template.find("%", at)) >= 0:
        parts.append(template[at:found])
        at = found + 2
        code = template[found + 1 : at]
        if code == "%":
            parts.append("%")
            continue
        if not code:
            raise StarlarkError("incomplete format")
        if code == "(":
            end = template.find(")", at)
            if end < 0:
                raise StarlarkError("incomplete format key")
            key, code, at = template[at:end], template[end + 1 : end + 2], end + 2
            if type(arguments) is not Dict:
                raise StarlarkError("format requires a mapping")
            if key not in arguments:
                raise StarlarkError(f"key not found: {key}")
            value = arguments[key]
        else:
            if used >= len(values):
                raise StarlarkError("not enough arguments for format string")
            value = values[used]
            used += 1
        parts.append(_conversion(code, value))
    parts.append(template[at:])
    if used < len(values) and type(arguments) is not Dict:
        raise StarlarkError("too many arguments for format string")
    return "".join(parts)


def _conversion(code: str, value: Any) -> str:
    if code == "s":
        return str_of(value)
    if code == "r":
        return repr_of(value)
    number = isinstance(value, int | float) and type(value) is not bool
    if code and code in "dioxX":
        if not number:
            raise StarlarkError(f"%{code} format requires integer: got {type_of(value)}")
        try:
            return format(int(value), "d" if code in "di" else code)
        except (OverflowError, ValueError):
            raise StarlarkError(f"cannot convert float {float_text(value)} to integer") from None
    if code and code in "eEfFgG":
        if not number:
            raise StarlarkError(f"%{code} format requires float, not {type_of(value)}")
        return float_text(float(value), code)
    if code == "c":
        if type(value) is str and len(value) == 1:
            return value
        if type(value) is int and 0 <= value <= 0x10FFFF:
            return chr(value)
        raise StarlarkError(f"%c format requires a single-character string or a code point, not {type_of(value)}")
    raise StarlarkError(f"unknown conversion %{code}")


def _format(template: str, /, *arguments: Any, **named: Any) -> str:
    parts: list[str] = []
    size = at = used = 0
    while at < len(template):
        brace = min((found for found in (template.find("{", at), template.find("}", at)) if found >= 0), default=-1)
        if brace < 0:
            break
        parts.append(template[at:brace])
        character = template[brace]
        at = brace + 1
        if template[at : at + 1] == character:
            parts.append(character)
            at += 1
            continue
        if character == "}":
            raise StarlarkError("format: single '}' in format")
        end = template.find("}", at)
        if end < 0:
            raise StarlarkError("format: unmatched '{' in format")
        name, _, conversion = template[at:end].partition("!")
        at = end + 1
        if ":" in name or ":" in conversion:
            raise StarlarkError("format: format spec features not supported in replacement fields")
        if not name:
            if used < 0:
                raise StarlarkError(
                    "format: cannot switch from manual field specification to automatic field numbering"
                )
            name, used = str(used), used + 1
        elif name.isdigit():
            if used > 0:
                raise StarlarkError("format: cannot switch from automatic field numbering to manual")
            used = -1
        if name.isdigit():
            if int(name) >= len(arguments):
                raise StarlarkError("format: tuple index out of range")
            value = arguments[int(name)]
        elif name in named:
            value = named[name]
        else:
            raise StarlarkError(f"format: keyword {name} not found")
        if conversion not in ("", "s", "r"):
            raise StarlarkError(f"format: unknown conversion {repr_of(conversion)}")
        parts.append(repr_of(value) if conversion == "r" else str_of(value))
        size += len(parts[-1])
        _check(size)
    return "".join([*parts, template[at:]])


def _check(size: int) -> None:
    if size > MOST_CHARACTERS:
        raise StarlarkError("the text is too long")


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise StarlarkError(f"{what}: got {type_of(value)}, want string")
    return value


def _join(separator: str, items: Any, /) -> str:
    if isinstance(items, Host) or not isinstance(items, list | tuple | dict):
        raise StarlarkError(f"join: got {type_of(items)}, want iterable")
    for number, item in enumerate(items):
        if type(item) is not str:
            raise StarlarkError(f"join: in list, want string, got {type_of(item)} at {number}")
    _check(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def _replace(text: str, old: Any, new: Any, count: Any = -1, /) -> str:
    old, new = _text(old, "replace"), _text(new, "replace")
    if type(count) is not int:
        raise StarlarkError(f"replace: got {type_of(count)}, want int")
    _check(len(text) + (text.count(old) if count < 0 else min(text.count(old), count)) * len(new))
    return text.replace(old, new, count)


def _split(text: str, separator: Any = None, most: Any = -1, /) -> List:
    if separator is not None and not _text(separator, "split"):
        raise StarlarkError("split: empty separator")
    return List(text.split(separator, most))


def _rsplit(text: str, separator: Any = None, most: Any = -1, /) -> List:
    if separator is not None and not _text(separator, "rsplit"):
        raise StarlarkError("rsplit: empty separator")
    return List(text.rsplit(separator, most))


def _splitlines(text: str, keepends: Any = False, /) -> List:
    lines = text.split("\n")
    last = lines.pop()
    return List([line + "\n" * bool(keepends) for line in lines] + [last] * bool(last))


def _affix(method: Callable[..., bool], name: str) -> Callable[..., bool]:
    def has(text: str, affix: Any, start: Any = None, end: Any = None, /) -> bool:
        if type(affix) is tuple:
            return any(method(text, _text(one, name), start, end) for one in affix)
        return method(text, _text(affix, name), start, end)

    return has


def _find(method: Callable[..., int], name: str, *, fails: bool = False) -> Callable[..., int]:
    def find(text: str, part: Any, start: Any = None, end: Any = None, /) -> int:
        _text(part, name)
        found = method(
            text if text.isascii() else text.encode("utf-8", "surrogateescape"),
            part if text.isascii() else part.encode("utf-8", "surrogateescape"),
            start,
            end,
        )
        if fails and found < 0:
            raise StarlarkError(f"{name}: substring not found")
        return found

    return find


def _left(text: Any, part: Any, start: Any, end: Any) -> int:
    return int(text.find(part, start, end))


def _right(text: Any, part: Any, start: Any, end: Any) -> int:
    return int(text.rfind(part, start, end))


def _partition(method: Callable[[str, str], tuple[str, str, str]], name: str) -> Callable[..., tuple[str, str, str]]:
    def partition(text: str, separator: Any, /) -> tuple[str, str, str]:
        if not _text(separator, name):
            raise StarlarkError(f"{name}: empty separator")
        return method(text, separator)

    return partition


def _with_texts(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method of Python's whose arguments are texts."""

    def call(text: str, /, *arguments: Any) -> Any:
        for argument in arguments:
            _text(argument, name)
        return method(text, *arguments)

    return call


def _capitalize(text: str, /) -> str:
    return text[:1].upper() + text[1:].lower()


def _elems(text: str, /) -> tuple[str, ...]:
    if text.isascii():
        return tuple(text)
    data = text.encode("utf-8", "surrogateescape")
    return tuple(data[at : at + 1].decode("utf-8", "surrogateescape") for at in range(len(data)))


_OWN: dict[str, Callable[..., Any]] = {
    "capitalize": _capitalize,
    "codepoint_ords": lambda text, /: tuple(map(ord, text)),
    "codepoints": lambda text, /: tuple(text),
    "count": lambda text, part, start=None, end=None, /: text.count(_text(part, "count"), start, end),
    "elem_ords": lambda text, /: tuple(text.encode("utf-8", "surrogateescape")),
    "elems": _elems,
    "endswith": _affix(str.endswith, "endswith"),
    "find": _find(_left, "find"),
    "format": _format,
    "index": _find(_left, "index", fails=True),
    "join": _join,
    "partition": _partition(str.partition, "partition"),
    "replace": _replace,
    "rfind": _find(_right, "rfind"),
    "rindex": _find(_right, "rindex", fails=True),
    "rpartition": _partition(str.rpartition, "rpartition"),
    "rsplit": _rsplit,
    "split": _split,
    "splitlines": _splitlines,
    "startswith": _affix(str.startswith, "startswith"),
}
STRING_METHODS = _OWN | {
    name: _with_texts(getattr(str, name), name)
    for name in """isalnum isalpha isdigit islower isspace istitle isupper lower lstrip removeprefix removesuffix rstrip strip
        title upper""".split()  # noqa: SIM905
}
"""Indices count bytes of UTF-8, as in Go."""
