"""The flags of `pyagent` itself, and the whole command line in one parser, for what is made of it."""

import argparse

from pyagent.cli import COMMANDS, sentence
from pyagent.cli.arguments import CommandParser
from pyagent.cli.flags import add_filter_flags, add_instance_flag, add_sample_filter_flags, add_source_flags

__all__ = ["run_parser", "whole_parser"]

_DESCRIPTION = "Gather metrics as a Telegraf configuration says and write them to InfluxDB."
_EXAMPLES = """\
  INFLUX_TOKEN=... pyagent --config http://localhost:8086/api/v2/telegrafs/ID
  pyagent --config telegraf.conf --test     gather once and print"""


def run_parser() -> CommandParser:
    """A parser of the flags of a run. What the environment or a default says is not in it: see `run`."""
    parser = CommandParser(
        prog="pyagent",
        usage="pyagent [FLAGS] | pyagent COMMAND [FLAGS]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        add_help=False,
    )
    parser.commands = COMMANDS

    def flag(name: str, metavar: str, text: str) -> None:
        parser.add_argument(name, default=None, metavar=metavar, help=text)

    def switch(name: str, text: str) -> None:
        parser.add_argument(name, action="store_true", help=text)

    def number(name: str, metavar: str, text: str, default: int | None) -> None:
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=text)

    add_source_flags(parser)
    add_instance_flag(parser)
    number("--config-url-retry-attempts", "N", "tries of a URL, 10 s apart (default 3, -1: any)", None)
    flag(
        "--config-url-watch-interval",
        "DURATION",
        "ask a URL for changes this often (default 60s, 0: never; PYAGENT_CONFIG_URL_WATCH_INTERVAL)",
    )
    flag("--watch-config", "notify|poll", "reload when a file changes, as the kernel notifies or by looking")
    flag("--watch-interval", "DURATION", "how often 'poll' looks (default 250ms)")
    flag("--watch-debounce-interval", "DURATION", "reload this long after the last change")

    parser.group("Running")
    switch("--test", "gather once, print the metrics and exit")
    number("--test-wait", "SECONDS", "as --test, and wait so long for more metrics", 0)
    switch("--once", "gather once, write to the outputs and exit")
    switch("--strict-exit", "--test, --once: exit with 1 if an input failed (PYAGENT_STRICT_EXIT=1)")
    flag("--max-file-size", "SIZE", "most bytes of a file that an input reads (default 128MiB; PYAGENT_MAX_FILE_SIZE)")
    flag("--max-connections", "NUMBER", "most clients of a listener at a time (default 1024; PYAGENT_MAX_CONNECTIONS)")
    flag("--gather-timeout", "DURATION", "give up a gather after this (default 0: never; PYAGENT_GATHER_TIMEOUT)")
    add_filter_flags(parser)

    parser.group("Buffer and delivery")
    flag(
        "--state-directory",
        "DIR",
        "where the buffer and the last good configuration are kept (PYAGENT_STATE_DIRECTORY; under systemd its "
        "StateDirectory)",
    )
    flag(
        "--buffer-max-size",
        "SIZE",
        "most bytes of one output's queue (default 1GiB, 0: no bound, else 16MiB or more; PYAGENT_BUFFER_MAX_SIZE)",
    )
    flag(
        "--when-full",
        "drop_oldest|drop_newest",
        "gathered metrics that go when a queue is full (default drop_oldest; PYAGENT_WHEN_FULL)",
    )
    flag(
        "--buffer-max-partitions",
        "NUMBER",
        "most queues of an output that a tag divides (default 1000; PYAGENT_BUFFER_MAX_PARTITIONS)",
    )
    flag(
        "--drain-order", "oldest|newest", "metrics written first after an outage (default oldest; PYAGENT_DRAIN_ORDER)"
    )
    flag(
        "--acknowledge",
        "all|any",
        'a listener acknowledges what all outputs keep, or any (default: all with buffer_strategy = "disk", else '
        "any; PYAGENT_ACKNOWLEDGE)",
    )

    parser.group("Logging")
    switch("--debug", "log debug messages")
    switch("--quiet", "log errors only")
    switch("--print-plugin-config-source", "print which plugin comes from which file")

    parser.group("Service")
    flag("--health", "ADDRESS", "serve /health, /ready and /metrics at HOST:PORT (PYAGENT_HEALTH)")
    flag(
        "--runtime-directory",
        "DIR",
        "where the control socket is; made if missing (PYAGENT_RUNTIME_DIRECTORY; under systemd its RuntimeDirectory)",
    )
    flag("--pidfile", "FILE", "write the process's number to this file while it runs")

    parser.group("Print and exit")
    flag("--usage", "KIND.NAME", "print the options of a plugin")
    switch("--sample-config", "print a sample configuration ('config create')")
    add_sample_filter_flags(parser)
    switch("--input-list", "print the inputs ('plugins inputs')")
    switch("--output-list", "print the outputs ('plugins outputs')")
    switch("--deprecation-list", "print deprecated options ('plugins --deprecated')")
    switch("--version", "print the version")
    parser.add_help_flag()

    for name in ("--pprof-addr", "--password", "--buffer-overflow", "--drain"):
        flag(name, "VALUE", argparse.SUPPRESS)
    switch("--unprotected", argparse.SUPPRESS)
    return parser


def whole_parser() -> CommandParser:
    """The agent's flags and all commands with theirs. It parses nothing: documents and completions are made of it."""
    import importlib

    parser = run_parser()
    commands = parser.add_subparsers(title="Commands", metavar="COMMAND", prog="pyagent")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=sentence(text))
        if name != "version":
            importlib.import_module(f"pyagent.cli.{name}").configure(command)
    return parser
