"""`pyagent status [INSTANCE]`: what a running agent says about itself, asked over its control socket."""

import argparse
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

SUMMARY = "Show what a running agent does: its inputs, outputs, what waits and what fails."

_RUN = "/run/pyagent"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "instance", nargs="?", default=os.environ.get("PYAGENT_INSTANCE", "default"), help="as in pyagent@INSTANCE"
    )
    parser.add_argument("--socket", default="", help=f"the control socket (default {_RUN}/INSTANCE/control.sock)")
    parser.add_argument("--json", action="store_true", help="print the whole document")
    parser.add_argument("--watch", action="store_true", help="print anew every two seconds, until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """0 where all is well, 1 where the agent cannot be asked, 2 where it names problems."""
    path = arguments.socket or f"{_RUN}/{arguments.instance}/control.sock"
    while True:
        try:
            document = _ask(path)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or error
            print(
                f"E! cannot ask the agent at {path}: {reason}; is pyagent@{arguments.instance} running, and may you read it?",
                file=sys.stderr,
            )
            return 1
        if arguments.watch and sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        print(json.dumps(document, indent=2) if arguments.json else "\n".join(_lines(document)), flush=True)
        if not arguments.watch:
            return 2 if document["problems"] else 0
        time.sleep(2)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(self._path)


def _ask(path: str) -> dict[str, Any]:
    connection = _Connection(path)
    try:
        connection.request("GET", "/status")
        document = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not isinstance(document, dict):
        raise ValueError("it does not answer as an agent does")
    return document


def _lines(document: dict[str, Any]) -> Iterator[str]:
    configuration = document["configuration"]
    up = _span(document["uptime_seconds"])
    yield f"pyagent {document['version']}, instance {document['instance']}, process {document['pid']}, up {up}"
    loaded = f", loaded {_span(configuration['age_seconds'])} ago" if configuration["age_seconds"] is not None else ""
    cached = ", from the last good copy" if configuration["from_cache"] else ""
    yield f"configuration: {', '.join(configuration['sources']) or 'none yet'}{loaded}{cached}"
    inputs = [["input", "metrics", "last", "took", "failures", "late"]]
    for one in document["inputs"]:
        last = f"{_span(one['age_seconds'])} ago" if one["age_seconds"] is not None else "never"
        took = f"{one['duration_seconds'] * 1000:.1f} ms"
        inputs.append([one["name"], f"{one['metrics']:,}", last, took, f"{one['failures']:,}", f"{one['overruns']:,}"])
    outputs = [["output", "written", "waiting", "oldest", "dropped", "refused", "failures"]]
    for one in document["outputs"]:
        waiting = f"{one['queued']:,} of {one['limit']:,}"
        counts = [f"{one[name]:,}" for name in ("dropped", "rejected", "failures")]
        outputs.append([one["name"], f"{one['written']:,}", waiting, _span(one["oldest_age_seconds"]), *counts])
    for table in (inputs, outputs):
        yield ""
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        for row in table:
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield "  ".join(cells).rstrip()
    if document["problems"]:
        yield ""
        yield from (f"problem: {problem}" for problem in document["problems"])


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes < 48 * 60 else f"{minutes // 1440} days"
