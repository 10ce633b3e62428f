"""InfluxDB 2's own line-protocol grammar, with its error texts.

It differs from the strict v2 syntax in many corners (a tab in a name, text after a closing quote, `=` in a measurement): what
InfluxDB takes is taken, what it refuses is refused with the same words. Two readers that agree: a regular expression for the
lines that agents send, and a scanner that is the definition, used for every line the expression does not match.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

INTEGER, UNSIGNED, FLOAT, BOOLEAN, STRING = "integer", "unsigned", "float", "boolean", "string"
"""Type names as they stand in InfluxDB's messages."""

Value = int | float | bool | bytes
"""Strings stay bytes: InfluxDB stores what it was sent, valid UTF-8 or not."""

PRECISIONS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_ROUNDED: Final = {**PRECISIONS, "u": 1_000, "m": 60 * 10**9, "h": 3600 * 10**9}
"""To what the time of a line without one is rounded down; `/write` takes words that no timestamp is read by."""
MIN_TIME, MAX_TIME = -(2**63) + 2, 2**63 - 2
MAX_KEY = 65535

TRUE: Final = frozenset((b"t", b"T", b"true", b"True", b"TRUE"))
FALSE: Final = frozenset((b"f", b"F", b"false", b"False", b"FALSE"))
RESERVED_TAGS: Final = (b"\xff", b"\x00", b"_field", b"_measurement", b"time")

_NAME = rb"[^\x00-\x20,=\\]"
_FIELD = (
    rb"([^\x00-\x20,=\\\"]+)="
    rb'(?:(-?\d{1,18})i|(\d{1,19})u|(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)|"([^"\\]*)"|(true|false|True|False|TRUE|FALSE|[tTfF]))'
)
FIELDS: Final = re.compile(_FIELD)
_UNGROUPED = re.sub(rb"\((?!\?)", b"(?:", _FIELD)
_KEY = rb"[^\x00-\x20,\\#][^\x00-\x20,\\]*(?:," + _NAME + rb"+=" + _NAME + rb"+)*"
KEY: Final = re.compile(_KEY)
_LINE = re.compile(
    rb"(" + _KEY + rb") +"
    rb"(" + _UNGROUPED + rb"(?:," + _UNGROUPED + rb")*)"
    rb"(?: +(-?\d{1,19}))? *(?:\n|\Z)"
)

Field = tuple[bytes, str, Value]


Point = tuple[bytes, list[Field], int]
"""Key (measurement and tags as written, still escaped, tags sorted), fields, time in ns. A plain tuple: there are many."""


class LineError(ValueError):
    """One line is refused; str() is InfluxDB's reason."""


class ValueUnreadable(Exception):
    """The grammar takes a line whose value cannot be read: InfluxDB's engine fails over it, and nothing is stored."""


class UnparsableBody(ValueError):
    """At least one line is refused, so none is stored; str() has one `unable to parse` sentence per bad line."""


def parse(body: bytes, now: int, precision: str = "ns") -> list[Point]:
    """Parse a request body.

    `now` (ns) is the time of lines without one; `precision` is ns, us, ms or s; any other word acts as ns, as on `/write`.

    Raises:
        UnparsableBody: a line is not line protocol.
        ValueUnreadable: all are, but a value cannot be read.
    """
    unit = PRECISIONS.get(precision, 1)
    rounded = _ROUNDED.get(precision, 1)
    default = now // rounded * rounded
    points: list[Point] = []
    failed: list[bytes] = []
    unreadable: list[ValueUnreadable] = []
    match, findall = _LINE.match, FIELDS.findall
    at, end = 0, len(body)
    while at < end:
        found = match(body, at)
        if found is not None:
            key, text, stamp = found.groups()
            fields: list[Field] = []
            for name, integer, unsigned, number, string, boolean in findall(text):
                if number:
                    value = float(number)
                    if value - value != 0.0:  # infinite: the scanner words the refusal
                        break
                    fields.append((name, FLOAT, value))
                elif integer:
                    fields.append((name, INTEGER, int(integer)))
                elif unsigned:
                    fields.append((name, UNSIGNED, int(unsigned)))
                elif boolean:
                    fields.append((name, BOOLEAN, boolean in TRUE))
                else:
                    fields.append((name, STRING, string))
            else:
                time = int(stamp) * unit if stamp else default
                in_order = canonical(key)
                if in_order is not None and len(key) + len(text) < MAX_KEY and MIN_TIME <= time <= MAX_TIME:
                    points.append((in_order, fields, time))
                    at = found.end()
                    continue
        line, at = scan_line(body, at)
        line = line.lstrip(b" \t\0")
        if not line or line.startswith(b"#"):
            continue
        line = line.removesuffix(b"\n")  # of a quote that the end of the body leaves open
        try:
            points.append(parse_line(line, default, unit))
        except ValueUnreadable as error:
            unreadable.append(error)
        except LineError as error:
            failed.append(b"unable to parse '%s': %s" % (line, str(error).encode("utf-8", "surrogateescape")))
    if failed:
        raise UnparsableBody(b"\n".join(failed).decode("utf-8", "surrogateescape"))
    if unreadable:
        raise unreadable[0]
    return points


