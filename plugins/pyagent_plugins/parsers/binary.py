"""Binary messages of a fixed layout: a configuration names the parts of a message one after the other, in bits.

Each table `binary` whose filter passes makes a metric of the whole message.
"""

import base64
import binascii
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.api.metric import Uint
from pyagent.api.units import format_number
from pyagent.kit.numbers import INT64_MAX, INT64_MIN, shortest_float32
from pyagent.kit.timestamps import load_zone, parse_timestamp

__all__ = ["Binary", "BinaryOptions", "Entry", "Filter", "Message", "Selection"]


class Selection(Options, frozen=True):
    offset: Annotated[int, option("where it begins, in bits", ge=0)] = 0
    bits: Annotated[int, option("how long it is", ge=0)] = 0
    match: Annotated[str, option("what it must be, in hexadecimal digits: 0x1F")] = ""


class Filter(Options, frozen=True):
    selection: Annotated[list[Selection], option("parts of the message that must be as given")] = []
    length_min: Annotated[int, option("fewest bytes of a message (0: any)", ge=0)] = 0
    length: Annotated[int, option("bytes of a message (0: any)", ge=0)] = 0


class Entry(Options, frozen=True):
    name: Annotated[str, option("name of the tag or field")] = ""
    type: Annotated[
        str,
        option(
            "int8 to int64, uint8 to uint64, float32, float64, bool or string; of a time unix, unix_ms, unix_us, unix_ns or"
            " a layout of Go's reference time"
        ),
    ] = ""
    bits: Annotated[int, option("length (0: that of the type; of a time 64, or the layout's)", ge=0)] = 0
    omit: Annotated[bool, option("leave this part out")] = False
    terminator: Annotated[
        str, option("end of a string: fixed (it has `bits`), null, or bytes in hexadecimal digits such as 0x0D0A")
    ] = ""
    timezone: Annotated[str, option("of a time: utc, local or an IANA name (empty: utc)")] = ""
    assignment: Annotated[str, option("measurement, time, field or tag (empty: field)")] = ""


class Message(Options, frozen=True):
    metric_name: Annotated[str, option("measurement (empty: the name of the plugin)")] = ""
    filter: Annotated[Filter, option("which messages this table is for")] = Filter()
    entries: Annotated[list[Entry], option("the parts of a message, in their order")] = []


class BinaryOptions(Options, frozen=True):
    allow_no_match: Annotated[bool, option("a message that no table is for is no error")] = False
    endianness: Annotated[
        Literal["", "big", "be", "little", "le", "host"], option("order of the bytes of numbers (empty: host)")
    ] = ""
    binary: Annotated[list[Message], option("the layouts of messages")] = []
    binary_encoding: Annotated[
        Literal["", "none", "hex", "base64"], option("how the bytes are written (empty: none)")
    ] = ""


_INTEGERS = {f"{sign}int{bits}": bits for sign in ("", "u") for bits in (8, 16, 32, 64)}
_BITS = _INTEGERS | {"float32": 32, "float64": 64}
_UNITS = {"unix": 1_000_000_000, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})*")
_ZONES = {"": "UTC", "utc": "UTC", "local": "Local"}

Order = Literal["little", "big"]
Convert = Callable[[bytes], FieldValue]


@dataclass(slots=True)
class _Step:
    """One part of a message. `bits`: 0 for a string up to its `end`."""

    assignment: str
    name: str
    bits: int
    end: bytes
    convert: Convert


@dataclass(slots=True)
class _Layout:
    name: str
    steps: list[_Step]
    length: int
    length_min: int
    selection: list[tuple[int, int, bytes]]

    def matches(self, data: bytes) -> bool:
        if (self.length and len(data) != self.length) or len(data) < self.length_min:
            return False
        return all(_part(data, offset, bits) == wanted for offset, bits, wanted in self.selection)


