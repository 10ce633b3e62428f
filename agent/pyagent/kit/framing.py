"""Messages in a stream of bytes, as Telegraf's `splitting_strategy` cuts them.

`Framing` holds what the options say and makes a splitter for each stream. A splitter's `feed` gives the messages that are
whole after each block of bytes, `finish` the one that needs no separator behind it.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.api.options import Options, option

__all__ = [
    "BadFrame",
    "Framing",
    "LengthField",
    "Splitter",
    "find_open",
    "is_closed",
    "reference_find_open",
    "split_open",
]

LEAST_LIMIT = 64 * 2**10
"""Bytes of a message that every stream may have."""


class LengthField(Options, frozen=True):
    offset: Annotated[int, option("where the length begins, bytes from the start of a message")] = 0
    bytes: Annotated[int, option("how many bytes it has, 1 to 8")] = 0
    endianness: Annotated[str, option("be (the most significant byte first) or le")] = "be"
    header_length: Annotated[
        int, option("bytes before the data that the length counts; the parser does not get them")
    ] = 0


class BadFrame(PyagentError):
    """What comes is no message: it is too long, or its length makes no sense. Nothing behind it can be read."""


class Splitter(Protocol):
    """Cuts one stream."""

    rest: bytearray
    """The message that has begun and not ended."""

    def feed(self, block: bytes) -> list[bytes]:
        """The messages that end in `block`, without their separators or headers; empty ones are left out. Raises BadFrame."""

    def finish(self) -> bytes:
        """The last message, where it needs no separator behind it; empty where there is none. Raises BadFrame where the
        stream ended within a message whose length is known."""


Strategy = Literal["", "newline", "null", "delimiter", "fixed length", "variable length"]


class Framing:
    """How streams are cut. `limit`: bytes of the longest message.

    `lines`: what reads the messages reads lines, so that all the lines of a block are one message, as far as that changes
    nothing: see `split_open`. `strings`: they may hold strings, as line protocol's do.
    Raises ConfigError naming Telegraf's option at fault.
    """

    def __init__(
        self,
        strategy: Strategy = "newline",
        *,
        delimiter: str = "",
        length: int = 0,
        field: LengthField | None = None,
        limit: int = 0,
        lines: bool = False,
        strings: bool = True,
    ) -> None:
        self.limit = max(limit, LEAST_LIMIT)
        self._make: Callable[[], Splitter]
        match strategy:
            case "newline" | "":
                self._make = (
                    (lambda: _Lines(self.limit, strings)) if lines else lambda: _Separated(b"\n", self.limit, b"\r")
                )
            case "null":
                self._make = lambda: _Separated(b"\0", self.limit)
            case "delimiter":
                separator = _delimiter(delimiter)
                self._make = lambda: _Separated(separator, self.limit)
            case "fixed length":
                if not 0 < length < 2**31:
                    message = f"cannot use the splitting_length {length}: give the bytes of a message"
                    raise ConfigError(message, option="splitting_length")
                self.limit = max(self.limit, length)
                self._make = lambda: _Fixed(length)
            case "variable length":
                checked = _checked(field or LengthField(), self.limit)
                self._make = lambda: _Variable(checked, self.limit)

    def splitter(self) -> Splitter:
        return self._make()


def _delimiter(text: str) -> bytes:
    try:
        delimiter = bytes.fromhex(re.sub(r"\s*0?x", "", text.lower()))
    except ValueError:
        delimiter = b""
    if not delimiter:
        message = f"cannot use the splitting_delimiter {text!r}: give its bytes in hexadecimal, such as '0x0D0A'"
        raise ConfigError(message, option="splitting_delimiter")
    return delimiter


def _checked(field: LengthField, limit: int) -> LengthField:
    problem = ""
    if not 1 <= field.bytes <= 8:
        problem = f"bytes = {field.bytes}; a length has 1 to 8"
    elif field.endianness.lower() not in ("", "be", "le"):
        problem = f"endianness = {field.endianness!r}; use 'be' or 'le'"
    elif not 0 <= field.offset <= limit - 8:
        problem = f"offset = {field.offset}; it is counted from the start of the message"
    elif not 0 <= field.header_length <= limit:
        problem = f"header_length = {field.header_length}; give the bytes before the data"
    if problem:
        raise ConfigError(f"cannot use splitting_length_field: {problem}", option="splitting_length_field")
    return field


class _Separated:
    """Messages with a separator between them. `trim`: taken away once from a message's end."""

    def __init__(self, separator: bytes, limit: int, trim: bytes = b"") -> None:
        self.rest = bytearray()
        self._separator = separator
        self._limit = limit
        self._trim = trim

    def feed(self, block: bytes) -> list[bytes]:
        separator, rest = self._separator, self.rest
        # The separator may lie across the border of two blocks.
        begun = rest[max(len(rest) - len(separator) + 1, 0) :]
        if separator not in (begun + block if begun else block):
            self._keep(block)
            return []
        messages = (bytes(rest) + block).split(separator) if rest else block.split(separator)
        if len(messages[0]) > self._limit:
            raise self._too_long()
        rest.clear()
        self._keep(messages.pop())
        return [trimmed for message in messages if (trimmed := message.removesuffix(self._trim))]

    def _keep(self, block: bytes) -> None:
        self.rest += block
        if len(self.rest) > self._limit:
            raise self._too_long()

    def _too_long(self) -> BadFrame:
        return BadFrame(f"a message is longer than {self._limit} bytes")

    def finish(self) -> bytes:
        last = bytes(self.rest).removesuffix(self._trim)
        self.rest.clear()
        return last


