"""`pyagent write`: files of CSV or line protocol to InfluxDB. The flags; `write_run` does it."""

import argparse
from typing import Any

from pyagent.cli.arguments import CommandParser
from pyagent.cli.server_flags import RefusedSecret

_EPILOG = """\
  pyagent write --bucket home points.csv                      annotated CSV, or the result of a query
  pyagent write dryrun points.csv                             prints the line protocol, and writes nothing
  pyagent write --bucket home --tag room sensors.csv          a CSV as spreadsheets save it
  pyagent write --bucket home --errors-file bad.csv big.csv.gz
  pyagent write --bucket home --errors-file bad.csv --resume big.csv.gz
  zcat backup.lp.gz | pyagent write --bucket home -

The server is --host or INFLUX_HOST, the organization --org or INFLUX_ORG; the token is in --token-file or INFLUX_TOKEN.
Rows that cannot be taken cost no others. The exit status is 0 where all was written, 1 where something was not, 2 for a
mistake in the flags."""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.mistake = 2

    def flag(*names: str, text: str, **settings: Any) -> None:
        settings.setdefault("default", "" if "action" not in settings else False)
        parser.add_argument(*names, help=text, **settings)

    def several(*names: str, text: str, metavar: str) -> None:
        parser.add_argument(*names, help=text, action="append", default=[], metavar=metavar)

    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE",
        help="files to write; - is standard input; a text of line protocol is written itself. The first word may be "
        "'dryrun': the line protocol is printed, and nothing written",
    )
    parser.group("Where to, and as whom")
    flag("--host", text="address of InfluxDB, or unix:///PATH of an agent's listener (INFLUX_HOST; default "
         "http://localhost:8086)", metavar="URL")  # fmt: skip
    flag("-o", "--org-id", "--org", dest="org", text="organization, by name or ID (INFLUX_ORG)", metavar="NAME")
    flag("-b", "--bucket-id", "--bucket", dest="bucket", text="bucket, by name or ID (INFLUX_BUCKET)", metavar="NAME")
    flag("--token-file", text="file with a token that may write there; - is standard input (else INFLUX_TOKEN)",
         metavar="FILE")  # fmt: skip
    flag("--tls-ca", text="certificate authorities to trust, PEM", metavar="FILE")
    flag("-t", "--token", text=argparse.SUPPRESS, action=RefusedSecret)
    parser.group("What is read")
    several("-f", "--file", text="file to write; may be repeated", metavar="FILE")
    several("-u", "--url", text="address to read from by HTTP; may be repeated", metavar="URL")
    flag("--format", text="csv or lp (default: by name and content)", metavar="FORMAT")
    flag("--encoding", text="of the text (default UTF-8, or what a byte order mark says)", metavar="NAME")
    flag("--compression", text="none or gzip (default: by the content)", metavar="NAME")
    flag("-p", "--precision", text="unit of times that are numbers: ns, us, ms, s (default ns)", metavar="UNIT")
    several("--header", text="a line of CSV to stand before those of the file, such as an annotation; may be repeated",
            metavar="LINE")  # fmt: skip
    flag("--skipHeader", text="lines of each file to pass over", type=int, default=0, metavar="COUNT")
    flag("--xIgnoreDataTypeInColumnName", text=argparse.SUPPRESS, action="store_true")
    parser.group("A CSV without annotations")
    flag("--measurement", text="its measurement (default: the name of the file)", metavar="NAME")
    flag("--time-column", text="the column of times (default: found by name and content)", metavar="NAME")
    several("--tag", text="a column that is a tag; may be repeated", metavar="NAME")
    flag("--tag-columns", text="the same, several with commas", metavar="NAMES")
    several("--type", text="of a column, where it is not what its cells look like: 'NAME=string', also boolean, double, long, "
            "unsignedLong, ignored; may be repeated", metavar="NAME=TYPE")  # fmt: skip
    flag("--time-format", text="of the times: day-first, month-first, year-first, excel, number, or as 2 January 2006 15:04:05 "
         "would be written", metavar="FORM")  # fmt: skip
    flag("--timezone", text="of times that name none, such as Europe/Berlin or +0200 (default UTC)", metavar="ZONE")
    flag("--separator", text="between cells; \\t is a tab (default: found)", metavar="CHARACTER")
    flag("--decimal", text="decimal separator of numbers, . or , (default: found)", metavar="CHARACTER")
    flag(
        "--keep-duplicates",
        text="give a row with the series and time of another the next free nanosecond",
        action="store_true",
    )
    parser.group("How it is written")
    flag("--errors-file", text="append the rows that are refused, each with the reason", metavar="FILE")
    flag("--skipRowOnError", text="accepted: a bad row never costs others", action="store_true")
    flag("--resume", text="go on where an interrupted import of the same files ended", action="store_true")
    flag(
        "--rate-limit",
        text="most bytes in a time, such as '5 MB / 5 min'; units B, kB, MB and s, sec, m, min",
        metavar="RATE",
    )
    flag(
        "--max-line-length",
        text="most bytes of a row; longer ones are refused",
        type=int,
        default=16_000_000,
        metavar="BYTES",
    )
    flag("--retry-for", text="how long a server may be away before this is given up", default="10m", metavar="TIME")
    flag("--no-compression", text="send the lines as they are", action="store_true")
    flag("--state-directory", text="where it is kept how far an import has come (default ~/.local/state/pyagent; "
         "PYAGENT_STATE_DIRECTORY)", metavar="DIR")  # fmt: skip
    flag("--debug", text="print what the columns are taken for", action="store_true")
    flag("--quiet", text="print neither progress nor what was found", action="store_true")
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where all was written, 1 where something was not, 2 for a mistake in the flags."""
    from pyagent.cli.write_run import run as run_import

    return run_import(arguments)
