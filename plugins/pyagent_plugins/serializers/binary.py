"""Binary data: the bytes of chosen fields, tags, the name and the time, one behind the other."""

import re
import struct
import sys
from collections.abc import Callable
from typing import Annotated, Literal

from pyagent.api import ConfigError, FieldValue, Metric, Options, Serializer, option
from pyagent.kit.field_texts import value_text
from pyagent.kit.numbers import parse_float

__all__ = ["Binary", "BinaryOptions"]


class Entry(Options, frozen=True):
    read_from: Annotated[str, option("field, tag, time or name (empty: field)")] = ""
    name: Annotated[str, option("key of the field or tag")] = ""
    data_format: Annotated[
        str, option("int8 to int64, uint8 to uint64, float32, float64 or string; a name is always a string")
    ] = ""
    string_terminator: Annotated[
        str, option("the byte that ends a string and fills it up: null, or two hexadecimal digits (empty: null)")
    ] = ""
    string_length: Annotated[int, option("bytes of a string, its terminator among them", ge=0)] = 0
    time_format: Annotated[str, option("unit of a time: unix, unix_ms, unix_us or unix_ns (empty: unix)")] = ""


class BinaryOptions(Options, frozen=True):
    entries: Annotated[list[Entry], option("the parts of a message, in their order")] = []
    endianness: Annotated[
        Literal["", "big", "be", "little", "le", "host"], option("order of the bytes of numbers (empty: host)")
    ] = ""


_Write = Callable[[FieldValue], bytes]
_UNITS = {"": 1_000_000_000, "unix": 1_000_000_000, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}
_CODES = {"int8": "b", "int16": "h", "int32": "i", "int64": "q", "float32": "f", "float64": "d"}
_DECIMAL = re.compile(r"[+-]?[0-9]{1,400}")
_LARGEST_FLOAT32 = 3.4028234663852886e38


class Binary(Serializer[BinaryOptions]):
    def setup(self) -> None:
        order = {"big": ">", "be": ">", "little": "<", "le": "<"}.get(
            self.options.endianness, "<" if sys.byteorder == "little" else ">"
        )
        self._parts = [_part(entry, order, index) for index, entry in enumerate(self.options.entries)]

    def serialize(self, metric: Metric) -> bytes:
        return b"".join([part(metric) for part in self._parts])


def _part(entry: Entry, order: str, index: int) -> Callable[[Metric], bytes]:
    source = entry.read_from.lower() or "field"
    key = entry.name
    if source in ("field", "tag") and not key:
        raise _refused(index, f"it names no {source}; add `name`")
    if source == "name" and entry.data_format not in ("", "string"):
        raise _refused(index, "the measurement's name is a string")
    if source == "time" and entry.time_format not in _UNITS:
        raise _refused(index, f"times are unix, unix_ms, unix_us or unix_ns, not {entry.time_format!r}")
    if source not in ("field", "tag", "time", "name"):
        raise _refused(index, f"parts are read from field, tag, time or name, not {entry.read_from!r}")
    write = _writer(entry, "string" if source == "name" else entry.data_format, order, index)
    if source == "name":
        return lambda metric: write(metric.name)
    if source == "time":
        unit = _UNITS[entry.time_format]
        return lambda metric: write(metric.time // unit)

    def part(metric: Metric) -> bytes:
        value = metric.fields.get(key) if source == "field" else metric.tags.get(key)
        if value is None:
            raise ValueError(f"the metric has no {source} {key!r}")
        try:
            return write(value)
        except ValueError as error:
            raise ValueError(f"cannot write the {source} {key!r} as {entry.data_format}: {error}") from None

    return part


def _writer(entry: Entry, kind: str, order: str, index: int) -> _Write:
    if kind == "string":
        return _string_writer(entry, index)
    if not kind:
        raise _refused(index, "it has no `data_format`")
    code = _CODES.get(kind.removeprefix("u"))
    if code is None or (kind.startswith("u") and code in "fd"):
        raise _refused(index, f"there is no data_format {kind!r}")
    unsigned = kind.startswith("u")
    pack = struct.Struct(order + (code.upper() if unsigned else code)).pack
    if code in "fd":
        return lambda value: pack(_float(value, short=code == "f"))
    bits = struct.calcsize(f"={code}") * 8
    return lambda value: pack(_integer(value, bits, unsigned))


def _string_writer(entry: Entry, index: int) -> _Write:
    digits = "00" if entry.string_terminator in ("", "null") else entry.string_terminator.removeprefix("0x")
    if not re.fullmatch("[0-9a-fA-F]{2}", digits):
        raise _refused(index, f"a terminator is null or two hexadecimal digits, not {entry.string_terminator!r}")
    if entry.string_length < 1:
        raise _refused(index, "a string wants a `string_length` of 1 or more")
    end, length = bytes.fromhex(digits), entry.string_length
    return lambda value: value_text(value).encode("utf-8", "surrogateescape")[: length - 1].ljust(length, end)


def _float(value: FieldValue, *, short: bool) -> float:
    number = parse_float(value) if isinstance(value, str) else float(value)
    if number is None:
        raise ValueError(f"{str(value)[:100]!r} is no number")
    if short and abs(number) > _LARGEST_FLOAT32:
        raise ValueError(f"{number} is out of range")
    return number


def _integer(value: FieldValue, bits: int, unsigned: bool) -> int:
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if isinstance(value, str):
        return _parsed(value, low, high, bits, unsigned)
    # A NaN is in no range.
    if not low <= value <= high or int(value) > high:
        raise ValueError(f"{value} is out of range")
    return int(value)


def _parsed(text: str, low: int, high: int, bits: int, unsigned: bool) -> int:
    """Of digits without 0x those of 32 bits are read, and what is too much for the type is cut off, as in Telegraf."""
    is_hex = text.startswith("0x")
    if is_hex and re.fullmatch("[+-]?[0-9a-fA-F]{1,16}", text[2:]) and not (unsigned and text[2] in "+-"):
        number = int(text[2:], 16)
    elif not is_hex and _DECIMAL.fullmatch(text) and not (unsigned and text[0] in "+-"):
        number = int(text)
    else:
        raise ValueError(f"{text[:100]!r} is no integer")
    if not is_hex and bits < 32:
        wide = (0, 2**32 - 1) if unsigned else (-(2**31), 2**31 - 1)
        if wide[0] <= number <= wide[1]:
            return (number - low) % (1 << bits) + low
    if not low <= number <= high:
        raise ValueError(f"{text[:100]} is out of range")
    return number


def _refused(index: int, cause: str) -> ConfigError:
    return ConfigError(f"cannot use entry {index + 1}: {cause}", option="entries")