class Binary(Parser[BinaryOptions]):
    def setup(self) -> None:
        options = self.options
        order: Order = sys.byteorder
        if options.endianness not in ("", "host"):
            order = "little" if options.endianness in ("little", "le") else "big"
        if not options.binary:
            raise ConfigError("there is no table 'binary': name the parts of a message in one", option="binary")
        self._layouts = []
        for number, message in enumerate(options.binary, 1):
            try:
                self._layouts.append(_layout(message, order))
            except ValueError as error:
                raise ConfigError(f"cannot use table {number} of 'binary': {error}", option="binary") from None

    def parse(self, data: bytes) -> list[Metric]:
        time = self.now()
        try:
            data = self._decoded(data)
            found = [layout for layout in self._layouts if layout.matches(data)]
            if not found and not self.options.allow_no_match:
                raise ValueError("no table of 'binary' is for such a message; allow_no_match leaves it out")
            return [self._metric(layout, data, time) for layout in found]
        except ValueError as error:
            raise ParseError(str(error)) from None

    def _decoded(self, data: bytes) -> bytes:
        if self.options.binary_encoding == "hex":
            text = data.removeprefix(b"0x").removeprefix(b"x").strip().replace(b" ", b"").replace(b"\t", b"")
            if not _HEX.fullmatch(text):
                raise ValueError("the data are no pairs of hexadecimal digits")
            return binascii.unhexlify(text)
        if self.options.binary_encoding == "base64":
            try:
                return base64.b64decode(data.strip().replace(b"\r", b"").replace(b"\n", b""), validate=True)
            except binascii.Error as error:
                raise ValueError(f"the data are no base64: {error}") from None
        return data

    def _metric(self, layout: _Layout, data: bytes, time: int) -> Metric:
        """Raises ValueError."""
        name = layout.name or self.measurement
        tags = dict(self.default_tags)
        fields: dict[str, FieldValue] = {}
        offset = 0
        for step in layout.steps:
            if step.bits:
                part = _part(data, offset, step.bits)
                if part is None:
                    raise ValueError(
                        f"the message ends before the {step.bits} bits from bit {offset} on"
                        f"{f' for {step.name!r}' if step.name else ''}: it has {len(data)} bytes"
                    )
                offset += step.bits
            else:
                part = _up_to(data, offset, step)
                offset += (len(part) + len(step.end)) * 8
            assignment = step.assignment
            if assignment == "field":
                fields[step.name] = step.convert(part)
            elif assignment == "tag":
                if text := str(step.convert(part)):
                    tags[step.name] = text
            elif assignment == "measurement":
                name = str(step.convert(part))
            elif assignment == "time":
                time = int(step.convert(part))
        return Metric(name, tags, fields, time)


def _part(data: bytes, offset: int, bits: int) -> bytes | None:
    """Bits of the data, at the right end of as many bytes as they need; None where the data end before."""
    end = offset + bits
    if end > len(data) * 8:
        return None
    first, last = offset >> 3, (end + 7) >> 3
    part = data[first:last]
    if not (offset | bits) & 7:
        return part
    number = int.from_bytes(part, "big") >> (last * 8 - end) & (1 << bits) - 1
    return number.to_bytes((bits + 7) >> 3, "big")


def _up_to(data: bytes, offset: int, step: _Step) -> bytes:
    """A string without its end. Raises ValueError."""
    left = (len(data) * 8 - offset) // 8 * 8
    rest = data[offset >> 3 :] if not offset & 7 else _part(data, offset, max(left, 0)) or b""
    at = rest.find(step.end)
    if at < 0:
        raise ValueError(f"the end of {step.name!r}, {step.end.hex(' ')}, is not there")
    return rest[:at]


