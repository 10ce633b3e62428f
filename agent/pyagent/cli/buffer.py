"""`pyagent buffer`: the queues on disk, asked of the running agent that holds them."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pyagent.api.units import counted
from pyagent.cli.arguments import Choices, CommandParser
from pyagent.cli.control import add_agent_flags, ask, exit_status
from pyagent.cli.readable import readable
from pyagent.cli.terminal import aligned, harmless, span

_ACTIONS = Choices(
    list="print the queues on disk, and which output each belongs to",
    adopt="give the metrics of a queue that no output has any more to the output --to",
    drop="delete such a queue and the metrics in it",
)
_EPILOG = """\
  pyagent buffer list
  pyagent buffer adopt NAME --to influxdb_v2
  pyagent buffer drop NAME --yes"""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=_ACTIONS)
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the queue, as 'list' shows it")
    parser.add_argument("word", nargs="?", metavar="INSTANCE", help="as in pyagent@INSTANCE")
    parser.add_argument(
        "--to", default="", metavar="OUTPUT", help="with 'adopt': the output, as pyagent status names it"
    )
    parser.add_argument("--yes", action="store_true", help="with 'drop': do not ask")
    add_agent_flags(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where it is done, 1 where the agent cannot be asked, 2 where it could not do it."""
    error = arguments.parser.error
    if arguments.action == "list":
        if arguments.word:
            error(f"'list' takes an instance and nothing else, not {arguments.word!r}")
        return exit_status(lambda: _list(arguments))
    if not arguments.name:
        error(f"cannot {arguments.action} a queue: no NAME is given")
    if arguments.action == "adopt":
        if not arguments.to:
            error("cannot adopt a queue: no output is given; add --to OUTPUT")
        done = f"given to {arguments.to}"
        return exit_status(lambda: _work(arguments, f"adopt?to={quote(arguments.to, safe='')}", done))
    if not arguments.yes and not _agreed(arguments.name):
        print("E! nothing is dropped; add --yes to drop it", file=sys.stderr)
        return 1
    return exit_status(lambda: _work(arguments, "drop", "dropped"))


def _agreed(name: str) -> bool:
    if not sys.stdin.isatty():
        return False
    try:
        answer = input(f"Drop all that is in {harmless(name)}? It cannot be had back. [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _list(arguments: argparse.Namespace) -> int:
    document = ask(arguments, "/buffers", instance=arguments.name)
    print(json.dumps(document, indent=2) if arguments.json else "\n".join(_table(document["buffers"])))
    return 0


def _table(buffers: list[dict[str, Any]]) -> Iterator[str]:
    if not buffers:
        yield "no queue is on disk"
        return
    table = [["name", "metrics", "size", "oldest", "of output"]]
    for one in buffers:
        metrics = "?" if one["metrics"] is None else f"{one['metrics']:,}"
        owner = one["used_by"] or f"none (was {one['output']})"
        table.append(
            [
                harmless(one["name"]),
                metrics,
                readable(one["bytes"], "bytes"),
                span(time.time() - one["oldest"]),
                harmless(owner),
            ]
        )
    yield from aligned(table, left=(0, 4))


def _work(arguments: argparse.Namespace, work: str, done: str) -> int:
    target = f"/buffers/{quote(arguments.name, safe='')}/{work}"
    document = ask(arguments, target, method="POST", instance=arguments.word)
    done = f"{'is' if document['metrics'] == 1 else 'are'} {done}"
    print(
        json.dumps(document, indent=2)
        if arguments.json
        else f"{counted(document['metrics'], 'metric', separator=',')} {done}"
    )
    return 0
