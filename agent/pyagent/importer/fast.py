"""The native reader of rows, where it was built and the table is of a kind that it knows."""

import os
from datetime import UTC
from typing import Any

from pyagent.importer.columns import Cell, Rows
from pyagent.importer.csv_options import CsvOptions
from pyagent.importer.pieces import Piece
from pyagent.importer.times import DAY_FIRST, MONTH_FIRST, YEAR_FIRST, earlier_showing, local_offset
from pyagent.lineprotocol.text import to_bytes

__all__ = ["FastRows", "fast_rows"]

try:
    if os.environ.get("PYAGENT_NATIVE") == "0":
        raise ImportError
    from pyagent.lineprotocol.native import _rows as native
except ImportError:
    native = None  # type: ignore[assignment]  # where it was not built, the reference serves

_KINDS = {"string": 1, "base64Binary": 1, "double": 2, "long": 3, "unsignedLong": 4, "boolean": 5}
"""Kind of rows.hpp by the type of a column."""
_CLOCKS = {
    "number": 1, "": 2, "RFC3339": 3, "RFC3339Nano": 3, YEAR_FIRST: 4, DAY_FIRST: 5, MONTH_FIRST: 6,
}  # fmt: skip
"""Clock of clock.hpp by the form of a column of times."""
_DEFAULT = (".", b" \n\t\r_")


class FastRows:
    """Rows of one table. Those that are odd are left to the reference."""

    def __init__(self, plan: dict[str, Any], zone: Any) -> None:
        self._rows = native.Rows(plan, lambda hour: _hour_offset(zone, hour))

    def run(
        self, text: bytes, position: int, piece: Piece, size: int, points: int, *, final: bool
    ) -> tuple[int, bytes, int]:
        """Rows from `position` on, up to one that is odd: how far, their lines, and the number of all points. `size`: bytes of
        the piece's lines before these."""
        position, data, ends, starts, points = self._rows.run(text, position, final, size, points)
        piece.ends.frombytes(ends)
        piece.starts.frombytes(starts)
        return position, data, points


def fast_rows(
    rows: Rows, header: list[str], separator: bytes, options: CsvOptions, *, strict_width: bool
) -> FastRows | None:
    """None where the table is of no kind that the native reader knows."""
    cells = [cell for _, cell in rows.tags] + [cell for _, cell, _ in rows.fields]
    cells += [cell for cell in (rows.measurement, rows.time, rows.field_name, rows.field_value) if cell is not None]
    if native is None or not rows.is_plain or len(separator) != 1 or separator in b'"\r\n' or len(header) != rows.width:
        return None
    if rows.measurement is None or options.keep_duplicates or any(cell.template or cell.unknown for cell in cells):
        return None
    time = None
    if rows.time is not None:
        column = rows.time.column
        clock = _CLOCKS.get(column.form if column.kind == "dateTime" else "")
        if clock is None:
            return None
        time = _cell(rows.time), clock, rows.settings.unit, column.zone is UTC
    named = rows.field_name is not None and rows.field_value is not None
    plan = {
        "separator": separator[0],
        "width": rows.width,
        "strict_width": strict_width,
        "missing_words": rows.settings.missing_words,
        "header": (to_bytes(header[0]), to_bytes(header[-1])) if header else (b"", b""),
        "measurement": _cell(rows.measurement),
        "tags": [(b"," + key + b"=", _cell(cell)) for key, cell in rows.tags],
        "fields": [_field(key + b"=", cell) for key, cell, _ in rows.fields],
        "field_name": _cell(rows.field_name) if named and rows.field_name is not None else None,
        "value": _field(b"", rows.field_value) if named and rows.field_value is not None else None,
        "time": time,
        "start": options.start,
        "unit": options.unit,
        "longest": options.longest,
    }
    return FastRows(plan, rows.time.column.zone if rows.time is not None else UTC)


def _cell(cell: Cell) -> tuple[int, bytes]:
    return cell.index, cell.default


def _field(key: bytes, cell: Cell) -> tuple[bytes, tuple[int, bytes], int, str, bytes]:
    column = cell.column
    kind, form = _KINDS.get(column.kind, 0), column.form
    decimal, removed = _DEFAULT
    if form and kind == 5:
        kind = 0
    elif form and kind in (2, 3, 4) and form != "strict":
        # What is not ASCII is odd there anyway.
        decimal, removed = form[0], bytes(ord(sign) for sign in form[1:] if sign.isascii())
        unsafe = set(form[1:]) & set("0123456789+-eE" + "." * (decimal == "."))
        if not decimal.isascii() or form.startswith("strict") or unsafe:
            kind = 0
    return key, _cell(cell), kind, decimal if kind else ".", removed


def _hour_offset(zone: Any, hour: int) -> int | None:
    """How far the clock is east of UTC in an hour of its own, None where it is changed in it, or shows it twice."""
    moments = [3600 * hour + second for second in (0, 900, 1800, 2700, 3599)]
    found = {local_offset(zone, moment) for moment in moments}
    offset = found.pop() if len(found) == 1 else None
    if offset is None or any(earlier_showing(zone, 10**9 * (moment - offset)) is not None for moment in moments):
        return None
    return offset
