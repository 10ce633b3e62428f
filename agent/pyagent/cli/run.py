"""`pyagent [flags]`: run the agent. The flags are Telegraf's (reference: telegraf 8); ours have an environment twin."""

import argparse
import dataclasses
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pyagent.api.units import Duration, Size
from pyagent.cli.arguments import Parser
from pyagent.cli.flags import add_filter_flags, add_source_flags, health_address, source_settings
from pyagent.runtime.settings import RunSettings

__all__ = ["main"]

SMALLEST_BUFFER = 16 << 20
"""Bytes: two segments of a queue's log."""

_DESCRIPTION = """\
Gather metrics as a Telegraf configuration says and write them to InfluxDB.

  pyagent --config http://localhost:8086/api/v2/telegrafs/ID    with INFLUX_TOKEN in the environment
  pyagent --config telegraf.conf --test                         gather once and print

Commands: buffer, config, demo, help, plugins, quarantine, sandbox, secrets, status, version (pyagent COMMAND --help)."""


def main(words: Sequence[str]) -> int:
    # A reload that is asked for while we are still importing must not kill us; the process takes it over when it runs.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parser = _parser()
    plain = parser.plain(words)
    given, unknown = parser.parse_known_args(plain)
    if unknown:
        parser.refuse(unknown[0])
    if given.command:
        # Flags that stand before a command are the command's. Telegraf leaves them out of account, silently.
        from pyagent import cli

        return cli.main([*given.command, *plain[: len(plain) - len(given.command)]])
    if (status := _printed(parser, given)) is not None:
        return status
    settings = _settings(parser, given, os.environ)
    from pyagent.runtime.log import component_logger, configure_logging, log_unhandled
    from pyagent.runtime.process import run

    configure_logging(debug=settings.debug, quiet=settings.quiet)
    log_unhandled()
    for flag in ("pprof_addr", "password", "unprotected"):
        if getattr(given, flag):
            component_logger("agent").warning("--%s has no effect here", flag.replace("_", "-"))
    return run(settings)