class _Lines(_Separated):
    """All the lines of a block at once, each with its end."""

    def __init__(self, limit: int, strings: bool) -> None:
        super().__init__(b"\n", limit)
        self._strings = strings

    def feed(self, block: bytes) -> list[bytes]:
        end = block.rfind(b"\n") + 1
        if not end:
            self._keep(block)
            return []
        lines = block if end == len(block) else block[:end]
        if self.rest:
            if len(self.rest) + block.index(b"\n") > self._limit:
                raise self._too_long()
            lines = bytes(self.rest) + lines
            self.rest.clear()
        if end < len(block):
            self._keep(block[end:])
        return split_open(lines) if self._strings else [lines]


class _Fixed:
    def __init__(self, length: int) -> None:
        self.rest = bytearray()
        self._length = length

    def feed(self, block: bytes) -> list[bytes]:
        length, rest = self._length, self.rest
        if len(rest) + len(block) < length:
            rest += block
            return []
        data = bytes(rest) + block
        end = len(data) - len(data) % length
        self.rest = bytearray(data[end:])
        return [data[start : start + length] for start in range(0, end, length)]

    def finish(self) -> bytes:
        return _cut_short(self.rest)


class _Variable:
    def __init__(self, field: LengthField, limit: int) -> None:
        self.rest = bytearray()
        self._start, self._end = field.offset, field.offset + field.bytes
        self._order: Literal["big", "little"] = "little" if field.endianness.lower() == "le" else "big"
        self._header = field.header_length
        self._limit = limit
        self._wanted = 0
        """Bytes of the message that has begun, where that is known."""

    def feed(self, block: bytes) -> list[bytes]:
        if len(self.rest) + len(block) < max(self._wanted, self._end):
            self.rest += block
            return []
        data = bytes(self.rest) + block
        messages: list[bytes] = []
        at, self._wanted = 0, 0
        while len(data) - at >= self._end:
            length = int.from_bytes(data[at + self._start : at + self._end], self._order)
            whole = self._header + length
            if whole > self._limit:
                raise BadFrame(f"a message says that it has {whole} bytes, more than {self._limit}")
            if not whole:
                raise BadFrame("a message says that it has no bytes, not even a header")
            if len(data) - at < whole:
                self._wanted = whole
                break
            if length:
                messages.append(data[at + self._header : at + whole])
            at += whole
        self.rest = bytearray(data[at:])
        return messages

    def finish(self) -> bytes:
        return _cut_short(self.rest)


def _cut_short(rest: bytearray) -> bytes:
    count = len(rest)
    rest.clear()
    if count:
        raise BadFrame(f"the stream ended within a message, {count} bytes after its start")
    return b""


# Lines of line protocol -----------------------------------------------------------------------------------------------

_OPEN = re.compile(rb'="[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+\\?\n')
"""A string that its line does not end, or what looks like one."""


def reference_find_open(lines: bytes, start: int) -> int:
    """Where the line ends, from `start` on, in which a string begins and does not end; -1: there is none."""
    match = _OPEN.search(lines, start)
    return -1 if match is None else match.end()


find_open = reference_find_open
if not TYPE_CHECKING and os.environ.get("PYAGENT_NATIVE") != "0":
    with suppress(ImportError):
        from pyagent.kit.native import find_open


def split_open(lines: bytes) -> list[bytes]:
    """Lines of line protocol in as few pieces as can be read each by itself: a string that does not end in its line would go
    on in the next one, which a sender may have meant, or may be somebody else's."""
    pieces: list[bytes] = []
    start = 0
    while (end := find_open(lines, start)) >= 0:
        pieces.append(lines[start:end])
        start = end
    if start < len(lines):
        pieces.append(lines[start:] if start else lines)
    return pieces


def is_closed(lines: bytes) -> bool:
    """Whether nothing of the last line goes on in what follows."""
    return b'="' not in lines or find_open(lines if lines.endswith(b"\n") else lines + b"\n", 0) < 0