@lru_cache(65536)
def canonical(key: bytes) -> bytes | None:
    """A plain key with its tags in order; None when the scanner has something to say about it."""
    try:
        return scan_key(key + b" ")[1]
    except LineError:
        return None


def scan_line(body: bytes, at: int) -> tuple[bytes, int]:
    """The line that starts at `at` and where the next one starts: a newline within a quoted value does not end it."""
    start, end = at, len(body)
    quoted = in_fields = False
    equals = commas = 0
    while at < end:
        char = body[at]
        if char == 0x5C and at + 2 < end:
            at += 2
            continue
        if char == 0x20:
            in_fields = True
        if in_fields:
            if char == 0x3D and not quoted:
                equals += 1
            elif char == 0x2C and not quoted:
                commas += 1
            elif char == 0x22 and equals > commas:
                quoted = not quoted
        if char == 0x0A and not quoted:
            break
        at += 1
    return body[start:at], at + 1


def parse_line(line: bytes, default_time: int, unit: int = 1) -> Point:
    """Parse one line without leading white space; the definition of the grammar.

    Raises:
        LineError: with InfluxDB's reason.
        ValueUnreadable: a value is not what its first character promises.
    """
    at, key = scan_key(line)
    if len(key) > MAX_KEY:
        raise LineError(f"max key length exceeded: {len(key)} > {MAX_KEY}")
    at, text = _scan_fields(line, _skip_blank(line, at))
    raw = list(_split_fields(text))
    for name, _ in raw:
        if len(key) + 4 + len(name) > MAX_KEY:
            raise LineError(f"max key length exceeded: {len(key) + 4 + len(name)} > {MAX_KEY}")
    at, stamp = _scan_time(line, _skip_blank(line, at))
    time = default_time
    if stamp:
        time = _integer(stamp, "ParseInt", -(2**63), 2**63 - 1) * unit
        if not MIN_TIME <= time <= MAX_TIME:
            raise LineError(f"time outside range {MIN_TIME} - {MAX_TIME}")
        if line[at:].strip(b" "):
            raise LineError("point is invalid")
    return (key, [(_unescape(name, b'," ='), *_value(value)) for name, value in raw if value], time)


def _skip_blank(line: bytes, at: int) -> int:
    while at < len(line) and line[at] in b" \t\0":
        at += 1
    return at


def scan_key(line: bytes) -> tuple[int, bytes]:
    """The end of measurement and tags, and these with the tags in order."""
    if not line or line[0] == 0x2C:
        raise LineError("missing measurement")
    at = _find(line, 1, b", ")
    if at == len(line):
        raise LineError("missing fields")
    name_end, tags = at, []
    while line[at] == 0x2C:
        start = at = at + 1
        if at >= len(line) or line[at] in b" ,=":
            raise LineError("missing tag key")
        at = _find(line, at + 1, b" ,=")
        if at == len(line) or line[at] != 0x3D:
            raise LineError("missing tag value")
        equal = at
        at += 1
        if at >= len(line) or line[at] in b", ":
            raise LineError("missing tag value")
        at = _find(line, at + 1, b"=, ")
        if at == len(line):
            raise LineError("missing fields")
        if line[at] == 0x3D:
            raise LineError("invalid tag format")
        tags.append((line[start:equal], line[start:at]))
    for name, _ in tags:
        if name in RESERVED_TAGS:
            raise LineError(f"cannot use reserved tag key {quote(name)}")
    tags.sort(key=lambda tag: tag[0])
    if any(a[0] == b[0] for a, b in pairwise(tags)):
        raise LineError("duplicate tags")
    return at, b",".join((line[:name_end], *(tag for _, tag in tags)))


