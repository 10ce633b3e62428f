"""The flags of `pyagent` itself, and the whole command line in one parser, for what is made of it."""

import argparse

from pyagent.cli import COMMANDS, sentence
from pyagent.cli.arguments import Parser
from pyagent.cli.flags import add_filter_flags, add_source_flags

__all__ = ["run_parser", "whole_parser"]

_DESCRIPTION = """\
Gather metrics as a Telegraf configuration says and write them to InfluxDB.

  pyagent --config http://localhost:8086/api/v2/telegrafs/ID    with INFLUX_TOKEN in the environment
  pyagent --config telegraf.conf --test                         gather once and print
"""


def run_parser() -> Parser:
    """A parser of the flags of a run. What the environment or a default says is not in it: see `run`."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog="pyagent",
        usage="pyagent [flags] | pyagent COMMAND [flags]",
        description=f"{_DESCRIPTION}\nCommands (pyagent COMMAND --help):\n{commands}",
    )

    def flag(name: str, metavar: str, text: str) -> None:
        parser.add_argument(name, default=None, metavar=metavar, help=text)

    def switch(name: str, text: str) -> None:
        parser.add_argument(name, action="store_true", help=text)

    def number(name: str, metavar: str, text: str, default: int | None) -> None:
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=text)

    parser.group("Configuration")
    add_source_flags(parser)
    number(
        "--config-url-retry-attempts",
        "N",
        "requests for a URL before giving up, 10 s apart (default 3, -1: for ever)",
        None,
    )
    flag(
        "--config-url-watch-interval",
        "DURATION",
        "ask a configuration's URL for changes this often (default 60s, 0: never; PYAGENT_CONFIG_URL_WATCH_INTERVAL)",
    )
    flag(
        "--watch-config",
        "HOW",
        "reload when a file or directory of the configuration changes: 'notify' asks the kernel, 'poll' looks again and again",
    )
    flag("--watch-interval", "DURATION", "look this often, for 'poll' (default 250ms)")
    flag("--watch-debounce-interval", "DURATION", "reload so long after the last change")

    parser.group("Running")
    switch("--test", "gather once, print the metrics and exit")
    number("--test-wait", "SECONDS", "as --test, and wait so many seconds for further metrics", 0)
    switch("--once", "gather once, write to the outputs and exit")
    switch("--strict-exit", "--test and --once exit with 1 where an input failed (PYAGENT_STRICT_EXIT=1)")
    flag("--gather-timeout", "DURATION", "give up a gather after this time (default 0: never; PYAGENT_GATHER_TIMEOUT)")
    add_filter_flags(parser)

    parser.group("Buffer and delivery")
    flag(
        "--state-directory",
        "DIR",
        "where the last good configuration and what is not written yet are kept "
        "(PYAGENT_STATE_DIRECTORY; under systemd its StateDirectory)",
    )
    flag(
        "--buffer-max-size",
        "SIZE",
        "most bytes of one output's queue (default 1GiB, 0: no bound, else 16MiB or more; PYAGENT_BUFFER_MAX_SIZE)",
    )
    flag(
        "--buffer-overflow",
        "WHICH",
        "which gathered metrics go where a queue is full: 'oldest' (default) or 'newest' (PYAGENT_BUFFER_OVERFLOW)",
    )
    flag(
        "--buffer-max-partitions",
        "NUMBER",
        "most queues of an output that a tag divides (default 1000; PYAGENT_BUFFER_MAX_PARTITIONS)",
    )
    flag(
        "--drain",
        "WHICH",
        "what is written first after an outage: 'oldest' (default), or 'newest', the rest behind it (PYAGENT_DRAIN)",
    )
    flag(
        "--acknowledge",
        "WHICH",
        "when a listener acknowledges: 'all' outputs keep what it got, or 'any' one does (default: all with "
        'buffer_strategy = "disk", else any; PYAGENT_ACKNOWLEDGE)',
    )

    parser.group("Logging")
    switch("--debug", "log debug messages")
    switch("--quiet", "log errors only")
    switch("--print-plugin-config-source", "print which plugin comes from which file")

    parser.group("Service")
    flag("--health", "ADDRESS", "serve /health, /ready and /metrics there, such as 127.0.0.1:8888 (PYAGENT_HEALTH)")
    flag(
        "--runtime-directory",
        "DIR",
        "where the control socket is (PYAGENT_RUNTIME_DIRECTORY; under systemd its RuntimeDirectory)",
    )
    flag("--pidfile", "FILE", "write the process's number to this file while it runs")

    parser.group("Print and exit")
    flag("--usage", "NAME", "print the options of a plugin and exit")
    switch("--sample-config", "print a sample configuration and exit (as 'config create')")
    switch("--input-list", "print the inputs and exit (as 'plugins inputs')")
    switch("--output-list", "print the outputs and exit (as 'plugins outputs')")
    switch("--deprecation-list", "print deprecated options and exit (as 'plugins --deprecated')")
    switch("--version", "print the version and exit")

    for name in ("--pprof-addr", "--password"):
        flag(name, "VALUE", argparse.SUPPRESS)
    switch("--unprotected", argparse.SUPPRESS)
    return parser


def whole_parser() -> Parser:
    """The agent's flags and all commands with theirs. It parses nothing: documents and completions are made of it."""
    import importlib

    parser = run_parser()
    parser.description = _DESCRIPTION
    commands = parser.add_subparsers(title="Commands", metavar="COMMAND", prog="pyagent")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=sentence(text))
        if name != "version":
            importlib.import_module(f"pyagent.cli.{name}").configure(command)
    return parser
