"""`pyagent sandbox`: an embedded server that answers as InfluxDB 2 does."""

import argparse
import asyncio
import gc
import secrets
import signal
import sys
from pathlib import Path

from pyagent.cli.arguments import Parser

_EPILOG = """\
  pyagent sandbox --ready                      empty, with a bucket and a token
  pyagent sandbox --port 0 --data ~/influx     on a free port, kept in a folder"""


def configure(parser: Parser) -> None:
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
    from pyagent.runtime.descriptors import raise_limit

    raise_limit()
    try:
        return asyncio.run(_serve(Sandbox(args.data, args.port, faults=args.faults), args))
    except SandboxError as error:
        print(f"E! {error}", file=sys.stderr)
        return 1


async def _serve(server: "Sandbox", args: argparse.Namespace) -> int:  # type: ignore[name-defined]  # noqa: F821  (imported in run)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # A write makes tens of thousands of short-lived objects, none in a cycle: looking for cycles that often costs a third.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
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
