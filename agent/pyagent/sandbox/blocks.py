"""The points of a column as bytes: times and values, each one behind the other in the order of time.

What comes behind is appended by putting bytes behind bytes. Numbers take 8 bytes each, booleans 1, all little-endian; a string
stands behind its length, of 4 bytes.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import ge
from typing import Any, Final

from pyagent.sandbox.points import BOOLEAN, FLOAT, INTEGER, STRING, UNSIGNED

Piece = tuple[bytes, bytes]
"""Times and values."""

BLOCK: Final = 1024
"""Rows that a block of the file has at most."""
BLOCK_BYTES: Final = 262_144
"""Bytes of strings that a block has at most, unless one string is longer."""

_KINDS: Final = (INTEGER, UNSIGNED, FLOAT, BOOLEAN, STRING)
_CODES: Final = {INTEGER: "q", UNSIGNED: "Q", FLOAT: "d", BOOLEAN: "b"}
_SIZE: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<qBIII")
_COLUMN: Final = struct.Struct("<q")
_SWAP: Final = sys.byteorder == "big"


def _to_bytes(code: str, values: Iterable[Any]) -> bytes:
    made = array(code, values)
    if _SWAP:
        made.byteswap()
    return made.tobytes()


def _from_bytes(code: str, data: bytes) -> "array[Any]":
    made = array(code)
    made.frombytes(data)
    if _SWAP:
        made.byteswap()
    return made


def encode_times(times: Iterable[int]) -> bytes:
    return _to_bytes("q", times)


def encode_values(kind: str, values: Sequence[Any]) -> bytes:
    """Strings are given as bytes."""
    if kind == STRING:
        return b"".join(part for value in values for part in (_SIZE.pack(len(value)), value))
    return _to_bytes(_CODES[kind], values)


def decode_times(data: bytes) -> "array[int]":
    return _from_bytes("q", data)


def decode_values(kind: str, data: bytes) -> Sequence[Any]:
    """The values of an array, or a list of strings as bytes."""
    if kind != STRING:
        return _from_bytes(_CODES[kind], data)
    made, at = [], 0
    while at < len(data):
        (size,) = _SIZE.unpack_from(data, at)
        made.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return made


def ends(times: bytes) -> tuple[int, int]:
    """The first and the last time."""
    return int.from_bytes(times[:8], "little", signed=True), int.from_bytes(times[-8:], "little", signed=True)


def merged(kind: str, pieces: Sequence[Piece]) -> Piece:
    """Pieces as one, without two rows of one time: the row of the last piece that has the time stays."""
    in_order, latest = True, -(2**63)
    for times, _ in pieces:
        first, last = ends(times)
        in_order = in_order and first > latest
        latest = last
    if in_order:
        return (
            pieces[0] if len(pieces) == 1 else (b"".join(one for one, _ in pieces), b"".join(one for _, one in pieces))
        )
    rows: dict[int, Any] = {}
    for times, values in pieces:
        rows.update(zip(decode_times(times), decode_values(kind, values), strict=True))
    order = sorted(rows)
    return encode_times(order), encode_values(kind, [rows[time] for time in order])


def cut(kind: str, piece: Piece, start: int, stop: int) -> Piece:
    """The rows from `start` to before `stop`."""
    times, values = piece
    first, last = ends(times)
    if start <= first and last < stop:
        return piece
    decoded = decode_times(times)
    low = bisect_left(decoded, start)
    high = max(low, bisect_left(decoded, stop))
    return times[low * 8 : high * 8], _slice(kind, values, low, high)


def _slice(kind: str, values: bytes, low: int, high: int) -> bytes:
    if kind == STRING:
        return encode_values(kind, decode_values(kind, values)[low:high])
    width = 1 if kind == BOOLEAN else 8
    return values[low * width : high * width]


def chunks(kind: str, piece: Piece, *, even: bool) -> Iterator[Piece]:
    """A piece as blocks of the file; `even`: of about the same size, so that more fits into each later."""
    times, values = piece
    rows = len(times) // 8
    if kind == STRING and len(values) > BLOCK_BYTES:
        yield from _by_bytes(times, decode_values(kind, values))
        return
    size = -(-rows // -(-rows // BLOCK)) if even else BLOCK
    for low in range(0, rows, size):
        high = low + size
        yield (times[low * 8 : high * 8], _slice(kind, values, low, high)) if size < rows else piece


def _by_bytes(times: bytes, values: Sequence[bytes]) -> Iterator[Piece]:
    first = size = 0
    for at, value in enumerate(values):
        if at > first and (size + len(value) > BLOCK_BYTES or at - first == BLOCK):
            yield times[first * 8 : at * 8], encode_values(STRING, values[first:at])
            first, size = at, 0
        size += len(value)
    yield times[first * 8 :], encode_values(STRING, values[first:])


class ColumnBatch:
    """What one request has written, by columns. One object, however many columns there are, so that it costs the collector
    of garbage nothing."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        """`data`: what `make_batch` gave."""
        self._data = data
        (count,) = _SIZE.unpack_from(data)
        heads = range(_SIZE.size, _SIZE.size + count * _HEAD.size, _HEAD.size)
        self._at = {_COLUMN.unpack_from(data, at)[0]: at for at in heads}

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def get(self, column: int) -> tuple[str, Piece] | None:
        """The type and the points of a column; None: it has none here."""
        at = self._at.get(column)
        if at is None:
            return None
        _, kind, rows, size, begin = _HEAD.unpack_from(self._data, at)
        middle = begin + rows * 8
        return _KINDS[kind], (self._data[begin:middle], self._data[middle : middle + size])


def make_batch(rows: dict[int, tuple[str, list[int], list[Any]]]) -> bytes:
    """What was written, as a row of the file. `rows`: type, times and values of each column, as they came."""
    heads: list[bytes] = []
    parts: list[bytes] = []
    of_kind: dict[str, list[int]] = {}
    for column, (kind, _, _) in rows.items():
        of_kind.setdefault(kind, []).append(column)
    begin = _SIZE.size + len(rows) * _HEAD.size
    for kind, columns in of_kind.items():
        all_times: list[int] = []
        all_values: list[Any] = []
        counts: list[int] = []
        for column in columns:
            _, times, values = rows[column]
            if len(times) > 1 and any(map(ge, times, times[1:])):
                known = dict(zip(times, values, strict=True))  # of equal times the later one of the request wins
                times = sorted(known)
                values = [known[time] for time in times]
            all_times += times
            all_values += values
            counts.append(len(times))
        encoded = encode_times(all_times)
        fixed = b"" if kind == STRING else encode_values(kind, all_values)
        width, row, number = 1 if kind == BOOLEAN else 8, 0, _KINDS.index(kind)
        for column, count in zip(columns, counts, strict=True):
            end = row + count
            own = encode_values(kind, all_values[row:end]) if kind == STRING else fixed[row * width : end * width]
            heads.append(_HEAD.pack(column, number, count, len(own), begin))
            parts += encoded[row * 8 : end * 8], own
            begin += count * 8 + len(own)
            row = end
    return b"".join((_SIZE.pack(len(heads)), *heads, *parts))
