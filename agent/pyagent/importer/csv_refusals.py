"""Rows of CSV that are refused, each with its place."""

from pyagent.importer.cells import Malformed
from pyagent.importer.pieces import Failure, Piece, Rejected, place
from pyagent.importer.rejects import is_comment

__all__ = ["malformed", "reject"]


def reject(piece: Piece, start: int, end: int, separator: bytes, failure: Failure) -> None:
    """Add the row from `start` to `end` to the refused ones of the piece."""
    row = piece.text[start:end]
    line, column = place(piece.text, start, piece.first_line)
    if failure.cell >= 0:
        line, column = place(piece.text, start + _offset_of(row, failure.cell, separator), piece.first_line)
    elif not failure.name:
        column = 0
    piece.rejected.append(Rejected(line, column, failure.reason, row.rstrip(b"\r\n"), failure.name))


def malformed(piece: Piece, start: int, error: Malformed) -> int:
    """The same for one that is no CSV; returns where the next row begins, `start` where nothing can be read any further."""
    line, column = place(piece.text, error.at, piece.first_line)
    if error.end < 0:
        piece.failure = f"line {line}, column {column}: {error.reason}"
        return start
    row = piece.text[start : error.end].rstrip(b"\r\n")
    if not is_comment(row):
        piece.rejected.append(Rejected(line, column, error.reason, row))
    return error.end


def _offset_of(row: bytes, cell: int, separator: bytes) -> int:
    """Where a cell begins in its row."""
    if b'"' not in row:
        position = 0
        for _ in range(cell):
            following = row.find(separator, position)
            if following < 0:
                return len(row.rstrip(b"\r\n"))
            position = following + len(separator)
        return position
    position, inside, found = 0, False, 0
    while position < len(row) and found < cell:
        if row[position] == 0x22:
            inside = not inside
        elif not inside and row.startswith(separator, position):
            found += 1
            position += len(separator) - 1
        position += 1
    return position