def _layout(message: Message, order: Order) -> _Layout:
    """Raises ValueError."""
    rules = message.filter
    if rules.length and rules.length_min:
        raise ValueError("'length' and 'length_min' cannot be used together")
    selection = [(one.offset, one.bits, _hexadecimal(one.match, "match")) for one in rules.selection]
    needed = max(((offset + bits + 7) // 8 for offset, bits, _ in selection), default=0)
    if rules.length and needed > rules.length:
        raise ValueError(f"a selection needs {needed} bytes, and 'length' is {rules.length}")
    steps = []
    known: set[tuple[str, str]] = set()
    for number, entry in enumerate(message.entries, 1):
        try:
            step = _step(entry, order)
        except ValueError as error:
            raise ValueError(f"entry {number}{f' ({entry.name})' if entry.name else ''}: {error}") from None
        if step.assignment and (step.assignment, step.name) in known:
            raise ValueError(f"entry {number}: {step.name!r} is there twice")
        known.add((step.assignment, step.name))
        steps.append(step)
    if not any(step.assignment == "field" for step in steps):
        raise ValueError("no field is defined: an entry with a name and a type makes one")
    return _Layout(message.metric_name, steps, rules.length, max(rules.length_min, needed), selection)


def _step(entry: Entry, order: Order) -> _Step:
    """Raises ValueError."""
    assignment = entry.assignment.lower() or "field"
    kind = entry.type if assignment == "time" else entry.type.lower()
    if entry.omit:
        bits = entry.bits or _BITS.get(kind, 0)
        if not bits:
            raise ValueError(
                f"the length of the type {kind!r} is not known; give 'bits'" if kind else "give 'bits' or 'type'"
            )
        return _Step("", "", bits, b"", _string)
    if assignment not in ("measurement", "time", "tag", "field"):
        raise ValueError(f"unknown assignment {entry.assignment!r}; use measurement, time, field or tag")
    name = entry.name if assignment in ("field", "tag") else assignment
    if not name:
        raise ValueError("it has no name")
    if assignment == "time":
        return _time_step(entry, kind or "unix", order)
    if not kind and assignment != "field":
        kind = "string"
    if assignment == "measurement" and kind != "string":
        raise ValueError("a measurement must have the type string")
    if kind == "string":
        return _string_step(entry, assignment, name)
    if kind == "bool":
        return _Step(assignment, name, entry.bits or 1, b"", _word if assignment == "tag" else any)
    if kind not in _BITS:
        raise ValueError(f"unknown type {entry.type!r}" if kind else "it has no type")
    bits = entry.bits or _BITS[kind]
    if bits > _BITS[kind]:
        raise ValueError(f"{bits} bits are more than a {kind} has")
    return _Step(assignment, name, bits, b"", _number(kind, order, as_text=assignment == "tag"))


def _time_step(entry: Entry, kind: str, order: Order) -> _Step:
    zone = load_zone(_ZONES.get(entry.timezone, entry.timezone))
    if kind not in _UNITS:
        return _Step(
            "time",
            "time",
            entry.bits or len(kind.encode()) * 8,
            b"",
            lambda part: parse_timestamp(kind, _string(part), zone),
        )
    bits, unit = entry.bits or 64, _UNITS[kind]
    if bits > 64:
        raise ValueError(f"{bits} bits are more than a time has")
    read = _number("int64", order, as_text=False)

    def convert(part: bytes) -> int:
        time = int(read(part)) * unit
        if not INT64_MIN <= time <= INT64_MAX:
            raise ValueError(f"the time {time // unit} is out of range")
        return time

    return _Step("time", "time", bits, b"", convert)


def _string_step(entry: Entry, assignment: str, name: str) -> _Step:
    end = entry.terminator.lower()
    if end in ("", "fixed"):
        if not entry.bits:
            raise ValueError("a string needs 'bits' or a 'terminator'")
        if entry.bits % 8:
            raise ValueError(f"{entry.bits} bits are no whole number of bytes, which a string has")
        return _Step(assignment, name, entry.bits, b"", _string)
    if entry.bits:
        raise ValueError("a string cannot have 'bits' and a 'terminator'")
    end_bytes = b"\0" if end == "null" else _hexadecimal(end, "terminator")
    if not end_bytes:
        raise ValueError(f"the terminator {entry.terminator!r} is empty")
    return _Step(assignment, name, 0, end_bytes, _string)


def _string(part: bytes) -> str:
    return part.decode("utf-8", "surrogateescape")


def _word(part: bytes) -> str:
    return "true" if any(part) else "false"


def _number(kind: str, order: Order, *, as_text: bool) -> Convert:
    """What makes a number of bytes. Those that are too few are filled up with zeros on the left, whatever the order."""
    size = _BITS[kind] // 8
    if kind in _INTEGERS:
        is_signed = kind.startswith("i")
        if is_signed or as_text:
            return lambda part: _shown(int.from_bytes(part.rjust(size, b"\0"), order, signed=is_signed), as_text)
        return lambda part: Uint(int.from_bytes(part.rjust(size, b"\0"), order))
    unpack = struct.Struct(("<" if order == "little" else ">") + ("f" if kind == "float32" else "d")).unpack
    if as_text:
        shortest = shortest_float32 if kind == "float32" else format_number
        return lambda part: shortest(unpack(part.rjust(size, b"\0"))[0])
    return lambda part: float(unpack(part.rjust(size, b"\0"))[0])


def _shown(number: int, as_text: bool) -> int | str:
    return str(number) if as_text else number


def _hexadecimal(text: str, what: str) -> bytes:
    """Raises ValueError."""
    digits = text.removeprefix("0x").encode()
    if not _HEX.fullmatch(digits):
        raise ValueError(f"the {what} {text!r} is no pairs of hexadecimal digits")
    return binascii.unhexlify(digits)
