"""Asking a running agent over its control socket, for the commands that do.

Their exit statuses: 0, 1 where the agent cannot be asked, 2 where it answers that something is wrong.
"""

import argparse
import http.client
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from pyagent.cli.arguments import Parser

__all__ = ["AgentError", "add_agent_flags", "ask", "exit_status"]

_RUN = "/run/pyagent"
TIMEOUT, WORK_TIMEOUT = 10.0, 70.0
"""Seconds for an answer, and for the end of some work; the agent gives up a little earlier."""


class AgentError(Exception):
    """The agent cannot be asked."""


class Refused(AgentError):
    """It answers that it cannot do it."""


def add_agent_flags(parser: Parser) -> None:
    parser.add_argument(
        "--instance", default="", metavar="INSTANCE", help="the agent, as in pyagent@INSTANCE (PYAGENT_INSTANCE)"
    )
    parser.add_argument(
        "--socket", default="", metavar="FILE", help=f"its control socket (default {_RUN}/INSTANCE/control.sock)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def ask(arguments: argparse.Namespace, target: str, *, method: str = "GET", instance: str | None = None) -> Any:
    """The document that the agent answers with. `instance`: where it was named without a flag."""
    name = arguments.instance or instance or os.environ.get("PYAGENT_INSTANCE") or "default"
    path = arguments.socket or f"{_RUN}/{name}/control.sock"
    connection = _Connection(path, TIMEOUT if method == "GET" else WORK_TIMEOUT)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read()
        if response.status == 404 and response.headers.get_content_type() != "application/json":
            raise Refused("it does not know this command; is it of another version?")
        document = json.loads(body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or error
        raise AgentError(
            f"cannot ask the agent at {path}: {reason}; is pyagent@{name} running, and may you read it?"
        ) from None
    finally:
        connection.close()
    if not isinstance(document, dict):
        raise AgentError(f"cannot ask the agent at {path}: it does not answer as an agent does")
    if response.status >= 400:
        raise Refused(str(document.get("error")))
    return document


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
