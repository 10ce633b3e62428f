"""InfluxDB's annotated CSV."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Table
from pyagent.sandbox.flux.values import format_float, parse_time
from pyagent.sandbox.limits import take
from pyagent.sandbox.times import rfc3339

ANNOTATIONS: Final = ("group", "datatype", "default")
_CELL: Final = 120
"""Bytes of a value and of the text that it is read from."""
_PIECE: Final = 10_000
"""Rows that are made text in one go."""


_MINUTE: Final = 60 * 10**9
_QUOTED: Final = re.compile('["\r\n]|^[\t\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|^\\\\\\.$')


def _boolean(value: bool) -> str:
    return "true" if value else "false"


_FORMATS: Final[dict[str, Callable[[Any], str]]] = {
    BOOLEAN: _boolean,
    DOUBLE: format_float,
    LONG: str,
    UNSIGNED: str,
    TIME: rfc3339,
    STRING: str,
}


def encode(
    results: Iterable[tuple[str, Sequence[Table]]],
    annotations: Sequence[str] = (),
    delimiter: str = ",",
    header: bool = True,
) -> Iterator[str]:
    """Pieces of text for named results; each result ends with an empty line."""
    for name, tables in results:
        yield from _result(name, tables, annotations, delimiter, header)
        yield "\r\n"


def _result(
    name: str, tables: Sequence[Table], annotations: Sequence[str], delimiter: str, header: bool
) -> Iterator[str]:
    has_default = "default" in annotations
    columns = _Columns(delimiter)
    schema: object = None
    after_empty = False
    for number, table in enumerate(tables):
        this = (list(table.types.items()), list(table.key))
        if this != schema or not table.size or after_empty:
            if schema is not None:
                yield "\r\n"
            yield from (
                delimiter.join(_quoted(cell, delimiter) for cell in row) + "\r\n"
                for row in _head(name, number, table, annotations, header)
            )
            schema = this
        after_empty = not table.size
        if not table.types:
            continue
        prefix = ["", "" if has_default else name, str(number)]
        for first in range(0, table.size, _PIECE):
            part = table if table.size <= _PIECE else table.slice(first, first + _PIECE)
            yield _rows(prefix, part, columns)


def _head(name: str, number: int, table: Table, annotations: Sequence[str], header: bool) -> Iterator[list[str]]:
    empty = not table.size or not table.types
    for annotation in annotations:
        if annotation == "datatype":
            yield ["#datatype", "string", "long", *table.types.values()]
        elif annotation == "group":
            yield ["#group", "false", "false", *(_boolean(column.rstrip("\0") in table.key) for column in table.types)]
        else:
            values = [
                _cell(table.key[column], kind) if empty and column in table.key else ""
                for column, kind in table.types.items()
            ]
            yield ["#default", name, str(number) if empty else "", *values]
    if header:
        yield ["", "result", "table", *(column.rstrip("\0") for column in table.types)]


def _cell(value: Any, kind: str) -> str:
    return "" if value is None else _FORMATS[kind](value)


class _Columns:
    """Columns of values to columns of cells. Those of times are kept, as tables often have one list of times."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.plain = not (delimiter.isalnum() or delimiter in "+-.:")
        """Numbers and times never need quotes."""
        self._times: dict[int, tuple[list[Any], list[str]]] = {}

    def cells(self, values: list[Any], kind: str) -> str | list[str]:
        """The cells, quoted; one where all are the same."""
        first = values[0] if values else None
        if not values or _is_constant(values, kind):
            return _quoted("" if first is None else _FORMATS[kind](first), self.delimiter)
        if kind == TIME:
            known, made = self._times.get(id(values), ([], []))
            if known is not values:
                made = _times(values)
                self._times = {id(values): (values, made)}
        elif kind == DOUBLE and None not in values:
            made = _floats(values)
        else:
            form = _FORMATS[kind]
            made = ["" if value is None else form(value) for value in values]
        if kind == STRING or not self.plain:
            return [_quoted(cell, self.delimiter) for cell in made]
        return made


def _is_constant(values: list[Any], kind: str) -> bool:
    first = values[0]
    if kind == DOUBLE:  # of which 0 and -0 are equal
        return values[-1] is first and all(value is first for value in values)
    return bool(values[-1] == first) and values.count(first) == len(values)


def _times(values: list[Any]) -> list[str]:
    """As rfc3339 has them; the minute's text is made once."""
    made, minute, begin = [], None, ""
    for value in values:
        if value is None:
            made.append("")
            continue
        number, rest = divmod(value, _MINUTE)
        if number != minute:
            minute, begin = number, rfc3339(number * _MINUTE)[:-3]
        seconds, fraction = divmod(rest, 1_000_000_000)
        made.append(f"{begin}{seconds:02d}Z" if not fraction else rfc3339(value))
    return made


def _floats(values: list[float]) -> list[str]:
    made = [text[:-2] if text[-2:] == ".0" else text for text in map(repr, values)]
    together = ",".join(made)
    if "e" in together or "n" in together:  # an exponent, inf or nan
        return [format_float(value) for value in values]
    return made


