"""Schemas of Avro: what reads a value of a type, from its binary form and from its form in JSON.

Values of a union are a `Union`: the name of the type and the value, as fields are named by both. Logical types are read as
the types beneath them, decimals as floats.
"""

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Float32", "Reader", "Schema", "Union", "compile_schema"]

_FREE_ITEMS = 1000
_EMPTY = 0xC15D213AA4D7A795
_INT, _LONG = 2**31, 2**63
_MOST_VARINT = 10
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_SPECIAL = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
_LOGICAL = {
    "int": ("date", "time-millis"),
    "long": ("time-micros", "timestamp-millis", "timestamp-micros"),
    "bytes": ("decimal",),
}


class Union(dict[str, Any]):
    """One pair: the name of a type, and a value of it."""


class Float32(float):
    """Of 32 bits: it has fewer digits as text."""


class Reader:
    """A message, and where in it one is."""

    __slots__ = ("at", "data", "items")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.items = len(data) + _FREE_ITEMS
        """How many items of lists and maps may still come: those of some types take no bytes."""

    def take(self, size: int) -> bytes:
        """Raises ValueError."""
        part = self.data[self.at : self.at + size]
        if size < 0 or len(part) < size:
            raise ValueError(f"{size} bytes should stand at byte {self.at}, and {len(self.data) - self.at} are left")
        self.at += size
        return part

    def long(self) -> int:
        """Raises ValueError."""
        value = shift = 0
        for byte in self.data[self.at : self.at + _MOST_VARINT]:
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                if value >> 64:
                    break
                return value >> 1 ^ -(value & 1)
            shift += 7
        raise ValueError(f"the number that ends at byte {self.at} is cut short, or too large")


@dataclass(slots=True)
class Type:
    name: str
    """As a union has it."""
    binary: Callable[[Reader], Any]
    textual: Callable[[Any], Any]
    """Of a value that JSON was read to. Raises ValueError."""


@dataclass(slots=True)
class Schema:
    type: Type
    measurement: str
    """What the schema calls its records; "" where it has no name."""
    fingerprint: bytes
    """CRC-64-AVRO of its canonical form."""