def _parser() -> Parser:
    parser = Parser(prog="pyagent", usage="pyagent [flags] | pyagent COMMAND [flags]", description=_DESCRIPTION)

    def flag(name: str, text: str, **settings: object) -> None:
        parser.add_argument(name, help=text, **settings)  # type: ignore[arg-type]  # argparse's many overloads

    add_source_flags(parser)
    flag("--test", "gather once, print the metrics and exit", action="store_true")
    flag(
        "--test-wait", "as --test, and wait so many seconds for further metrics", type=int, default=0, metavar="SECONDS"
    )
    flag("--once", "gather once, write to the outputs and exit", action="store_true")
    flag(
        "--strict-exit",
        "--test and --once exit with 1 where an input failed (PYAGENT_STRICT_EXIT=1)",
        action="store_true",
    )
    flag("--debug", "log debug messages", action="store_true")
    flag("--quiet", "log errors only", action="store_true")
    flag(
        "--config-url-retry-attempts",
        "requests for a URL before giving up, 10 s apart (default 3, -1: for ever)",
        type=int,
        default=None,
        metavar="N",
    )
    flag(
        "--config-url-watch-interval",
        "ask a configuration's URL for changes this often (default 60s, 0: never; PYAGENT_CONFIG_URL_WATCH_INTERVAL)",
        default=None,
        metavar="DURATION",
    )
    flag(
        "--watch-config",
        "reload when a file or directory of the configuration changes: 'notify' asks the kernel, 'poll' looks again and again",
        default="",
        metavar="HOW",
    )
    flag("--watch-interval", "look this often, for 'poll' (default 250ms)", default="", metavar="DURATION")
    flag("--watch-debounce-interval", "reload so long after the last change", default="", metavar="DURATION")
    flag(
        "--state-directory",
        "where the last good configuration and what is not written yet are kept "
        "(PYAGENT_STATE_DIRECTORY; under systemd its StateDirectory)",
        default=None,
        metavar="DIR",
    )
    flag(
        "--buffer-max-size",
        "most bytes of one output's queue (default 1GiB, 0: no bound, else 16MiB or more; PYAGENT_BUFFER_MAX_SIZE)",
        default="",
        metavar="SIZE",
    )
    flag(
        "--buffer-overflow",
        "which gathered metrics go where a queue is full: 'oldest' (default) or 'newest' (PYAGENT_BUFFER_OVERFLOW)",
        default="",
        metavar="WHICH",
    )
    flag(
        "--drain",
        "what is written first after an outage: 'oldest' (default), or 'newest', the rest behind it (PYAGENT_DRAIN)",
        default="",
        metavar="WHICH",
    )
    flag(
        "--acknowledge",
        "when a listener acknowledges: 'all' outputs keep what it got, or 'any' one does (default: all with "
        'buffer_strategy = "disk", else any; PYAGENT_ACKNOWLEDGE)',
        default="",
        metavar="WHICH",
    )
    flag(
        "--runtime-directory",
        "where the control socket is (PYAGENT_RUNTIME_DIRECTORY; under systemd its RuntimeDirectory)",
        default=None,
        metavar="DIR",
    )
    flag(
        "--health",
        "serve /health, /ready and /metrics there, such as 127.0.0.1:8888 (PYAGENT_HEALTH)",
        default="",
        metavar="ADDRESS",
    )
    flag(
        "--gather-timeout",
        "give up a gather after this time (default 0: never; PYAGENT_GATHER_TIMEOUT)",
        default="",
        metavar="DURATION",
    )
    flag("--pidfile", "write the process's number to this file while it runs", default="", metavar="FILE")
    flag("--print-plugin-config-source", "print which plugin comes from which file", action="store_true")
    add_filter_flags(parser)
    flag("--usage", "print the options of a plugin and exit", default="", metavar="NAME")
    flag("--sample-config", "print a sample configuration and exit (as 'config create')", action="store_true")
    flag("--input-list", "print the inputs and exit (as 'plugins inputs')", action="store_true")
    flag("--output-list", "print the outputs and exit (as 'plugins outputs')", action="store_true")
    flag("--deprecation-list", "print deprecated options and exit (as 'plugins --deprecated')", action="store_true")
    flag("--version", "print the version and exit", action="store_true")
    flag("--pprof-addr", argparse.SUPPRESS, default="")
    flag("--password", argparse.SUPPRESS, default="")
    flag("--unprotected", argparse.SUPPRESS, action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _printed(parser: Parser, given: argparse.Namespace) -> int | None:
    """The exit status where the flags ask to print something instead of a run."""
    if given.version:
        from pyagent import __version__

        print(f"pyagent {__version__}")
        return 0
    if given.sample_config:
        from pyagent.cli.config import create

        return create(given)
    if not (given.usage or given.deprecation_list or given.input_list or given.output_list):
        return None
    from pyagent.cli.plugins import print_deprecated, print_names, usage

    if given.usage:
        return usage(given, given.usage)
    if given.deprecation_list:
        return print_deprecated(given)
    return print_names(given, ["inputs"] * given.input_list + ["outputs"] * given.output_list)


def _settings(parser: Parser, given: argparse.Namespace, environ: Mapping[str, str]) -> RunSettings:
    attempts = given.config_url_retry_attempts
    if attempts is not None and attempts < -1:
        parser.error(f"--config-url-retry-attempts is -1 or more, not {attempts}")
    watch = given.config_url_watch_interval or environ.get("PYAGENT_CONFIG_URL_WATCH_INTERVAL") or "60s"
    # systemd gives a list where a unit has several.
    state = given.state_directory or environ.get("PYAGENT_STATE_DIRECTORY") or environ.get("STATE_DIRECTORY", "")
    runtime = (
        given.runtime_directory or environ.get("PYAGENT_RUNTIME_DIRECTORY") or environ.get("RUNTIME_DIRECTORY", "")
    )
    return dataclasses.replace(
        source_settings(parser, given),
        # 0 means the default, as Telegraf has it; None leaves a service free to ask for ever.
        url_attempts=attempts or None,
        watch_interval=_seconds(parser, "--config-url-watch-interval", watch, Duration.from_option),
        watch_files="" if not given.watch_config else "poll" if given.watch_config == "poll" else "notify",
        watch_files_interval=_seconds(parser, "--watch-interval", given.watch_interval, Duration.from_common) or 0.25,
        watch_debounce=_seconds(
            parser, "--watch-debounce-interval", given.watch_debounce_interval, Duration.from_common
        ),
        state_directory=Path(state.partition(":")[0]) if state else None,
        buffer_max_size=_buffer_size(parser, given.buffer_max_size or environ.get("PYAGENT_BUFFER_MAX_SIZE") or "1GiB"),
        buffer_overflow=_end(
            parser, "--buffer-overflow", given.buffer_overflow or environ.get("PYAGENT_BUFFER_OVERFLOW")
        ),
        drain=_end(parser, "--drain", given.drain or environ.get("PYAGENT_DRAIN")),
        acknowledge=_acknowledge(parser, given.acknowledge or environ.get("PYAGENT_ACKNOWLEDGE")),
        runtime_directory=Path(runtime.partition(":")[0]) if runtime else None,
        health=_health(parser, given.health or environ.get("PYAGENT_HEALTH", "")),
        gather_timeout=_seconds(
            parser,
            "--gather-timeout",
            given.gather_timeout or environ.get("PYAGENT_GATHER_TIMEOUT", ""),
            Duration.from_option,
        ),
        instance=environ.get("PYAGENT_INSTANCE") or "default",
        debug=given.debug,
        quiet=given.quiet,
        test=given.test or (given.test_wait != 0 and not given.once),
        once=given.once,
        strict_exit=given.strict_exit or environ.get("PYAGENT_STRICT_EXIT") == "1",
        test_wait=given.test_wait,
        print_plugin_sources=given.print_plugin_config_source,
        pidfile=given.pidfile,
    )


def _seconds(parser: Parser, flag: str, text: str, read: Callable[[str], Duration]) -> float:
    try:
        duration = read(text) if text else Duration(0)
    except ValueError as error:
        parser.error(f"{flag}: {error}")
    if duration < 0:
        parser.error(f"{flag} cannot be negative: {text}")
    return duration.seconds


def _health(parser: Parser, text: str) -> tuple[str, int] | None:
    if not text:
        return None
    try:
        return health_address(text)
    except ValueError as error:
        parser.error(f"--health: {error}")


def _buffer_size(parser: Parser, text: str) -> int:
    try:
        size = int(Size.from_option(text))
    except ValueError as error:
        parser.error(f"--buffer-max-size: {error}")
    if size != 0 and size < SMALLEST_BUFFER:
        parser.error(f"--buffer-max-size is 0 (no bound) or 16MiB and more, not {text}")
    return size


def _end(parser: Parser, flag: str, text: str | None) -> Literal["oldest", "newest"]:
    """One of the two ends of a queue."""
    if text and text not in ("oldest", "newest"):
        parser.error(f"{flag} is 'oldest' or 'newest', not {text!r}")
    return "newest" if text == "newest" else "oldest"


def _acknowledge(parser: Parser, text: str | None) -> Literal["all", "any"] | None:
    if text and text not in ("all", "any"):
        parser.error(f"--acknowledge is 'all' or 'any', not {text!r}")
    return "all" if text == "all" else "any" if text == "any" else None
