"""`pyagent query`: Flux, and what it gives as tables, charts, annotated CSV or JSON."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pyagent.api import PyagentError, redact
from pyagent.cli import how_to_install
from pyagent.cli.arguments import CommandParser
from pyagent.cli.server_flags import add_server_flags

if TYPE_CHECKING:
    from pyagent.influxdb.queries import Row

_EPILOG = """\
  pyagent query 'from(bucket: "monitoring-system") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "mem")'
  pyagent query --file usage.flux --range -7d --plot
  pyagent query --raw --file all.flux > all.csv        `pyagent write` imports it to the same points
  pyagent query --json - < usage.flux | jq ._value

Queries of InfluxDB's pages run as they are: v.timeRangeStart, v.timeRangeStop and v.windowPeriod stand for --range, where
the text does not define v itself. Secrets come from a file, a variable or a question, never from an argument."""
_LIMIT = 20
_SILENCE = 600.0


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("query", nargs="?", metavar="FLUX", help="the query; - reads it from standard input")

    def flag(*names: str, text: str, **settings: Any) -> None:
        parser.add_argument(*names, help=text, **settings)

    flag("-f", "--file", text="file with the query; - is standard input", default="", metavar="FILE")
    flag("--range", text="what v.timeRangeStart and v.timeRangeStop stand for: -7d, or START,STOP in RFC 3339 (default -1h)",
         default="", metavar="RANGE")  # fmt: skip
    flag("-r", "--raw", text="annotated CSV, as the server sends it", action="store_true")
    flag("--json", text="one JSON object for each row, one a line", action="store_true")
    flag("--plot", text="draw the series", action="store_true")
    flag(
        "--limit",
        text=f"rows of each table that are shown, first and last ones; 0: all (default {_LIMIT} on a terminal, else all)",
        type=int,
        metavar="ROWS",
    )
    flag("--timeout", text=f"give up when nothing comes for so long (default {_SILENCE:g})", type=float, default=_SILENCE,
         metavar="SECONDS")  # fmt: skip
    add_server_flags(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 with one line that says what is wrong, and the place in the query below it."""
    if sum((arguments.raw, arguments.json, arguments.plot)) > 1:
        arguments.parser.error("--raw, --json and --plot exclude each other; give one of them")
    if arguments.limit is not None and arguments.limit < 0:
        arguments.parser.error("--limit is below 0; write a number of rows, or 0 for all")
    if arguments.limit is not None and (arguments.raw or arguments.json or arguments.plot):
        arguments.parser.error("--limit is for tables; write |> limit(n: ROWS) into the query")
    if not 0.01 <= arguments.timeout <= 1e6:
        arguments.parser.error("--timeout is no time to wait; write a number of seconds")
    if sys.stdout is None:
        print("E! cannot write what is to be printed: standard output is closed", file=sys.stderr)
        return 1
    try:
        from pyagent.cli.query.running import answer

        if arguments.plot:
            # The library is looked for before the server is asked.
            from pyagent.cli.query import plot as plot
    except ImportError as error:
        print(f"E! cannot run 'query': {error}{how_to_install(error)}", file=sys.stderr)
        return 1
    try:
        _print(arguments, answer(arguments))
    except PyagentError as error:
        sys.stdout.flush()
        first, *places = str(error).split("\n")
        print("\n".join([f"E! {redact(first)}", *places]), file=sys.stderr)
        return 1
    return 0


def _print(arguments: argparse.Namespace, chunks: Iterator[bytes]) -> None:
    from pyagent.influxdb.queries import rows_of

    if arguments.raw:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return
    failures: list[PyagentError] = []
    rows = _until_failure(rows_of(chunks), failures)
    if arguments.json:
        for line in json_lines(rows):
            sys.stdout.buffer.write(line)
    else:
        lines = _plot(rows) if arguments.plot else _tables(rows, arguments.limit)
        count = 0
        for count, text in enumerate(lines, 1):  # noqa: B007  # counted
            print(text)
        if not count and not failures and sys.stdout.isatty():
            print("The query gave no rows.", file=sys.stderr)
    if failures:
        raise failures[0]


def _until_failure(rows: Iterable["Row"], failures: list[PyagentError]) -> Iterator["Row"]:
    """An answer that breaks off is shown as far as it came."""
    try:
        yield from rows
    except PyagentError as error:
        failures.append(error)


def json_lines(rows: Iterable["Row"]) -> Iterator[bytes]:
    """Rows as objects of JSON, each with the end of its line."""
    import msgspec

    from pyagent.influxdb.queries import CONVERTED, converter

    encode = msgspec.json.Encoder().encode
    head = None
    names: list[str] = []
    converted: list[tuple[int, Any]] = []
    for row in rows:
        if row.head is not head:
            head = row.head
            # A column of the query's own may have one of the two names.
            names = [*(("result", "table") if row.table.isdecimal() else ()), *(column.name for column in head.columns)]
            kinds = enumerate(column.kind for column in head.columns)
            converted = [(at, converter(kind)) for at, kind in kinds if kind in CONVERTED]
        values: list[Any] = row.cells
        for at, convert in converted:
            values[at] = convert(values[at])
        if "" in values:
            values = [None if value == "" else value for value in values]
        place = (row.result, int(row.table)) if len(names) > len(values) else ()
        yield encode(dict(zip(names, (*place, *values), strict=True))) + b"\n"


def _tables(rows: Iterable["Row"], limit: int | None) -> Iterator[str]:
    from pyagent.cli.demo_chart import ASCII, UNICODE
    from pyagent.cli.query.table import Style, lines_of
    from pyagent.cli.terminal import shows_unicode
    from pyagent.runtime.colours import has_colours

    terminal = sys.stdout.isatty()
    if limit is None:
        limit = _LIMIT if terminal else 0
    glyphs = UNICODE if shows_unicode(sys.stdout.encoding, os.environ) else ASCII
    width = shutil.get_terminal_size().columns if terminal else 0
    yield from lines_of(rows, Style(limit, width, glyphs, has_colours(sys.stdout)))


def _plot(rows: Iterable["Row"]) -> Iterator[str]:
    from pyagent.cli.query.plot import charts_of
    from pyagent.cli.terminal import shows_unicode
    from pyagent.runtime.colours import has_colours

    if not shows_unicode(sys.stdout.encoding, os.environ):
        raise PyagentError("cannot draw here: the locale is not UTF-8; set LANG=C.UTF-8, or leave --plot out")
    yield from charts_of(rows, shutil.get_terminal_size().columns, colours=has_colours(sys.stdout))
