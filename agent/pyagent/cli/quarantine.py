"""`pyagent quarantine`: what receivers refused for good, asked of the running agent that keeps it."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

from pyagent.api.units import counted
from pyagent.cli.arguments import Choices, CommandParser
from pyagent.cli.control import add_agent_flags, ask, exit_status
from pyagent.cli.terminal import aligned, cut, harmless, span

_ACTIONS = Choices(
    list="print what is in it, and why",
    show="print the lines of an entry, as line protocol",
    retry="give an entry, or all, to its output once more",
    drop="delete an entry, or all",
)
_EPILOG = """\
  pyagent quarantine list
  pyagent quarantine show 12 ram      entry 12 of pyagent@ram
  pyagent quarantine retry all        after the cause is mended
  pyagent quarantine drop 12"""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=_ACTIONS)
    parser.add_argument("id", nargs="?", metavar="ID", help="of the entry; 'retry' and 'drop' also take 'all'")
    parser.add_argument("word", nargs="?", metavar="INSTANCE", help="as in pyagent@INSTANCE")
    add_agent_flags(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where it is done, 1 where the agent cannot be asked, 2 where it could not do it, or not all of it."""
    if arguments.action == "list":
        if arguments.word:
            arguments.parser.error(f"'list' takes an instance and nothing else, not {arguments.word!r}")
        return exit_status(lambda: _list(arguments))
    if not arguments.id:
        arguments.parser.error(f"cannot {arguments.action} an entry: no ID is given")
    if arguments.action == "show":
        return exit_status(lambda: _show(arguments))
    return exit_status(lambda: _work(arguments))


def _list(arguments: argparse.Namespace) -> int:
    document = ask(arguments, "/quarantine", instance=arguments.id)
    print(json.dumps(document, indent=2) if arguments.json else "\n".join(_table(document)))
    return 0


def _table(document: dict[str, Any]) -> Iterator[str]:
    if entries := document["entries"]:
        table = [["id", "age", "metrics", "output", "reason"]]
        for one in entries:
            age = span(time.time() - one["time"])
            table.append([str(one["id"]), age, f"{one['count']:,}", harmless(_output(one)), harmless(_reason(one))])
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        yield from (cut(line, width, "...") if width else line for line in aligned(table, left=(3, 4)))
        yield ""
    yield (
        f"{_metrics(document['metrics'])} in {_entries(len(entries))}, {counted(document['bytes'], 'byte', separator=',')}; "
        f"{counted(document['evicted'], 'older one', separator=',')} had to go since the start"
    )


def _show(arguments: argparse.Namespace) -> int:
    one = ask(arguments, f"/quarantine/{_quoted(arguments.id)}", instance=arguments.word)
    if arguments.json:
        print(json.dumps(one, indent=2))
        return 0
    # Notes are comments of line protocol: all of this can be pasted, or piped to a writer.
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["time"]))
    print(f"# entry {one['id']}: {_metrics(one['count'])}, refused {when}, {span(time.time() - one['time'])} ago")
    print(f"# output: {harmless(_output(one))}")
    print(f"# reason: {harmless(_reason(one))}")
    for line in one["lines"]:
        print(harmless(line.removesuffix("\n"), spared="\n\t"))
    return 0


def _work(arguments: argparse.Namespace) -> int:
    target = f"/quarantine/{_quoted(arguments.id)}/{arguments.action}"
    document = ask(arguments, target, method="POST", instance=arguments.word)
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        done = "given to their outputs again" if arguments.action == "retry" else "dropped"
        are = "is" if document["entries"] == 1 and document["metrics"] == 1 else "are"
        print(f"{_metrics(document['metrics'])} in {_entries(document['entries'])} {are} {done}")
        for error, count in document["errors"].items():
            stay = "stays" if count == 1 else "stay"
            print(f"E! {_entries(count)} {stay}: {harmless(error)}", file=sys.stderr)
    return 2 if document["errors"] else 0


def _metrics(count: int) -> str:
    return counted(count, "metric", separator=",")


def _entries(count: int) -> str:
    return counted(count, "entry", "entries", separator=",")


def _output(one: dict[str, Any]) -> str:
    return one["output"] if one["partition"] is None else f"{one['output']}, {one['partition']}"


def _reason(one: dict[str, Any]) -> str:
    return f"{'(suspected) ' if one['suspected'] else ''}{one['reason']}"


def _quoted(word: str) -> str:
    from urllib.parse import quote

    return quote(word, safe="")
