"""`pyagent status [INSTANCE]`: what a running agent says about itself, asked over its control socket."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any

from pyagent.api.units import counted
from pyagent.cli.arguments import CommandParser
from pyagent.cli.control import add_agent_flags, ask, exit_status
from pyagent.cli.readable import readable
from pyagent.cli.terminal import aligned, harmless, span
from pyagent.runtime.colours import coloured, has_colours

_COLOURS = {"problem:": "red", "quarantine:": "yellow"} | dict.fromkeys(("input", "output", "aggregator"), "bold")
"""Of a line, by its first word."""
_FEW_ORIGINS = 3
_EPILOG = """\
  pyagent status
  pyagent status ram --watch"""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("word", nargs="?", metavar="INSTANCE", help="as in pyagent@INSTANCE")
    add_agent_flags(parser)
    parser.add_argument(
        "--origins", action="store_true", help="name all programs and modules of others that inputs run"
    )
    parser.add_argument("--watch", action="store_true", help="print anew every two seconds, until Ctrl-C")
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where all is well, 1 where the agent cannot be asked, 2 where it names problems."""
    return exit_status(lambda: _show(arguments))


def _show(arguments: argparse.Namespace) -> int:
    while True:
        document = ask(arguments, "/status", instance=arguments.word)
        socket = f"--socket {shlex.quote(arguments.socket)}" if arguments.socket else ""
        asked_with = socket or f"--instance {document['instance']}"
        if arguments.watch and sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        lines = _shown(document, asked_with, None if arguments.origins else _FEW_ORIGINS)
        print(json.dumps(document, indent=2) if arguments.json else "\n".join(lines), flush=True)
        if not arguments.watch:
            return 2 if document["problems"] else 0
        time.sleep(2)


def _shown(document: dict[str, Any], asked_with: str, most_origins: int | None) -> Iterator[str]:
    """The lines for this standard output, in colours where it has some."""
    colours = has_colours(sys.stdout)
    for line in map(harmless, _lines(document, asked_with, most_origins)):
        colour = _COLOURS.get(line.partition(" ")[0]) if colours else None
        yield coloured(line, colour) if colour else line


def _lines(document: dict[str, Any], asked_with: str = "", most_origins: int | None = _FEW_ORIGINS) -> Iterator[str]:
    """`asked_with`: the flag that names the agent. `most_origins` of an input are named; None: all."""
    configuration = document["configuration"]
    up = span(document["uptime_seconds"])
    memory = f", memory {readable(resident, 'bytes')}" if (resident := document.get("resident_bytes")) else ""
    yield f"pyagent {document['version']}, instance {document['instance']}, process {document['pid']}, up {up}{memory}"
    loaded = f", loaded {span(configuration['age_seconds'])} ago" if configuration["age_seconds"] is not None else ""
    cached = ", from the last good copy" if configuration["from_cache"] else ""
    yield f"configuration: {', '.join(configuration['sources']) or 'none yet'}{loaded}{cached}"
    inputs = [["input", "metrics", "last", "took", "failures", "late"]]
    for one in document["inputs"]:
        last = f"{span(one['age_seconds'])} ago" if one["age_seconds"] is not None else "never"
        took = readable(one["duration_seconds"], "s")
        inputs.append([one["name"], f"{one['metrics']:,}", last, took, f"{one['failures']:,}", f"{one['overruns']:,}"])
    outputs = [["output", "written", "waiting", "oldest", "dropped", "refused", "failures"]]
    for one in document["outputs"]:
        waiting = f"{one['queued']:,} of {one['limit']:,}"
        counts = [f"{one[name]:,}" for name in ("dropped", "rejected", "failures")]
        outputs.append([one["name"], f"{one['written']:,}", waiting, span(one["oldest_age_seconds"]), *counts])
    aggregators = [["aggregator", "pushed", "outside the window", "failures"]]
    for one in document.get("aggregators", ()):
        aggregators.append([one["name"], *(f"{one[name]:,}" for name in ("pushed", "dropped", "failures"))])
    for table in (inputs, outputs, *([aggregators] if len(aggregators) > 1 else [])):
        yield ""
        yield from aligned(table)
    for one in document["inputs"]:
        if origins := one.get("origins"):
            yield ""
            yield f"{one['name']} runs what others wrote:"
            yield from (f"  {origin}" for origin in origins[:most_origins])
            if left := len(origins[most_origins:] if most_origins is not None else ()):
                yield f"  and {left:,} more; see: pyagent status --origins {asked_with}".rstrip()
    for one in document["inputs"]:
        if lost := one.get("dropped"):
            yield ""
            yield f"{one['name']} dropped: {'; '.join(f'{count:,}: {reason}' for reason, count in lost.items())}"
    if damaged := list(_damaged(document)):
        yield ""
        yield from damaged
    if kept := document.get("quarantine", {}).get("metrics"):
        yield ""
        metrics = counted(kept, "metric", separator=",")
        yield f"quarantine: {metrics} refused for good; see: pyagent quarantine list {asked_with}"
    if document["problems"]:
        yield ""
        yield from (f"problem: {problem}" for problem in document["problems"])


def _damaged(document: dict[str, Any]) -> Iterator[str]:
    for one in document["outputs"]:
        lost, unreadable, aside = (one.get(name, 0) for name in ("damaged", "damaged_bytes", "set_aside"))
        if lost or unreadable or aside:
            yield (
                f"{one['name']}: its buffer on disk has lost {counted(lost, 'metric', separator=',')}, "
                f"{counted(unreadable, 'byte', separator=',')} cannot be read, "
                f"{counted(aside, 'file is', 'files are', separator=',')} set aside; the agent's log says which"
            )
