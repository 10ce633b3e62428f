"""Flux queries whose answers are read bit by bit: annotated CSV, unchanged, or row by row with its types."""

import csv
import math
import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyagent.influxdb.connection import Connection, InfluxDBError, one_line

__all__ = ["CONVERTED", "Column", "Head", "QueryFailed", "Row", "answer_of", "converter", "guarded", "rows_of"]

_ANNOTATIONS = ("group", "datatype", "default")
"""In the order that `influx query --raw` asks for."""
_ERROR = re.compile(rb"\n,?error,reference\r?\n")
_LONGEST_ERROR = 1 << 16
_OVERLAP = 32
"""Bytes that are looked at again with the next chunk: more than what is looked for has."""
_LONGEST_CELL = 1 << 27


class QueryFailed(InfluxDBError):
    """The server gave up in the middle of an answer that it had begun with 200. `whole` is what it said."""


class Column(NamedTuple):
    name: str
    kind: str
    """string, long, unsignedLong, double, boolean, dateTime:RFC3339, ...; empty where the server does not say."""
    in_key: bool
    """Whether it is one of the group key: the same in all rows of a table."""
    default: str
    """What stands for an empty cell."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What stands above rows. Several tables may have the same one."""

    columns: tuple[Column, ...]
    """Without `result` and `table`."""
    result: str
    table: str
    """The defaults of the two."""
    first: int
    """Where the first of `columns` stands in a line."""


class Row(NamedTuple):
    head: Head
    result: str
    """The name of the result: `_result`, or that of a yield."""
    table: str
    """The number of the table in its result."""
    cells: list[str]
    """As the server wrote them; one for each of `head.columns`."""


def answer_of(
    connection: Connection, org: str, flux: str, *, extern: Mapping[str, Any] | None = None, silence: float = 600.0
) -> Iterator[bytes]:
    """The annotated CSV that answers a query, byte for byte, as it comes.

    `extern`: statements before those of the text, as a syntax tree in JSON. `silence`: seconds without a byte that are
    waited for. Raises InfluxDBError where the server refuses or cannot be reached; after that, while it is read, where the
    answer is cut off, and QueryFailed where it ends with an error. All bytes that came are given before.
    """
    body: dict[str, Any] = {"query": flux, "type": "flux"}
    body["dialect"] = {"annotations": list(_ANNOTATIONS), "delimiter": ",", "header": True}
    if extern:
        body["extern"] = extern
    answer = connection.stream(
        "/api/v2/query", query={"org": org}, body=body, accept="application/csv", silence=silence
    )
    kind = answer.headers.get("content-type", "")
    if not kind.startswith(("text/csv", "application/csv")):
        answer.close()
        what = "a web page, perhaps that of a login or a proxy" if "html" in kind else "something else than CSV"
        raise InfluxDBError(f"it answers with {what}; check the address")
    return guarded(answer.chunks)


def rows_of(chunks: Iterable[bytes]) -> Iterator[Row]:
    """The rows of an answer. Tables without rows are left out. Raises InfluxDBError where it is no annotated CSV."""
    annotations: dict[str, list[str]] = {}
    head: Head | None = None
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(_lines(chunks), strict=True)
    try:
        for cells in reader:
            if not cells:
                head = None
            elif cells[0].startswith("#"):
                head = None
                annotations[cells[0][1:]] = cells[1:]
            elif head is None:
                head = _head(cells, annotations)
                annotations = {}
            elif len(cells) - head.first != len(head.columns):
                raise InfluxDBError(
                    f"cannot read the answer: line {reader.line_num} has {len(cells)} cells, not those of its header"
                )
            elif not _is_error(head):
                yield _row(head, cells)
    except csv.Error as error:
        raise InfluxDBError(f"cannot read the answer: line {reader.line_num} is no CSV: {error}") from None


def converter(kind: str) -> Callable[[str], Any]:
    """What makes of the text of a column of this kind a value for JSON. A time stays RFC 3339; empty is None."""
    return _CONVERTERS.get(kind, _text)


def _head(cells: Sequence[str], annotations: Mapping[str, Sequence[str]]) -> Head:
    names = cells[1:]

    def annotated(name: str) -> list[str]:
        found = annotations.get(name, ())
        return [*found, *[""] * (len(names) - len(found))]

    defaults = annotated("default")
    every = [
        Column(name, kind, in_key == "true", default)
        for name, kind, in_key, default in zip(names, annotated("datatype"), annotated("group"), defaults, strict=False)
    ]
    if list(names[:2]) != ["result", "table"]:
        return Head(tuple(every), "", "", 1)
    return Head(tuple(every[2:]), defaults[0], defaults[1], 3)


def _row(head: Head, cells: list[str]) -> Row:
    values = cells[head.first :]
    if "" in values:
        values = [cell or column.default for cell, column in zip(values, head.columns, strict=True)]
    if head.first == 1:
        return Row(head, "", "", values)
    return Row(head, cells[1] or head.result, cells[2] or head.table, values)


def _is_error(head: Head) -> bool:
    return head.first == 1 and [column.name for column in head.columns] == ["error", "reference"]


def _text(text: str) -> str | None:
    return text or None


def _number(text: str) -> float | None:
    """NaN and the infinities are no numbers in JSON."""
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "long": lambda text: int(text) if text else None,
    "unsignedLong": lambda text: int(text) if text else None,
    "double": _number,
    "boolean": lambda text: text == "true" if text else None,
}


CONVERTED = frozenset(_CONVERTERS)
"""The kinds of columns that are more than text in JSON."""


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The text as lines with their ends. What is not UTF-8 becomes U+FFFD."""
    decode = getincrementaldecoder("utf-8")("replace").decode
    begun: list[str] = []
    for chunk in chunks:
        head, newline, rest = decode(chunk).partition("\n")
        begun.append(head)
        if not newline:
            continue
        yield "".join(begun) + newline
        lines = rest.split("\n")
        begun = [lines.pop()]
        for line in lines:
            yield f"{line}\n"
    if last := "".join([*begun, decode(b"", True)]):
        yield last


def guarded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks as they are; raises in the end where they are not the whole of an answer."""
    end = _End()
    for chunk in chunks:
        end.feed(chunk)
        yield chunk
    end.check()


class _End:
    """Looks, without parsing, for the table with which a server ends an answer that it cannot finish."""

    def __init__(self) -> None:
        self._tail = b"\n"
        self._quotes = 0
        """In all that came: where their number is odd, it is within a quoted cell."""
        self._size = 0
        self._error: bytearray | None = None

    def feed(self, chunk: bytes) -> None:
        self._size += len(chunk)
        window = self._tail + chunk
        if self._error is None:
            before = self._quotes - self._tail.count(b'"')
            for found in _ERROR.finditer(window):
                if (before + window.count(b'"', 0, found.start())) % 2 == 0:
                    self._error = bytearray(window[found.end() :])
                    break
        elif len(self._error) < _LONGEST_ERROR:
            self._error += chunk
        self._quotes += chunk.count(b'"')
        self._tail = window[-_OVERLAP:]

    def check(self) -> None:
        if self._error is not None:
            cells = next(csv.reader(_lines([bytes(self._error)])), [])
            message = next(filter(None, cells), "it does not say why")
            raise QueryFailed(one_line(message), status=200, message=one_line(message), whole=message)
        # Each result ends with an empty line.
        ends = self._tail.endswith((b"\n\r\n", b"\n\n")) or not self._size
        if self._quotes % 2 or not ends:
            raise InfluxDBError("the answer is cut off: it ends in the middle of a result")
