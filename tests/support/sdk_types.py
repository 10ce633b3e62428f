"""Whether an object of the SDK holds what its annotations say: `from_json` takes anything."""

import enum
import functools
import types
import typing
from collections.abc import Iterator
from typing import Any

__all__ = ["mistakes"]


def mistakes(value: Any, hint: Any, path: str = "") -> Iterator[str]:
    """A line for each value that is of another type than its annotation."""
    if hint is Any or hint is object or _is_plainly(value, hint):
        return
    origin, arguments = _parts(hint)
    if origin in _UNIONS:
        found = []
        for each in arguments:
            if not (lines := list(mistakes(value, each, path))):
                return
            found.append(lines)
        # Of the kind that it is, rather than that it is none of the others.
        yield from min(found, key=lambda lines: (lines[0].startswith(f"{path}: "), len(lines)))
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif origin in (list, dict):
        if not isinstance(value, origin):
            yield f"{path}: {value!r} is no {origin.__name__}"
            return
        items = value.items() if origin is dict else enumerate(value)
        for key, item in items:
            yield from mistakes(item, arguments[-1], f"{path}[{key}]")
    elif hint in (float, int):
        if not isinstance(value, int if hint is int else (int, float)) or isinstance(value, bool):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in list(hint):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif not isinstance(value, hint):
        yield f"{path}: {value!r} is no {hint.__name__}"
    else:
        yield from _attributes(value, path)


_UNIONS = (typing.Union, types.UnionType)
_PLAIN = frozenset((str, bool, int, float, type(None)))


def _is_plainly(value: Any, hint: Any) -> bool:
    """Soon said of most values: they are of a simple type, which is the annotation or stands in it."""
    kind = type(value)
    if kind not in _PLAIN:
        return False
    origin, arguments = _parts(hint)
    return kind is hint or (origin in _UNIONS and kind in arguments)


@functools.cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(hint), typing.get_args(hint)


_hints = functools.cache(typing.get_type_hints)


def _attributes(value: Any, path: str) -> Iterator[str]:
    if not type(value).__module__.startswith("grafana_foundation_sdk"):
        return
    for name, hint in _hints(type(value)).items():
        item = getattr(value, name)
        if not _is_plainly(item, hint):
            yield from mistakes(item, hint, f"{path}.{name}")
    # Options and custom settings of a panel are objects of its own kind.
    for name, item in vars(value).items():
        if type(item).__module__.startswith("grafana_foundation_sdk.models"):
            yield from _attributes(item, f"{path}.{name}")
