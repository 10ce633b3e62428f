"""Values within JSON texts: what gjson's paths find, with its text and where that begins."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from pyagent.api.units import format_number
from pyagent.kit.gjson import MISSING

__all__ = ["NOTHING", "Result", "blank", "children", "quoted", "read"]

_decoder = json.JSONDecoder(parse_int=float, parse_constant=lambda _: None)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]  # typeshed has it not
blank: Final = re.compile(r"[ \t\r\n]*+").match
_between: Final = re.compile(r"[ \t\r\n,:]*+").match


class Result:
    """A value within a text."""

    __slots__ = ("index", "indexes", "raw", "value")

    def __init__(self, raw: str, value: Any, index: int = 0, indexes: list[int] | None = None) -> None:
        self.raw = raw
        """Its text; empty where nothing was found."""
        self.value = value
        """As `json.loads` gives it with floats for all numbers; MISSING where nothing was found."""
        self.index = index
        """Where its text begins, 0 where that is unknown."""
        self.indexes = indexes
        """For a list that a `#` in a path made: where its elements begin."""

    @property
    def is_object(self) -> bool:
        return self.raw.startswith("{")

    @property
    def is_list(self) -> bool:
        return self.raw.startswith("[")

    def text(self) -> str:
        value = self.value
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None or value is MISSING:
            return ""
        if isinstance(value, float) and not self.raw.removeprefix("-").isdigit():
            return format_number(value)
        return self.raw


NOTHING: Final = Result("", MISSING)


def read(text: str) -> Result:
    """The whole of a text."""
    start = blank(text).end()  # type: ignore[union-attr]  # it matches anything
    try:
        value, end = _scan(text, start)
    except (StopIteration, ValueError):
        return NOTHING
    return Result(text[start:end], value)


def children(result: Result) -> Iterator[tuple[str, str, Result]]:
    """Key, its text (empty in lists), and value of each member of an object or a list."""
    raw, position = result.raw, 1
    is_object = result.is_object
    count = 0
    key = key_raw = ""
    try:
        while True:
            position = _between(raw, position).end()  # type: ignore[union-attr]
            if raw[position : position + 1] in ("", "]", "}"):
                return
            if is_object:
                key, end = _scan(raw, position)
                if not isinstance(key, str):
                    return  # the text is no JSON
                key_raw = raw[position:end]
                position = _between(raw, end).end()  # type: ignore[union-attr]
            value, end = _scan(raw, position)
            index = position + result.index
            if result.indexes is not None:
                index = result.indexes[count] if count < len(result.indexes) else 0
            yield key, key_raw, Result(raw[position:end], value, index)
            position = end
            count += 1
    except (StopIteration, ValueError):
        return


def quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub("[<>&\x7f\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", quoted)