def _find(line: bytes, at: int, stops: bytes) -> int:
    """The first of `stops` from `at` that has no backslash before it, else the end."""
    while at < len(line) and not (line[at] in stops and line[at - 1] != 0x5C):
        at += 1
    return at


def _scan_fields(line: bytes, start: int) -> tuple[int, bytes]:
    at, quoted, equals, commas = start, False, 0, 0
    while at < len(line):
        char = line[at]
        if char == 0x5C and at + 1 < len(line):
            at += 2
            continue
        if char == 0x22 and equals > commas:
            quoted = not quoted
            at += 1
            continue
        if char == 0x3D and not quoted:
            equals += 1
            if line[at - 1] in b" ," and line[at - 2] != 0x5C:
                raise LineError("missing field key")
            if at + 1 >= len(line) or line[at + 1] in b", ":
                raise LineError("missing field value")
            first = line[at + 1]
            if first in b"0123456789.-Nn":
                at = _scan_number(line, at + 1)
                continue
            if first != 0x22:
                at = _scan_boolean(line, at + 1)
                continue
        if char == 0x2C and not quoted:
            commas += 1
        if char == 0x20 and not quoted:
            break
        at += 1
    if quoted:
        raise LineError("unbalanced quotes")
    if equals == 0 or commas != equals - 1:
        raise LineError("invalid field format")
    return at, line[start:at]


def _scan_number(line: bytes, start: int) -> int:
    """The end of the number at `start`; the checks are InfluxDB's, in its order, since they decide the message."""
    end = start
    while end < len(line) and line[end] not in b", ":
        end += 1
    text = line[start:end]
    body = text[1:] if text.startswith(b"-") else text
    kind = ""
    decimal = scientific = False
    previous = 0
    for index, char in enumerate(body, len(text) - len(body)):
        if char in b"iu" and index > 0 and not kind:
            kind = chr(char)
        elif char in b"eE" and index > 0:
            scientific = True
        elif char in b"+-" and previous in b"eE" and previous:
            pass
        elif char == 0x2E and not decimal:
            decimal = True
        elif char not in b"0123456789":
            raise LineError("invalid number")
        previous = char
    digits = len(text) - (kind == "i") - decimal - text.startswith(b"-")
    if (kind and (decimal or scientific)) or digits == 0 or (kind and text[-1:] != kind.encode()):
        raise LineError("invalid number")
    if kind == "u" and text.startswith(b"-"):
        raise LineError("invalid number")
    if kind == "i":
        try:
            _integer(text[:-1], "ParseInt", -(2**63), 2**63 - 1)
        except LineError as error:
            raise LineError(f"unable to parse integer {text[:-1].decode()}: {error}") from None
    elif kind == "u":
        try:
            _integer(text[:-1], "ParseUint", 0, 2**64 - 1)
        except LineError as error:
            raise LineError(f"unable to parse unsigned {text[:-1].decode()}: {error}") from None
    elif (value := _float(text)) is None or value - value != 0.0:
        raise LineError("invalid float")
    return end


def _scan_boolean(line: bytes, start: int) -> int:
    end = start
    while end < len(line) and line[end] not in b", ":
        end += 1
    if line[start:end] not in TRUE | FALSE:
        raise LineError("invalid boolean")
    return end


def _scan_time(line: bytes, start: int) -> tuple[int, bytes]:
    at = start
    while at < len(line) and line[at] not in b"\n ":
        if not (line[at] in b"0123456789" or (at == start and line[at] == 0x2D)):
            raise LineError("bad timestamp")
        at += 1
    return at, line[start:at]


