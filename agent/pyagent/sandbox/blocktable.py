"""The table of blocks: every block holds points of one column; the blocks of a column do not overlap."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from pyagent.sandbox.blocks import (
    BLOCK,
    BLOCK_BYTES,
    Piece,
    chunks,
    cut,
    encode_times,
    encode_values,
    ends,
    merged,
)
from pyagent.sandbox.points import STRING, UNSIGNED

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blocks(id INTEGER PRIMARY KEY, column INTEGER NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, times BLOB NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS blocks_of_column ON blocks(column, first, last);
"""

_ADD: Final = "INSERT INTO blocks(column, first, last, times, value) VALUES(?, ?, ?, ?, ?)"
_AT: Final = "(SELECT max(first) FROM blocks WHERE column = :column AND first <= :low)"
_OVERLAPPING: Final = f"column = :column AND first >= coalesce({_AT}, :low) AND first <= :high AND last >= :low"


def add(db: sqlite3.Connection, columns: Iterable[tuple[int, str, Piece]], latest: dict[int, int]) -> None:
    """Store rows, a piece for each column; of two rows of one time the new one stays.

    `latest` has for each column that has blocks a time, and none of its times is later; it is kept so.
    """
    replaced: list[tuple[int]] = []
    added: list[tuple[int, int, int, bytes, bytes]] = []
    for column, kind, piece in columns:
        low, high = ends(piece[0])
        known = latest.get(column)
        if known is not None and low <= known:
            _insert(db, column, kind, cut(kind, piece, low, known + 1))
            piece = cut(kind, piece, known + 1, high + 1)
        if piece[0]:
            gone, whole = _behind(db, column, kind, piece) if known is not None else ([], piece)
            replaced += gone
            added += [(column, *ends(part[0]), *part) for part in chunks(kind, whole, even=False)]
            latest[column] = high
    db.executemany("DELETE FROM blocks WHERE id = ?", replaced)
    db.executemany(_ADD, added)


def _behind(db: sqlite3.Connection, column: int, kind: str, piece: Piece) -> tuple[list[tuple[int]], Piece]:
    """Rows behind all others: the blocks that they replace, and these and the rows together.

    Small blocks grow in steps of about twice their size, so that a row is seldom written anew.
    """
    replaced: list[tuple[int]] = []
    before = ends(piece[0])[0]
    while True:
        sql = "SELECT id, first, times, value FROM blocks WHERE column = ? AND first < ? ORDER BY first DESC LIMIT 1"
        found = db.execute(sql, (column, before)).fetchone()
        if found is None:
            break
        number, before, times, values = found
        rows = len(times) + len(piece[0])
        size = len(values) + len(piece[1]) if kind == STRING else 0
        if len(times) > len(piece[0]) or rows > BLOCK * 8 or size > BLOCK_BYTES:
            break
        replaced.append((number,))
        piece = times + piece[0], values + piece[1]
    return replaced, piece


def _insert(db: sqlite3.Connection, column: int, kind: str, piece: Piece) -> None:
    """Rows among others: each goes to the block before it, the first ones to the first block."""
    low, high = ends(piece[0])
    while low <= high:
        place = "SELECT id, times, value FROM blocks WHERE column = :column AND first = coalesce({}, (SELECT min(first) {}))"
        of_column = "FROM blocks WHERE column = :column"
        found = db.execute(place.format(_AT, of_column), {"column": column, "low": low}).fetchone()
        if found is None:
            _put(db, column, [], chunks(kind, piece, even=True))
            return
        number, times, values = found
        first = max(low, ends(times)[0])
        (following,) = db.execute(
            "SELECT min(first) FROM blocks WHERE column = ? AND first > ?", (column, first)
        ).fetchone()
        stop = high + 1 if following is None else following
        own = cut(kind, piece, low, stop)
        _put(db, column, [(number,)], chunks(kind, merged(kind, [(times, values), own]), even=True))
        rest = cut(kind, piece, stop, high + 1)
        if not rest[0]:
            return
        piece, low = rest, ends(rest[0])[0]


def _put(db: sqlite3.Connection, column: int, replaced: list[tuple[int]], pieces: Iterator[Piece]) -> None:
    db.executemany("DELETE FROM blocks WHERE id = ?", replaced)
    db.executemany(_ADD, [(column, *ends(times), times, values) for times, values in pieces])


def delete(db: sqlite3.Connection, column: int, kind: str, start: int, stop: int) -> None:
    """Delete the rows from `start` to before `stop`."""
    if start >= stop:
        return
    db.execute("DELETE FROM blocks WHERE column = ? AND first >= ? AND last < ?", (column, start, stop))
    sql = f"SELECT id, first, last, times, value FROM blocks WHERE {_OVERLAPPING}"  # noqa: S608  (constants)
    for number, first, last, times, values in db.execute(sql, _within(column, start, stop)).fetchall():
        piece = times, values
        parts = cut(kind, piece, first, start), cut(kind, piece, stop, last + 1)
        _put(db, column, [(number,)], iter([part for part in parts if part[0]]))


def pieces(
    db: sqlite3.Connection, column: int, kind: str, start: int, stop: int, *, backwards: bool = False
) -> Iterator[Piece]:
    """The stored rows from `start` to before `stop`, block by block."""
    sql = f"SELECT times, value FROM blocks WHERE {_OVERLAPPING} ORDER BY first"  # noqa: S608  (constants)
    for piece in db.execute(sql + " DESC" if backwards else sql, _within(column, start, stop)):
        part = cut(kind, piece, start, stop)
        if part[0]:
            yield part


def _within(column: int, start: int, stop: int) -> dict[str, int]:
    """What `_OVERLAPPING` asks for, for rows from `start` to before `stop`."""
    return {"column": column, "low": start, "high": stop - 1}


def bring_over(db: sqlite3.Connection, kinds: Callable[[], Sequence[tuple[int, str]]]) -> None:
    """Turn what an earlier version has stored, a row per value, into blocks. `kinds`: the columns and their types."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'stored' AND type = 'view'").fetchone() is None:
        return
    for column, kind in kinds():
        sql = "SELECT time, value FROM stored WHERE column = ? AND value IS NOT NULL ORDER BY time"
        rows = db.execute(sql, (column,)).fetchall()
        if not rows:
            continue
        # Unsigned values were stored less 2**63, which kept their order within SQLite's signed integers.
        values = [value + 2**63 if kind == UNSIGNED else value for _, value in rows]
        piece = encode_times([time for time, _ in rows]), encode_values(kind, values)
        _put(db, column, [], chunks(kind, piece, even=False))
    db.execute("DROP VIEW stored")
    db.execute("DROP TABLE points")
    db.execute("DROP TABLE recent")