def _rows(prefix: list[str], table: Table, columns: _Columns) -> str:
    """The lines of a table: texts that are the same in every line stand between those that differ."""
    delimiter = columns.delimiter
    row: list[str] = [delimiter.join(_quoted(cell, delimiter) for cell in prefix)]
    differing: list[list[str]] = []
    for column, kind in table.types.items():
        cells = columns.cells(table.data[column], kind)
        row[-1] += delimiter
        if isinstance(cells, str):
            row[-1] += cells
        else:
            differing.append(cells)
            row += ["", ""]
    row[-1] += "\r\n"
    lines = row * table.size
    for at, cells in enumerate(differing):
        lines[at * 2 + 1 :: len(row)] = cells
    return "".join(lines)


def _quoted(cell: str, delimiter: str) -> str:
    """Quoted where Go's writer quotes."""
    if not cell:
        return cell
    if delimiter in cell or _QUOTED.search(cell):
        # Within quotes, too, Go's writer ends lines as it was told to, and drops other carriage returns.
        return '"' + cell.replace('"', '""').replace("\r", "").replace("\n", "\r\n") + '"'
    return cell


def error_block(message: str) -> str:
    """What ends a body whose rest cannot be given."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(
        [
            ["#datatype", "string", "string"],
            ["#group", "true", "true"],
            ["#default", "", ""],
            ["", "error", "reference"],
            ["", message, ""],
        ]
    )
    return text.getvalue()


def decode(text: str, raw: bool = False) -> list[tuple[str, list[Table]]]:
    """Annotated CSV back to named results. `raw`: no annotations are needed, and every column is a string.

    Raises:
        InfluxError: it is not annotated CSV.
    """
    results: dict[str, list[Table]] = {}
    head: dict[str, list[str]] = {}
    names: list[str] = []
    rows: list[list[str]] = []

    def finish() -> None:
        if names:
            for name, table in _tables(head, names, rows, raw):
                results.setdefault(name, []).append(table)
        rows.clear()

    try:
        for cells in csv.reader(io.StringIO(text, newline=""), strict=True):
            if not cells or not any(cells):
                continue
            if cells[0].startswith("#") and not raw:
                if names:
                    finish()
                    head, names = {}, []
                head[cells[0][1:].strip()] = cells[1:]
            elif not names:
                names = cells if raw else cells[1:]
                if not raw and "datatype" not in head:
                    raise invalid(
                        "failed to read metadata: missing expected annotation datatype. "
                        'consider using the mode: "raw" for csv that is not expected to have annotations.'
                    )
            else:
                if len(cells) != len(names) + (not raw):
                    raise invalid(
                        f"csv: wrong number of fields in row: {len(cells)} instead of {len(names) + (not raw)}"
                    )
                rows.append(cells if raw else cells[1:])
                take(_CELL * len(cells))
    except csv.Error as error:
        raise invalid(f"failed to read the csv: {error}") from None
    finish()
    return list(results.items())


def _tables(
    head: dict[str, list[str]], names: list[str], rows: list[list[str]], raw: bool
) -> Iterator[tuple[str, Table]]:
    kinds = ["string"] * len(names) if raw else head["datatype"]
    grouped = ["false"] * len(names) if raw else head.get("group", [])
    defaults = head.get("default", [])

    def padded(cells: list[str]) -> list[str]:
        return [*cells, *[""] * (len(names) - len(cells))]

    kinds, grouped, defaults = padded(kinds), padded(grouped), padded(defaults)
    at = {name: position for position, name in enumerate(names)}
    parts: dict[tuple[str, str], list[list[str]]] = {}
    for row in rows:
        filled = [cell or default for cell, default in zip(row, defaults, strict=True)]
        result = filled[at["result"]] if "result" in at and not raw else "_result"
        number = filled[at["table"]] if "table" in at and not raw else ""
        parts.setdefault((result or "_result", number), []).append(filled)
    columns = [name for name in names if raw or name not in ("result", "table", "")]
    for (result, _), some in parts.items():
        types = {name: _kind(kinds[at[name]]) for name in columns}
        data = {name: [_parse(row[at[name]], types[name]) for row in some] for name in columns}
        key = {name: data[name][0] for name in columns if grouped[at[name]] == "true"}
        yield result, Table(key, types, data, len(some))


def _kind(text: str) -> str:
    if text.startswith("dateTime"):
        return TIME
    if text in (STRING, LONG, UNSIGNED, DOUBLE, BOOLEAN):
        return text
    raise invalid(f'failed to read metadata: unsupported column type "{text}"')


def _parse(cell: str, kind: str) -> Any:
    if cell == "" and kind != STRING:
        return None
    try:
        if kind == TIME:
            return int(parse_time(cell))
        if kind in (LONG, UNSIGNED):
            return int(cell)
        if kind == DOUBLE:
            return float(cell)
        if kind == BOOLEAN:
            return {"true": True, "false": False}[cell]
    except (ValueError, KeyError):
        raise invalid(f'failed to read the csv: cannot parse "{cell}" as {kind}') from None
    return cell
