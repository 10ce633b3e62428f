"""Messages of the DNS: a query, and what an answer says. Answers come from anybody: they are bounded."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Answer", "Record", "query", "read_name", "read_records"]

_INTERNET = 1
_MOST_JUMPS = 64
_MOST_RECORDS = 1000
_ESCAPED = re.compile(r"\\(?:(\d{3})|(.))|([^\\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    kind: int
    data: bytes
    at: int
    """Where `data` begins in the message: names in it may point back."""


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    """0: no error."""
    cut_off: bool
    records: list[Record]
    """Of the section of answers."""


def query(number: int, name: str, kind: int) -> bytes:
    r"""A question for records of a kind, with recursion. `name`: with a full stop at its end or without; `\.` and `\046` are
    characters of a label. Raises ValueError for what is no name."""
    labels = b"" if name in (".", "") else b"".join(_labels(name))
    if len(labels) > 254:
        raise ValueError("the name is longer than 255 bytes")
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, _INTERNET)


def _labels(name: str) -> Iterator[bytes]:
    label = bytearray()
    for code, escaped, plain in _ESCAPED.findall(name if name.endswith(".") else f"{name}."):
        if plain != ".":
            label += bytes([int(code) & 0xFF]) if code else (escaped or plain).encode("utf-8", "surrogateescape")
            continue
        if not 0 < len(label) <= 63:
            raise ValueError(f"a part of the name has {len(label)} bytes, not 1 to 63")
        yield bytes([len(label)]) + label
        label.clear()
    if label:
        raise ValueError("the name ends in the middle of a part")


def read_records(data: bytes, number: int) -> Answer:
    """Raises ValueError for what is no answer to the query of this number."""
    try:
        got, flags, questions, answers = struct.unpack_from(">4H", data)
        if got != number or not flags & 0x8000:
            raise ValueError("it is no answer to the query")
        if questions > 1:
            raise ValueError("it answers several questions")
        at = read_name(data, 12)[1] + 4 if questions else 12
        records = []
        for _ in range(min(answers, _MOST_RECORDS)):
            if at == len(data):
                break  # the server counts more than it sent, as where the answer is cut off
            name, at = read_name(data, at)
            kind, _, _, length = struct.unpack_from(">2HIH", data, at)
            at += 10
            if at + length > len(data):
                raise ValueError("the answer is cut off")
            records.append(Record(name, kind, data[at : at + length], at))
            at += length
    except (struct.error, IndexError):
        raise ValueError("the answer is cut off") from None
    return Answer(flags & 0xF, bool(flags & 0x0200), records)


def read_name(data: bytes, at: int) -> tuple[str, int]:
    """The name at a place, and what comes behind it. Raises IndexError where it is cut off, ValueError where it is none."""
    labels: list[str] = []
    end = -1
    length = 0
    for _ in range(_MOST_JUMPS * 2):
        size = data[at]
        if size >= 0xC0:
            end = at + 2 if end < 0 else end
            at = (size & 0x3F) << 8 | data[at + 1]
            continue
        if size >= 0x40:
            raise ValueError("a name in the answer is none")
        at += 1
        if not size:
            return ".".join(labels) + ".", at if end < 0 else end
        label = data[at : at + size]
        length += size + 1
        if len(label) < size:
            raise IndexError
        if length > 255:
            break
        labels.append("".join(chr(c) if 0x21 <= c < 0x7F and c not in b'.\\"' else f"\\{c:03d}" for c in label))
        at += size
    raise ValueError("a name in the answer is too long")
