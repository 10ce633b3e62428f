"""`pyagent sandbox`: an embedded server that answers as InfluxDB 2 does."""

import argparse
import asyncio
import gc
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pyagent.cli.arguments import CommandParser

if TYPE_CHECKING:
    from pyagent.api.units import Duration, Size
    from pyagent.sandbox import QueryLimits, Sandbox

T = TypeVar("T")
N = TypeVar("N", bound="Duration | Size")

_EPILOG = """\
  pyagent sandbox --ready                      empty, with a bucket and a token
  pyagent sandbox --port 0 --data ~/influx     on a free port, kept in a folder"""


def configure(parser: CommandParser) -> None:
    """Declare the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--port", type=int, default=8086, metavar="N", help="port on 127.0.0.1; 0 chooses a free one (default: 8086)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder to keep the data in; without it everything is gone at the end"
    )
    parser.add_argument(
        "--ready",
        action="store_true",
        help="do the set-up call, unless it has been done, and print URL, token, and the password for the pages",
    )
    parser.add_argument("--org", default="home", metavar="NAME", help="with --ready: the organisation (default: home)")
    parser.add_argument(
        "--bucket",
        default="monitoring-system",
        metavar="NAME",
        help="with --ready: the bucket (default: monitoring-system)",
    )
    parser.add_argument(
        "--faults", action="store_true", help="let the operator's token ask for errors on demand; see docs/sandbox.md"
    )
    parser.add_argument(
        "--query-timeout",
        metavar="DURATION",
        help="end a query that takes longer, such as 30s; 0: no bound (default: PYAGENT_QUERY_TIMEOUT or 5m)",
    )
    parser.add_argument(
        "--query-memory-bytes",
        metavar="SIZE",
        help="end a query that needs more memory, such as 500MB; 0: no bound (default: PYAGENT_QUERY_MEMORY_BYTES or 1GiB)",
    )
    parser.add_argument(
        "--query-concurrency",
        metavar="N",
        help="queries that run at the same time (default: PYAGENT_QUERY_CONCURRENCY or 16)",
    )
    parser.add_argument(
        "--query-queue-size",
        metavar="N",
        help="queries that wait for their turn; more are refused (default: PYAGENT_QUERY_QUEUE_SIZE or 1024)",
    )
    parser.add_argument(
        "--agents",
        type=Path,
        default=Path("/run/pyagent"),
        metavar="DIR",
        help="where the runtime directories of the agents are that the page shows (default: /run/pyagent)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    try:
        from pyagent.sandbox import Sandbox, SandboxError
    except ModuleNotFoundError as error:
        from pyagent.cli import how_to_install

        print(f"E! cannot run the sandbox: {error}{how_to_install(error)}", file=sys.stderr)
        return 1
    if not 0 <= args.port <= 65535:
        print(f"E! cannot run the sandbox: {args.port} is not a port; choose one from 0 to 65535", file=sys.stderr)
        return 1
    try:
        limits = limits_of(args, os.environ)
    except ValueError as error:
        print(f"E! cannot run the sandbox: {error}", file=sys.stderr)
        return 1
    from pyagent.runtime.descriptors import raise_limit

    raise_limit()
    try:
        server = Sandbox(args.data, args.port, faults=args.faults, limits=limits, agents=args.agents)
        return asyncio.run(_serve(server, args))
    except SandboxError as error:
        print(f"E! {error}", file=sys.stderr)
        return 1


def limits_of(args: argparse.Namespace, environ: Mapping[str, str]) -> "QueryLimits":
    """The bounds of queries, by flags and environment. Raises ValueError."""
    from pyagent.api.units import Duration, Size
    from pyagent.sandbox.limits import DEFAULT_LIMITS, QueryLimits

    def given(name: str, read: Callable[[str], T], default: T) -> T:
        flag, variable = f"--query-{name}", f"PYAGENT_QUERY_{name.upper().replace('-', '_')}"
        text = getattr(args, f"query_{name.replace('-', '_')}")
        source = flag if text is not None else variable
        text = text if text is not None else environ.get(variable, "")
        if not text and source == variable:
            return default
        try:
            return read(text)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None

    def seconds(text: str) -> float:
        return _not_negative(Duration.from_option(text), text).seconds

    def size(text: str) -> int:
        return int(_not_negative(Size.from_option(text), text))

    return QueryLimits(
        timeout=given("timeout", seconds, DEFAULT_LIMITS.timeout),
        memory_bytes=given("memory-bytes", size, DEFAULT_LIMITS.memory_bytes),
        concurrency=given("concurrency", lambda text: _count(text, 1, 1000), DEFAULT_LIMITS.concurrency),
        queue_size=given("queue-size", lambda text: _count(text, 0, 1_000_000), DEFAULT_LIMITS.queue_size),
    )


def _not_negative(value: N, text: str) -> N:
    if not text or value < 0:
        raise ValueError(f"{text!r} is not 0 or more")
    return value


def _count(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text[:10]) <= most):
        raise ValueError(f"{text!r} is no whole number from {least} to {most}")
    return int(text)


async def _serve(server: "Sandbox", args: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # A write makes tens of thousands of short-lived objects, none in a cycle: looking for cycles that often costs a third.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    # Of several threads that compute, each has its turn sooner: a write does not wait for every query's five milliseconds.
    sys.setswitchinterval(0.001)
    async with server:
        # The influx command and `pyagent provision` read INFLUX_HOST, many scripts INFLUX_URL.
        lines = [f"INFLUX_URL={server.url}", f"INFLUX_HOST={server.url}"]
        if args.ready and not server.is_set_up:
            password = secrets.token_urlsafe(9)
            await server.setup(args.org, args.bucket, "admin", password)
            lines += [f"INFLUX_TOKEN={server.token}", f"INFLUX_ORG={server.org}", f"INFLUX_BUCKET={server.bucket}"]
            lines.append(f"# pages: {server.url}, user admin, password {password}")
        elif args.ready:
            lines.append("# set up before; its tokens and its password were shown then and are kept as hashes")
        elif not server.is_set_up:
            lines.append(
                f"# empty as a new InfluxDB: open {server.url}, POST to its /api/v2/setup, or start with --ready"
            )
        print("\n".join(lines), flush=True)
        await stop.wait()
    return 0
