"""Asking a running agent over its control socket, for the commands that do.

Their exit statuses: 0, 1 where the agent cannot be asked, 2 where it answers that something is wrong.
"""

import argparse
import http.client
import json
import os
import shlex
import socket
import sys
from collections.abc import Callable
from typing import Any

from pyagent.api import PyagentError
from pyagent.cli import chosen_instance as chosen
from pyagent.cli.arguments import CommandParser
from pyagent.cli.instances import checked_instance

__all__ = ["AgentError", "add_agent_flags", "ask", "exit_status", "instance_of"]

TIMEOUT, WORK_TIMEOUT = 10.0, 70.0
"""Seconds for an answer, and for the end of some work; the agent gives up a little earlier."""


class AgentError(Exception):
    """The agent cannot be asked."""


class Refused(AgentError):
    """It answers that it cannot do it."""


def add_agent_flags(parser: CommandParser) -> None:
    parser.add_argument(
        "--instance",
        default="",
        metavar="INSTANCE",
        help="the agent pyagent@INSTANCE (default: the one that runs; PYAGENT_INSTANCE)",
    )
    parser.add_argument(
        "--socket", default="", metavar="FILE", help="its control socket (default /run/pyagent/INSTANCE/control.sock)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def ask(arguments: argparse.Namespace, target: str, *, method: str = "GET", instance: str | None = None) -> Any:
    """The document that the agent answers with. `instance`: where it was named without a flag."""
    name = "" if arguments.socket else instance_of(arguments, instance)
    path = arguments.socket or f"{chosen.RUN}/{name}/control.sock"
    connection = _Connection(path, TIMEOUT if method == "GET" else WORK_TIMEOUT)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read()
        if response.status == 404 and response.headers.get_content_type() != "application/json":
            raise Refused("it does not know this command; is it of another version?")
        document = json.loads(body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise AgentError(f"cannot ask the agent at {path}: {_explain(error, name)}") from None
    finally:
        connection.close()
    if not isinstance(document, dict):
        raise AgentError(f"cannot ask the agent at {path}: it does not answer as an agent does")
    if response.status >= 400:
        raise Refused(str(document.get("error")))
    return document


def instance_of(arguments: argparse.Namespace, named: str | None = None) -> str:
    """The instance that is meant: by a flag, by a word (`named`), by the environment; else the only one that runs. Raises
    AgentError."""
    try:
        if name := arguments.instance or named or os.environ.get("PYAGENT_INSTANCE"):
            return checked_instance(name)
        return chosen.the_instance(_words(arguments))
    except PyagentError as error:
        raise AgentError(str(error)) from None


def _words(arguments: argparse.Namespace) -> str:
    """The command again, for a hint."""
    given = vars(arguments)
    words = [given["parser"].prog, *(given[name] for name in ("action", "id", "name") if given.get(name))]
    words += ["--to", given["to"]] if given.get("to") else []
    return " ".join([words[0], *map(shlex.quote, words[1:])])


def _explain(error: Exception, name: str) -> str:
    """Why there is no answer, and what to do."""
    reason = str(getattr(error, "strerror", None) or error)
    if isinstance(error, PermissionError):
        return f"{reason}; run it with sudo" if os.geteuid() else reason
    if isinstance(error, http.client.RemoteDisconnected):
        return (
            "it closed the connection without an answer: what was asked takes more than a minute, or it ends; ask again"
        )
    if isinstance(error, TimeoutError):
        return f"it does not answer; is it overloaded? see: systemctl status pyagent@{name or 'NAME'}"
    if not isinstance(error, (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)):
        return reason
    if not name:
        return f"{reason}; no agent runs there"
    others = [other for other in chosen.running_instances() if other != name]
    run = f"; there run {', '.join(others)}" if others else ""
    return f"{reason}; pyagent@{name} does not run{run}; see: systemctl status pyagent@{name}"


def exit_status(work: Callable[[], int]) -> int:
    """What `work` returns; where it fails, one line on standard error, and the status that stands for it."""
    try:
        return work()
    except AgentError as error:
        print(f"E! {error}", file=sys.stderr)
        return 2 if isinstance(error, Refused) else 1


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