def compile_schema(text: str) -> Schema:
    """Raises ValueError."""
    try:
        document = json.loads(text)
        compiled = _Compiler().type(document, "")
    except json.JSONDecodeError as error:
        raise ValueError(f"the schema is no JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("the schema must be an object of JSON")
    named = document
    if "name" not in document and document.get("type") == "array" and isinstance(document.get("items"), dict):
        named = document["items"]
    name, space = named.get("name"), named.get("namespace")
    measurement = "" if not isinstance(name, str) else f"{space}.{name}" if isinstance(space, str) else name
    return Schema(compiled, measurement, _fingerprint(document))


class _Compiler:
    def __init__(self) -> None:
        self._named: dict[str, Type] = {}

    def type(self, schema: Any, space: str) -> Type:
        """`space`: the namespace around it. Raises ValueError."""
        if isinstance(schema, str):
            return self._by_name(schema, space)
        if isinstance(schema, list):
            return self._union([self.type(one, space) for one in schema])
        if not isinstance(schema, dict) or "type" not in schema:
            raise ValueError(
                f"{json.dumps(schema)[:80]} is no schema: a type has a name, or is an object with a 'type'"
            )
        kind = schema["type"]
        if kind in ("record", "error"):
            return self._record(schema, space)
        if kind == "enum":
            return self._enum(schema, space)
        if kind == "fixed":
            return self._fixed(schema, space)
        if kind == "array":
            return self._array(self.type(_needed(schema, "items"), space))
        if kind == "map":
            return self._map(self.type(_needed(schema, "values"), space))
        made = self.type(kind, space)
        logical = schema.get("logicalType")
        if isinstance(kind, str) and logical in _LOGICAL.get(kind, ()):
            made = Type(f"{kind}.{logical}", made.binary, made.textual)
            return _decimal(made, schema) if logical == "decimal" else made
        return made

    def _by_name(self, name: str, space: str) -> Type:
        found = (
            _PRIMITIVES.get(name)
            or self._named.get(name if "." in name else _joined(space, name))
            or self._named.get(name)
        )
        if found is None:
            raise ValueError(f"unknown type {name[:80]!r}")
        return found

    def _define(self, schema: dict[str, Any], space: str) -> tuple[Type, str]:
        """The type, still without what reads it, and the namespace within it."""
        name, own = schema.get("name"), schema.get("namespace", space)
        if not isinstance(name, str) or not isinstance(own, str) or not _NAME.fullmatch(name):
            raise ValueError(f"a {schema['type']} has no name, or one that cannot be: {str(name)[:80]!r}")
        full = name if "." in name else _joined(own, name)
        if full in self._named or full in _PRIMITIVES:
            raise ValueError(f"there are two types {full!r}")
        made = self._named[full] = Type(full, _not_yet, _not_yet)
        return made, full.rpartition(".")[0]

    def _record(self, schema: dict[str, Any], space: str) -> Type:
        made, inside = self._define(schema, space)
        fields: list[tuple[str, Type]] = []
        defaults: dict[str, Any] = {}
        for one in _needed(schema, "fields"):
            if not isinstance(one, dict) or not isinstance(name := one.get("name"), str):
                raise ValueError(f"a field of {made.name!r} has no name")
            # Some write what belongs to the type beside it.
            given = one if one.get("type") in ("array", "map", "enum", "fixed") else _needed(one, "type")
            fields.append((name, self.type(given, inside)))
            if "default" in one:
                defaults[name] = one["default"]
        if len({name for name, _ in fields}) != len(fields):
            raise ValueError(f"{made.name!r} has two fields of one name")

        def binary(reader: Reader) -> dict[str, Any]:
            return {name: kind.binary(reader) for name, kind in fields}

        def textual(value: Any) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise ValueError(f"{made.name!r} must be an object, not {_shown(value)}")
            if more := value.keys() - {name for name, _ in fields}:
                raise ValueError(f"{made.name!r} has no field {min(more)!r}")
            found = {}
            for name, kind in fields:
                if name in value:
                    found[name] = kind.textual(value[name])
                elif name in defaults:
                    found[name] = defaults[name]
                else:
                    raise ValueError(f"the field {name!r} of {made.name!r} is missing")
            return found

        made.binary, made.textual = binary, textual
        return made

    def _enum(self, schema: dict[str, Any], space: str) -> Type:
        made, _ = self._define(schema, space)
        symbols = _needed(schema, "symbols")

        def binary(reader: Reader) -> str:
            index = reader.long()
            if not 0 <= index < len(symbols):
                raise ValueError(f"{made.name!r} has no symbol {index}")
            return str(symbols[index])

        def textual(value: Any) -> str:
            if value not in symbols:
                raise ValueError(f"{made.name!r} has no symbol {_shown(value)}")
            return str(value)

        made.binary, made.textual = binary, textual
        return made

    def _fixed(self, schema: dict[str, Any], space: str) -> Type:
        made, _ = self._define(schema, space)
        size = _needed(schema, "size")
        if not isinstance(size, int) or size < 0:
            raise ValueError(f"the size of {made.name!r} is no number of bytes")

        def textual(value: Any) -> bytes:
            content = _bytes_of(value)
            if len(content) != size:
                raise ValueError(f"{made.name!r} must have {size} bytes, not {len(content)}")
            return content

        made.binary, made.textual = lambda reader: reader.take(size), textual
        return _decimal(made, schema) if schema.get("logicalType") == "decimal" else made

    @staticmethod
    def _array(item: Type) -> Type:
        def binary(reader: Reader) -> list[Any]:
            return [item.binary(reader) for count in _blocks(reader) for _ in range(count)]

        def textual(value: Any) -> list[Any]:
            if not isinstance(value, list):
                raise ValueError(f"an array must be a list, not {_shown(value)}")
            return [item.textual(one) for one in value]

        return Type("array", binary, textual)

    @staticmethod
    def _map(item: Type) -> Type:
        def binary(reader: Reader) -> dict[str, Any]:
            return {_string(reader): item.binary(reader) for count in _blocks(reader) for _ in range(count)}

        def textual(value: Any) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise ValueError(f"a map must be an object, not {_shown(value)}")
            return {name: item.textual(one) for name, one in value.items()}

        return Type("map", binary, textual)

    @staticmethod
    def _union(types: list[Type]) -> Type:
        by_name = {one.name: one for one in types}
        if not types or len(by_name) != len(types):
            raise ValueError("a union has no types, or one of them twice")
        # In JSON logical types may be called as what they are made of.
        by_name = {one.name.partition(".")[0]: one for one in types if one.name.partition(".")[0] in _LOGICAL} | by_name

        def binary(reader: Reader) -> Union | None:
            index = reader.long()
            if not 0 <= index < len(types):
                raise ValueError(f"a union has no type {index}, it has {len(types)}")
            value = types[index].binary(reader)
            return None if value is None else Union({types[index].name: value})

        def textual(value: Any) -> Union | None:
            if value is None and "null" in by_name:
                return None
            if not isinstance(value, dict) or len(value) != 1:
                raise ValueError(f"a value of a union must be an object with the name of its type, not {_shown(value)}")
            [(name, content)] = value.items()
            if name not in by_name:
                raise ValueError(f"a union has no type {name[:80]!r}, it has {', '.join(one.name for one in types)}")
            return Union({by_name[name].name: by_name[name].textual(content)})

        return Type("union", binary, textual)


def _fingerprint(document: Any) -> bytes:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_EMPTY if value & 1 else 0)
        table.append(value)
    found = _EMPTY
    for byte in json.dumps(_canonical(document, ""), separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "replace"
    ):
        found = found >> 8 ^ table[(found ^ byte) & 255]
    return found.to_bytes(8, "little")


