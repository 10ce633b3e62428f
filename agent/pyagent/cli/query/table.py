"""The answer of a query as tables for people, each below its group key, with a sparkline for each series on a terminal."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice

from pyagent.cli.demo_chart import Glyphs, sparkline
from pyagent.cli.query.series import Trace
from pyagent.cli.terminal import cells, counted, cut, harmless
from pyagent.influxdb.queries import Column, Head, Row, converter
from pyagent.runtime.colours import coloured

__all__ = ["Style", "lines_of"]

NUMBERS = ("long", "unsignedLong", "double")
_SAMPLE = 200
"""Rows by which the columns of a table are made as wide as they need to be, where all its rows are shown."""
_MOST_TABLES = 20
_SPARK = 48
"""Characters of a sparkline."""
_MOST_SPARKS = 4
"""For each table."""
_WIDEST = 48
"""Columns of a cell on a terminal."""
_NARROWEST = 12
"""The same of a cell that is cut for lack of room."""
_RANGE = ("_start", "_stop")


@dataclass(frozen=True, slots=True)
class Style:
    limit: int
    """Rows that are shown of each table, half of them its last; 0: all, of all tables."""
    width: int
    """Of the terminal, 0: there is none, and lines are as long as they are."""
    glyphs: Glyphs
    colours: bool


def lines_of(rows: Iterable[Row], style: Style) -> Iterator[str]:
    """The lines, as the rows come; without a limit of rows, too, in constant memory."""
    span: tuple[str, ...] = ()
    result = ""
    hidden_tables = hidden_rows = 0
    tables = groupby(rows, key=lambda row: (row.head, row.result, row.table))
    for number, (_, table) in enumerate(tables):
        first = next(table)
        if style.limit and number >= _MOST_TABLES:
            hidden_tables += 1
            hidden_rows += 1 + sum(1 for _ in table)
            continue
        if number:
            yield ""
        if first.result != result and (first.result != "_result" or result):
            yield _strong(f"Result {harmless(first.result)}", style)
        result = first.result
        key = {column.name: first.cells[at] for at, column in enumerate(first.head.columns) if column.in_key}
        limits = tuple(key.pop(name) for name in _RANGE if name in key)
        if limits and limits != span:
            yield f"From {harmless(' to '.join(limits))}"
        span = limits
        if key:
            yield _heading(key, style)
        yield from _table(first, table, style)  # the rest of the group, once
    if hidden_tables:
        yield ""
        yield f"... and {counted(hidden_tables, 'table')} more with {counted(hidden_rows, 'row')}; --limit 0 shows all"


def _heading(key: dict[str, str], style: Style) -> str:
    text = "  ".join(f"{harmless(name)}={harmless(value)}" for name, value in key.items())
    return _strong(cut(text, style.width, style.glyphs.cut) if style.width else text, style)


def _strong(text: str, style: Style) -> str:
    return coloured(text, "bold") if style.colours else text


def _table(first: Row, others: Iterator[Row], style: Style) -> Iterator[str]:
    layout = _Layout(first.head, style)
    rows = map(layout.texts, chain([first], others))
    if style.limit:
        beginning, missing, end = _both_ends(rows, style.limit)
        layout.fit([*beginning, *end])
        yield from layout.header()
        yield from map(layout.line, beginning)
        if missing:
            yield f"  {style.glyphs.cut} {counted(missing, 'row')} more"
            yield from map(layout.line, end)
    else:
        sample = list(islice(rows, _SAMPLE))
        layout.fit(sample)
        yield from layout.header()
        yield from map(layout.line, sample)
        yield from map(layout.line, rows)
    yield from layout.footer()


def _both_ends(rows: Iterator[list[str]], limit: int) -> tuple[list[list[str]], int, list[list[str]]]:
    """The first rows, how many are left out, the last ones."""
    beginning = list(islice(rows, limit))
    after = limit - limit // 2
    last: deque[list[str]] = deque(beginning[limit - after :], maxlen=after)
    more = 0
    for row in rows:
        last.append(row)
        more += 1
    if not more:
        return beginning, 0, []
    return beginning[: limit - after], more, list(last)


class _Layout:
    """The columns of one table that are not its key: which are shown, and how wide."""

    def __init__(self, head: Head, style: Style) -> None:
        self._style = style
        every = [(at, column) for at, column in enumerate(head.columns) if not column.in_key]
        # The limits of the range are of the least use.
        self._columns = sorted(every, key=lambda one: one[1].name in _RANGE)
        self._hidden: list[str] = []
        self._widths: list[int] = []
        self._traces = self._wanted_traces() if style.width else {}

    def _wanted_traces(self) -> dict[int, tuple[Column, Trace]]:
        numbers = [(at, column) for at, column in self._columns if column.kind in NUMBERS]
        return {at: (column, Trace(min(_SPARK, self._style.width // 2))) for at, column in numbers[:_MOST_SPARKS]}

    def texts(self, row: Row) -> list[str]:
        """The cells in the order of the columns; numbers are remembered for the sparklines."""
        for at, (column, trace) in self._traces.items():
            value = converter(column.kind)(row.cells[at])
            if value is not None:
                trace.add(float(value))
        return [harmless(row.cells[at]) for at, _ in self._columns]

    def fit(self, rows: Sequence[Sequence[str]]) -> None:
        """Choose the columns that there is room for."""
        widths = []
        for place, (_, column) in enumerate(self._columns):
            widest = max([cells(harmless(column.name)), *(cells(row[place]) for row in rows)])
            widths.append(min(widest, _WIDEST) if self._style.width else widest)
        fits = len(widths)
        if room := self._style.width:
            fits = 0
            for place, width in enumerate(widths):
                room -= 2
                # One that is cut says more than none.
                if room < min(width, _NARROWEST) and place:
                    break
                widths[place] = min(width, max(room, 1))
                room -= widths[place]
                fits += 1
        self._hidden = [column.name for _, column in self._columns[fits:]]
        self._widths = widths[:fits]

    def header(self) -> Iterator[str]:
        names = [harmless(column.name) for _, column in self._columns]
        if names:
            line = self.line(names)
            yield coloured(line, "cyan") if self._style.colours else line

    def line(self, texts: Sequence[str]) -> str:
        parts = []
        for (_, column), text, width in zip(self._columns, texts, self._widths, strict=False):
            shown = cut(text, width, self._style.glyphs.cut) if self._style.width else text
            space = " " * (width - cells(shown))
            parts.append(f"{space}{shown}" if column.kind in NUMBERS else f"{shown}{space}")
        return f"  {'  '.join(parts)}".rstrip()

    def footer(self) -> Iterator[str]:
        """The sparklines; then what there was no room for."""
        for column, trace in self._traces.values():
            values = trace.values()
            if len(values) > 1:
                drawn = sparkline(values, len(values), self._style.glyphs)
                drawn = coloured(drawn, "green") if self._style.colours else drawn
                yield f"  {harmless(column.name)}  {drawn}  {trace.least:.6g} to {trace.most:.6g}"
        if self._hidden:
            names = harmless(", ".join(self._hidden))
            yield cut(f"  no room for: {names}", self._style.width, self._style.glyphs.cut)
