"""JSON read as Go's encoding/json reads it into a struct, with its words for what does not fit."""

import json
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.goscan import after_value, syntax_error
from pyagent.sandbox.gotime import parse_go_time
from pyagent.sandbox.ids import parse_id

_HALVES: Final = re.compile("[\ud800-\udfff]")
_INT64: Final = range(-(2**63), 2**63)
_MOST_NESTED: Final = 200
"""Levels; Go takes 10,000. What Python can read and write hangs on its version and on who calls."""


class GoJSONError(Exception):
    """What Go's decoder says.

    `code` is set where a value's own reader refused it with one of InfluxDB's codes; `is_json`: only a value does not fit.
    """

    def __init__(self, message: str, code: str = "", *, is_json: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.is_json = is_json


class Shape(NamedTuple):
    """A type of Go: its kind, its name in messages, what its elements are, and a struct's fields by their JSON names."""

    kind: str
    name: str
    of: "Shape | None" = None
    fields: "dict[str, Shape] | None" = None


STRING: Final = Shape("string", "string")
BOOL: Final = Shape("bool", "bool")
INT64: Final = Shape("int", "int64")
DURATION: Final = Shape("int", "time.Duration")
ID: Final = Shape("id", "platform.ID")
TIME: Final = Shape("time", "time.Time")
ANY: Final = Shape("any", "interface {}")


def text(name: str) -> Shape:
    """A string type with a name of its own, such as `influxdb.Status`."""
    return Shape("string", name)


def list_of(of: Shape) -> Shape:
    return Shape("list", f"[]{of.name}", of)


def map_of(of: Shape) -> Shape:
    return Shape("map", f"map[string]{of.name}", of)


def struct(name: str, /, **fields: Shape) -> Shape:
    """`name` with its package, as Go prints it for a value; a field's message has it without."""
    return Shape("struct", name, None, fields)


class _Number(str):
    """A number as it is written, but for whole ones that a few digits hold."""

    __slots__ = ()


class _Members(list[tuple[str, Any]]):
    """An object's members in their order; a name may come twice."""


def _whole(text: str) -> int | _Number:
    return int(text) if len(text) <= 20 else _Number(text)


def _no_constant(name: str) -> None:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Members, parse_int=_whole, parse_float=_Number, parse_constant=_no_constant
)


def decode(raw: bytes, shape: Shape, *, whole: bool = False) -> Any:
    """The first value of a text in a shape; with `whole`, nothing may be behind it.

    An object is a dictionary of the members that are there, known and not null.

    Raises:
        GoJSONError: it is not JSON, or a value does not fit.
    """
    characters = raw.decode("utf-8", "replace")
    try:
        value, end = _DECODER.raw_decode(characters, len(characters) - len(characters.lstrip(" \t\r\n")))
    except RecursionError:
        raise GoJSONError("exceeded max depth") from None
    except ValueError as error:
        raise GoJSONError(_syntax(raw, characters, error)) from None
    if characters.count("[") + characters.count("{") > _MOST_NESTED and _is_too_deep(value):
        raise GoJSONError("exceeded max depth")
    if kind_of(value) == "number" and characters[end : end + 1] in (".", "e", "E"):
        raise GoJSONError(syntax_error(raw) or "unexpected EOF")
    if whole and (behind := after_value(characters[end:].encode())):
        raise GoJSONError(behind)
    reading = _Reading()
    try:
        found = reading.read(value, shape, None)
    except RecursionError:
        raise GoJSONError("exceeded max depth") from None
    if reading.first:
        raise GoJSONError(reading.first, is_json=True)
    return found


def _syntax(raw: bytes, characters: str, error: ValueError) -> str:
    """The text is read again for Go's words, but where it just ends: it may be long."""
    if isinstance(error, json.JSONDecodeError) and (
        error.msg.startswith("Unterminated") or error.pos >= len(characters.rstrip(" \t\r\n"))
    ):
        return "unexpected EOF" if raw.strip() else "EOF"
    return syntax_error(raw) or "unexpected EOF"


def member_length(raw: bytes, name: str) -> int:
    """Characters of the value of a text's first member of a name, as it is written; 0: there is none."""
    characters = raw.decode("utf-8", "replace")
    found = re.search(rf'"{name}"\s*:\s*', characters)
    return _DECODER.raw_decode(characters, found.end())[1] - found.end() if found else 0