def _canonical(schema: Any, space: str) -> Any:
    """The parsing canonical form."""
    if isinstance(schema, list):
        return [_canonical(one, space) for one in schema]
    if isinstance(schema, str):
        return schema if schema in _PRIMITIVES or "." in schema else _joined(space, schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _PRIMITIVES:
        return kind
    if not isinstance(kind, str):
        return _canonical(kind, space)
    made: dict[str, Any] = {}
    if isinstance(name := schema.get("name"), str) and kind in ("record", "error", "enum", "fixed"):
        name = name if "." in name else _joined(str(schema.get("namespace", space)), name)
        space, made["name"] = name.rpartition(".")[0], name
    made["type"] = kind
    if kind in ("record", "error"):
        made["fields"] = [{"name": one["name"], "type": _canonical(one["type"], space)} for one in schema["fields"]]
    for key in ("symbols", "items", "values", "size"):
        if key in schema:
            made[key] = _canonical(schema[key], space) if key in ("items", "values") else schema[key]
    return made


def _needed(schema: dict[str, Any], key: str) -> Any:
    wanted = list if key in ("fields", "symbols") else object
    if not isinstance(found := schema.get(key), wanted) or found is None:
        raise ValueError(f"{key!r} is missing in {json.dumps(schema)[:80]}")
    return found


def _joined(space: str, name: str) -> str:
    return f"{space}.{name}" if space else name


def _not_yet(_: Any) -> Any:
    raise ValueError("a type is used before it is there")


def _blocks(reader: Reader) -> Any:
    """How many items each block of an array or a map has. Raises ValueError."""
    while count := reader.long():
        if count < 0:
            count = -count
            reader.long()  # bytes of the block
        reader.items -= count
        if reader.items < 0:
            raise ValueError(f"an array or a map has more items than the message has room for, {count} of them")
        yield count


def _int(reader: Reader) -> int:
    return _within(reader.long(), _INT)


def _within(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"a whole number must be one, not {_shown(value)}")
    if not -most <= value < most:
        raise ValueError(f"the number {value} is out of range")
    return value


def _number(value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return float(_SPECIAL[value])
    if value is None:
        return float("nan")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"a number must be one, not {_shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number is out of range") from None


def _float(reader: Reader) -> Float32:
    return Float32(struct.unpack("<f", reader.take(4))[0])


def _float_of(value: Any) -> Float32:
    try:
        return Float32(struct.unpack("f", struct.pack("f", _number(value)))[0])
    except OverflowError:
        raise ValueError("a number is out of range") from None


def _boolean(reader: Reader) -> bool:
    byte = reader.take(1)
    if byte not in (b"\0", b"\1"):
        raise ValueError(f"a boolean must be 0 or 1, not {byte[0]}")
    return byte == b"\1"


def _boolean_of(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"a boolean must be true or false, not {_shown(value)}")
    return value


def _null_of(value: Any) -> None:
    if value is not None:
        raise ValueError(f"null must be null, not {_shown(value)}")


def _string(reader: Reader) -> str:
    return reader.take(reader.long()).decode("utf-8", "surrogateescape")


def _string_of(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a string must be one, not {_shown(value)}")
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bytes_of(value: Any) -> bytes:
    try:
        return str(value).encode("latin-1") if isinstance(value, str) else _no_bytes(value)
    except UnicodeEncodeError:
        return _no_bytes(value)


def _no_bytes(value: Any) -> bytes:
    raise ValueError(f"bytes must be a string of characters up to \\u00ff, not {_shown(value)}")


def _decimal(made: Type, schema: dict[str, Any]) -> Type:
    scale = schema.get("scale", 0)
    if not isinstance(scale, int) or not 0 <= scale <= 300:
        raise ValueError(f"the scale of a decimal cannot be {str(scale)[:20]}")

    def number(content: bytes) -> float:
        try:
            unscaled = int.from_bytes(content, signed=True)
            return unscaled / float(10**scale)
        except OverflowError:
            raise ValueError("a decimal is out of range") from None

    binary, textual = made.binary, made.textual
    return Type(made.name, lambda reader: number(binary(reader)), lambda value: number(textual(value)))


def _shown(value: Any) -> str:
    return json.dumps(value)[:80]


_PRIMITIVES = {
    "null": Type("null", lambda _: None, _null_of),
    "boolean": Type("boolean", _boolean, _boolean_of),
    "int": Type("int", _int, lambda value: _within(value, _INT)),
    "long": Type("long", Reader.long, lambda value: _within(value, _LONG)),
    "float": Type("float", _float, _float_of),
    "double": Type("double", lambda reader: struct.unpack("<d", reader.take(8))[0], _number),
    "bytes": Type("bytes", lambda reader: reader.take(reader.long()), _bytes_of),
    "string": Type("string", _string, _string_of),
}