def _split_fields(text: bytes) -> list[tuple[bytes, bytes]]:
    """Raw names and values; where a value ends is decided by its quotes alone."""
    fields, at = [], 0
    while at < len(text):
        equal = at
        while equal < len(text) and not (text[equal] == 0x3D and (equal == at or text[equal - 1] != 0x5C)):
            equal += 1
        if equal > len(text) - 2:
            raise LineError(f"invalid value: field-key={text[at:equal].decode('utf-8', 'surrogateescape')}")
        end, quoted = equal + 1, False
        while end < len(text):
            if text[end] == 0x5C and text[end + 1 : end + 2] in (b'"', b"\\"):
                end += 2
                continue
            if text[end] == 0x22:
                quoted = not quoted
            elif text[end] == 0x2C and not quoted:
                break
            end += 1
        fields.append((text[at:equal], text[equal + 1 : end]))
        at = end + 1
    return fields


def _value(text: bytes) -> tuple[str, Value]:
    first = text[0]
    if first == 0x22:
        if len(text) < 2:
            raise ValueUnreadable("engine: slice bounds out of range")
        return STRING, re.sub(rb'\\([\\"])', rb"\1", text[1:-1])
    if first in b"0123456789-.nNiIu":
        try:
            if text.endswith(b"i"):
                return INTEGER, _integer(text[:-1], "ParseInt", -(2**63), 2**63 - 1)
            if text.endswith(b"u"):
                return UNSIGNED, _integer(text[:-1], "ParseUint", 0, 2**64 - 1)
        except LineError as error:
            kind = "integer" if text.endswith(b"i") else "unsigned"
            raise ValueUnreadable(f"engine: unable to parse {kind} value {quote(text[:-1])}: {error}") from None
        number = _float(text)
        if number is None:
            raise _unreadable("floating point", "ParseFloat", text)
        return FLOAT, number
    if text not in TRUE | FALSE:
        raise _unreadable("bool", "ParseBool", text)
    return BOOLEAN, text in TRUE


def _unreadable(kind: str, function: str, text: bytes) -> ValueUnreadable:
    shown = quote(text)
    return ValueUnreadable(
        f"engine: unable to parse {kind} value {shown}: strconv.{function}: parsing {shown}: invalid syntax"
    )


def _float(text: bytes) -> float | None:
    if not re.fullmatch(rb"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?", text):
        return None
    return float(text)


def _integer(text: bytes, function: str, low: int, high: int) -> int:
    if not re.fullmatch(rb"[+-]?\d+", text):
        raise LineError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    value = int(text)
    if not low <= value <= high:
        raise LineError(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return value


def _unescape(text: bytes, chars: bytes) -> bytes:
    if b"\\" not in text:
        return text
    return re.sub(rb"\\([" + re.escape(chars) + rb"])", rb"\1", text)


def split_key(key: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """Measurement and (name, value) of each tag, unescaped, of a key that `parse` gave."""
    if b"\\" not in key:
        name, *tags = key.split(b",")
        pairs = (tag.partition(b"=") for tag in tags)
        return name, tuple((tag, value) for tag, _, value in pairs)
    end = _find(key, 1, b",")
    pairs_: list[tuple[bytes, bytes]] = []
    at = end
    while at < len(key):
        equal = _find(key, at + 2, b"=")
        at, start = _find(key, equal + 2, b","), at + 1
        pairs_.append((_unescape_tag(key[start:equal]), _unescape_tag(key[equal + 1 : at])))
    return key[:end].replace(b"\\,", b",").replace(b"\\ ", b" "), tuple(pairs_)


def make_key(measurement: str, tags: dict[str, str]) -> bytes:
    """The key of a point that does not come from text; tags without a value are left out."""
    parts = [_escape(measurement, ", ")]
    parts += [
        _escape(name, ", =") + b"=" + _escape(tags[name], ", =") for name in sorted(tags, key=_bytes) if tags[name]
    ]
    return b",".join(parts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _escape(text: str, chars: str) -> bytes:
    return _bytes(re.sub(f"([{chars}])", r"\\\1", text))


def _unescape_tag(text: bytes) -> bytes:
    return text.replace(b"\\,", b",").replace(b"\\ ", b" ").replace(b"\\=", b"=")


def quote(text: bytes | str) -> str:
    """Text between double quotes as InfluxDB's messages show it."""
    plain = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    out = []
    for char in plain:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\a\b\f\n\r\t\v":
            out.append("\\" + "abfnrtv"["\a\b\f\n\r\t\v".index(char)])
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif not char.isprintable():
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'
