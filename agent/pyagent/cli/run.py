"""`pyagent [flags]`: run the agent. The flags are Telegraf's (reference: telegraf 8); ours have an environment twin."""

import argparse
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from pyagent.api.units import LEAST_INTERVAL, Duration, Size
from pyagent.cli.arguments import CommandParser
from pyagent.cli.flags import health_address, source_settings
from pyagent.cli.run_flags import run_parser
from pyagent.runtime.settings import DrainOrder, RunSettings, WhenFull

__all__ = ["main"]

SMALLEST_BUFFER = 16 << 20
"""Bytes: two segments of a queue's log."""


_CHOICES = {
    "--when-full": (("drop_oldest", "drop_newest"), "--buffer-overflow", ("oldest", "newest")),
    "--drain-order": (("oldest", "newest"), "--drain", ("oldest", "newest")),
}
"""Flags that had other names before: their values, the old name, and the values that it has."""


def main(words: Sequence[str]) -> int:
    # A reload that is asked for while we are still importing must not kill us; the process takes it over when it runs.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parser = run_parser()
    flags, rest = parser.split(words, command=True)
    if rest:
        # Flags that stand before a command are the command's. Telegraf leaves them out of account, silently.
        from pyagent import cli

        return cli.command(rest[0], [*flags, *rest[1:]])
    given = parser.parse_args(flags)
    if (status := _printed(parser, given)) is not None:
        return status
    if given.test or given.test_wait or given.once:
        from pyagent.cli.chosen_instance import use_instance

        use_instance(parser, given)
    elif given.instance:
        parser.error(f"--instance is for --test and --once; run it with: systemctl start pyagent@{given.instance}")
    settings = _settings(parser, given, os.environ)
    from pyagent.runtime.log import component_logger, configure_logging, log_unhandled
    from pyagent.runtime.process import run

    configure_logging(debug=settings.debug, quiet=settings.quiet)
    log_unhandled()
    for flag in ("pprof_addr", "password", "unprotected"):
        if getattr(given, flag):
            component_logger("agent").warning("--%s has no effect here", flag.replace("_", "-"))
    for text in _old_names(given, os.environ):
        component_logger("agent").warning("%s", text)
    return run(settings)


def _printed(parser: CommandParser, given: argparse.Namespace) -> int | None:
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


def _settings(parser: CommandParser, given: argparse.Namespace, environ: Mapping[str, str]) -> RunSettings:
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
        buffer_max_partitions=_number(
            parser,
            "--buffer-max-partitions",
            given.buffer_max_partitions or environ.get("PYAGENT_BUFFER_MAX_PARTITIONS") or "1000",
            1_000_000,
        ),
        when_full=cast("WhenFull", _choice(parser, given, environ, "--when-full")),
        drain_order=cast("DrainOrder", _choice(parser, given, environ, "--drain-order")),
        acknowledge=_acknowledge(parser, given.acknowledge or environ.get("PYAGENT_ACKNOWLEDGE")),
        runtime_directory=Path(runtime.partition(":")[0]) if runtime else None,
        max_file_size=_file_size(parser, given.max_file_size or environ.get("PYAGENT_MAX_FILE_SIZE") or "128MiB"),
        max_connections=_number(
            parser,
            "--max-connections",
            given.max_connections or environ.get("PYAGENT_MAX_CONNECTIONS") or "1024",
            1_000_000,
        ),
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
        pidfile=given.pidfile or "",
    )


def _seconds(parser: CommandParser, flag: str, text: str, read: Callable[[str], Duration]) -> float:
    try:
        duration = read(text) if text else Duration(0)
    except ValueError as error:
        parser.error(f"{flag}: {error}")
    if duration < 0:
        parser.error(f"{flag} cannot be negative: {text}")
    if 0 < duration < LEAST_INTERVAL:
        parser.error(f"{flag} must be {LEAST_INTERVAL} or more: {text}")
    return duration.seconds


def _health(parser: CommandParser, text: str) -> tuple[str, int] | None:
    if not text:
        return None
    try:
        return health_address(text)
    except ValueError as error:
        parser.error(f"--health: {error}")


def _buffer_size(parser: CommandParser, text: str) -> int:
    try:
        size = int(Size.from_option(text))
    except ValueError as error:
        parser.error(f"--buffer-max-size: {error}")
    if size != 0 and size < SMALLEST_BUFFER:
        parser.error(f"--buffer-max-size is 0 (no bound) or 16MiB and more, not {text}")
    return size


def _file_size(parser: CommandParser, text: str) -> int:
    try:
        size = int(Size.from_option(text))
    except ValueError as error:
        parser.error(f"--max-file-size: {error}")
    if size <= 0:
        parser.error(f"--max-file-size is 1 or more, not {text}")
    return size


def _number(parser: CommandParser, flag: str, text: str, most: int) -> int:
    """One of 1 to `most`."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= most):
        parser.error(f"{flag} is a whole number from 1 to {most}, not {text!r}")
    return int(text)


def _choice(parser: CommandParser, given: argparse.Namespace, environ: Mapping[str, str], flag: str) -> str:
    """What a flag with a few values asks for, or its variable, by the names of now or before; the first value where neither
    does."""
    choices, old_flag, old_words = _CHOICES[flag]
    for name, words in ((flag, choices), (old_flag, old_words)):
        if text := getattr(given, _attribute(name)):
            return choices[_index(parser, name, text, words)]
    for name, words in ((flag, choices), (old_flag, old_words)):
        if text := environ.get(_variable(name)):
            return choices[_index(parser, name, text, words)]
    return choices[0]


def _index(parser: CommandParser, flag: str, text: str, words: tuple[str, ...]) -> int:
    if text not in words:
        parser.error(f"{flag} is {' or '.join(map(repr, words))}, not {text!r}")
    return words.index(text)


def _old_names(given: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[str]:
    """Flags and variables by their names of before, each with what to write in its place."""
    for flag, (choices, old_flag, old_words) in _CHOICES.items():
        words = "" if choices == old_words else f", with {' or '.join(choices)}"
        if getattr(given, _attribute(old_flag)):
            yield f"{old_flag} is now {flag}{words}; the old name goes with the next version"
        elif environ.get(_variable(old_flag)):
            yield f"{_variable(old_flag)} is now {_variable(flag)}{words}; the old name goes with the next version"


def _attribute(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _variable(flag: str) -> str:
    return f"PYAGENT_{_attribute(flag).upper()}"


def _acknowledge(parser: CommandParser, text: str | None) -> Literal["all", "any"] | None:
    if text and text not in ("all", "any"):
        parser.error(f"--acknowledge is 'all' or 'any', not {text!r}")
    return "all" if text == "all" else "any" if text == "any" else None
