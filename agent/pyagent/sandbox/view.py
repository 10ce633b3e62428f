"""The stored points at one moment."""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from pyagent.sandbox import blocktable
from pyagent.sandbox.blocks import ColumnBatch, Piece, cut, decode_times, decode_values, merged
from pyagent.sandbox.points import BOOLEAN, STRING
from pyagent.sandbox.series import Column

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


class View:
    """The points at one moment."""

    def __init__(self, db: sqlite3.Connection, batches: list[ColumnBatch]) -> None:
        self._db = db
        self._batches = batches
        self._last_times: tuple[bytes, list[int]] = b"", []

    def raw(self, column: Column, start: int = _LOWEST, stop: int = _HIGHEST) -> Piece:
        """Times and values (bytes) from `start` to before `stop`, in the order of time."""
        found = list(blocktable.pieces(self._db, column.id, column.type, start, stop))
        found += self._waiting(column, start, stop)
        return merged(column.type, found) if found else (b"", b"")

    def _waiting(self, column: Column, start: int, stop: int) -> Iterator[Piece]:
        for batch in self._batches:
            found = batch.get(column.id)
            if found is not None and (part := cut(column.type, found[1], start, stop))[0]:
                yield part

    def read(self, column: Column, start: int, stop: int) -> tuple[list[int], list[Any]]:
        """Times and values from `start` to before `stop`, in the order of time.

        Columns with the same times one after the other have one list of times.
        """
        times, values = self.raw(column, start, stop)
        if times != self._last_times[0]:
            self._last_times = times, decode_times(times).tolist()
        return self._last_times[1], decode(column.type, values)

    def any(self, column: Column, start: int, stop: int) -> bool:
        """Whether there is a point from `start` to before `stop`."""
        return self._end(column, start, stop, backwards=False) is not None

    def first(self, column: Column, start: int, stop: int) -> tuple[int, Any] | None:
        """Time and value of the first point from `start` to before `stop`."""
        return self._end(column, start, stop, backwards=False)

    def last(self, column: Column, start: int, stop: int) -> tuple[int, Any] | None:
        """Time and value of the last point from `start` to before `stop`."""
        return self._end(column, start, stop, backwards=True)

    def _end(self, column: Column, start: int, stop: int, *, backwards: bool) -> tuple[int, Any] | None:
        stored = blocktable.pieces(self._db, column.id, column.type, start, stop, backwards=backwards)
        found = [piece for piece in (next(stored, None),) if piece is not None]
        found += self._waiting(column, start, stop)
        if not found:
            return None
        times, values = merged(column.type, found)
        at = -1 if backwards else 0
        return decode_times(times)[at], decode(column.type, values)[at]


def decode(kind: str, values: bytes) -> list[Any]:
    """Stored values as what they are."""
    found = decode_values(kind, values)
    if kind == STRING:
        return [value.decode("utf-8", "surrogateescape") for value in found]
    if kind == BOOLEAN:
        return list(map(bool, found))
    return list(found)