def _is_too_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level and depth <= _MOST_NESTED:
        parts = [[part for _, part in one] if isinstance(one, _Members) else one for one in level]
        level = [part for of in parts if isinstance(of, list) for part in of if isinstance(part, list)]
        depth += 1
    return depth > _MOST_NESTED


class _Reading:
    """Go goes on after a value of a wrong type and answers with the first one; what a value's own reader says ends it."""

    def __init__(self) -> None:
        self.first = ""
        self._name = ""
        self._path: list[str] = []

    def read(self, value: Any, shape: Shape, before: Any) -> Any:
        reader: Callable[[Any, Shape, Any], Any] = getattr(self, f"_{shape.kind}")
        return before if value is None else reader(value, shape, before)

    def _unfit(self, value: Any, shape: Shape, before: Any, what: str = "") -> Any:
        field = f"struct field {self._name}.{'.'.join(self._path)}" if self._path else "value"
        self.first = (
            self.first or f"json: cannot unmarshal {what or kind_of(value)} into Go {field} of type {shape.name}"
        )
        return before

    def _string(self, value: Any, shape: Shape, before: Any) -> Any:
        return _clean(value) if kind_of(value) == "string" else self._unfit(value, shape, before)

    def _bool(self, value: Any, shape: Shape, before: Any) -> Any:
        return value if isinstance(value, bool) else self._unfit(value, shape, before)

    def _int(self, value: Any, shape: Shape, before: Any) -> Any:
        if kind_of(value) != "number":
            return self._unfit(value, shape, before)
        if isinstance(value, _Number) or value not in _INT64:
            return self._unfit(value, shape, before, f"number {value}")
        return value

    def _id(self, value: Any, shape: Shape, before: Any) -> Any:
        if kind_of(value) != "string":
            return self._unfit(value, shape, before)
        try:
            return parse_id(value)
        except InfluxError as error:
            raise GoJSONError(error.message, error.code, is_json=True) from None

    def _time(self, value: Any, shape: Shape, before: Any) -> Any:
        if kind_of(value) != "string":
            raise GoJSONError("Time.UnmarshalJSON: input is not a JSON string", is_json=True)
        try:
            return parse_go_time(_clean(value))
        except ValueError as error:
            raise GoJSONError(str(error), is_json=True) from None

    def _any(self, value: Any, shape: Shape, before: Any) -> Any:
        return plain(value)

    def _list(self, value: Any, shape: Shape, before: Any) -> Any:
        if kind_of(value) != "array":
            return self._unfit(value, shape, before)
        assert shape.of is not None
        return [self.read(item, shape.of, _ZERO.get(shape.of.kind)) for item in value]

    def _map(self, value: Any, shape: Shape, before: Any) -> Any:
        if not isinstance(value, _Members):
            return self._unfit(value, shape, before)
        assert shape.of is not None
        items = {_clean(name): self.read(item, shape.of, _ZERO.get(shape.of.kind)) for name, item in value}
        return {**(before or {}), **items}

    def _struct(self, value: Any, shape: Shape, before: Any) -> Any:
        if not isinstance(value, _Members):
            return self._unfit(value, shape, before)
        fields, found = shape.fields or {}, dict(before or {})
        folded = {name.lower(): name for name in fields}
        outer = self._name, len(self._path)
        for given, item in value:
            name = given if given in fields else folded.get(given.lower())
            if name is None:
                continue
            self._name = shape.name.rpartition(".")[2]
            self._path.append(name)
            got = self.read(item, fields[name], found.get(name))
            if got is not None:
                found[name] = got
            self._name, depth = outer
            del self._path[depth:]
        return found


_ZERO: Final[dict[str, Any]] = {"string": "", "bool": False, "int": 0, "struct": {}}
"""What an element of a list or a map is where null stands for it, or where it does not fit."""


def kind_of(value: Any) -> str:
    """A value's kind in Go's messages."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, _Members):
        return "object"
    if isinstance(value, int | _Number):
        return "number"
    return "array" if isinstance(value, list) else "string"


def plain(value: Any) -> Any:
    """The value in Python's own types."""
    if isinstance(value, _Members):
        return {_clean(name): plain(item) for name, item in value}
    if isinstance(value, _Number):
        return float(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return _clean(value) if isinstance(value, str) else value


def _clean(value: str) -> str:
    """Half of a surrogate pair becomes the replacement character."""
    return _HALVES.sub("\ufffd", str(value))
