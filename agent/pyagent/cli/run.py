"""`pyagent [flags]`: run the agent. The flags are Telegraf's (reference: telegraf 8); ours have an environment twin."""

import argparse
import difflib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyagent.api.units import Duration
from pyagent.cli.arguments import Parser, two_dashes
from pyagent.runtime.settings import PLUGIN_DIRECTORY, RunSettings

__all__ = ["main"]

_DESCRIPTION = """\
Gather metrics as a Telegraf configuration says and write them to InfluxDB.

  pyagent --config http://localhost:8086/api/v2/telegrafs/ID    with INFLUX_TOKEN in the environment
  pyagent --config telegraf.conf --test                         gather once and print

Commands: demo, sandbox, version (pyagent COMMAND --help)."""


def main(words: Sequence[str]) -> int:
    # A reload that is asked for while we are still importing must not kill us; the process takes it over when it runs.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = _settings(_parser().parse_args(two_dashes(words)), os.environ)
    from pyagent.runtime.process import run

    return run(settings)


class _RunParser(Parser):
    """Names the flag that was probably meant."""

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # argparse's overloads
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(unknown[0].partition("=")[0], flags, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.error(f"unknown flag or argument {unknown[0]!r}{hint}")
        return known


def _parser() -> Parser:
    parser = _RunParser(prog="pyagent", usage="pyagent [flags] | pyagent COMMAND [flags]", description=_DESCRIPTION)

    def flag(name: str, text: str, **settings: object) -> None:
        parser.add_argument(name, help=text, **settings)  # type: ignore[arg-type]  # argparse's many overloads

    flag("--config", "configuration file or URL; may be repeated", action="append", default=[], metavar="FILE_OR_URL")
    flag("--config-directory", "directory of *.conf files; may be repeated", action="append", default=[], metavar="DIR")
    flag("--test", "gather once, print the metrics and exit", action="store_true")
    flag(
        "--test-wait", "as --test, and wait so many seconds for further metrics", type=int, default=0, metavar="SECONDS"
    )
    flag("--once", "gather once, write to the outputs and exit", action="store_true")
    flag("--debug", "log debug messages", action="store_true")
    flag("--quiet", "log errors only", action="store_true")
    flag(
        "--plugin-directory",
        f"folder of plugins of your own, NAME.py each; may be repeated (default {PLUGIN_DIRECTORY}; PYAGENT_PLUGIN_DIRECTORY)",
        action="append",
        default=[],
        metavar="DIR",
    )
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
        "--state-directory",
        "where the last good configuration is kept (PYAGENT_STATE_DIRECTORY; under systemd its StateDirectory)",
        default=None,
        metavar="DIR",
    )
    flag(
        "--runtime-directory",
        "where the control socket is (PYAGENT_RUNTIME_DIRECTORY; under systemd its RuntimeDirectory)",
        default=None,
        metavar="DIR",
    )
    flag("--select", "label selector 'key=value;...'; may be repeated", action="append", default=[], metavar="SELECTOR")
    flag("--input-filter", "inputs to use, separated by ':'", default="", metavar="NAMES")
    flag("--output-filter", "outputs to use, separated by ':'", default="", metavar="NAMES")
    flag("--strict-env-handling", "replace environment references in strings only (the default)", action="store_true")
    flag("--non-strict-env-handling", "replace environment references everywhere in the text", action="store_true")
    flag("--version", "print the version and exit", action="store_true")
    return parser


def _settings(given: argparse.Namespace, environ: Mapping[str, str]) -> RunSettings:
    parser = _parser()
    if given.strict_env_handling and given.non_strict_env_handling:
        parser.error("--strict-env-handling and --non-strict-env-handling exclude each other; give one of them")
    attempts = given.config_url_retry_attempts
    if attempts is not None and attempts < -1:
        parser.error(f"--config-url-retry-attempts is -1 or more, not {attempts}")
    watch = given.config_url_watch_interval or environ.get("PYAGENT_CONFIG_URL_WATCH_INTERVAL") or "60s"
    try:
        watch_interval = Duration.from_option(watch).seconds
    except ValueError as error:
        parser.error(f"--config-url-watch-interval: {error}")
    # systemd gives a list where a unit has several.
    state = given.state_directory or environ.get("PYAGENT_STATE_DIRECTORY") or environ.get("STATE_DIRECTORY", "")
    runtime = (
        given.runtime_directory or environ.get("PYAGENT_RUNTIME_DIRECTORY") or environ.get("RUNTIME_DIRECTORY", "")
    )
    directories = given.plugin_directory or environ.get("PYAGENT_PLUGIN_DIRECTORY", PLUGIN_DIRECTORY).split(os.pathsep)
    return RunSettings(
        configs=_commas(given.config),
        config_directories=_commas(given.config_directory),
        environ=environ,
        plugin_directories=tuple(Path(directory) for directory in directories if directory),
        # 0 means the default, as Telegraf has it; None leaves a service free to ask for ever.
        url_attempts=attempts or None,
        watch_interval=watch_interval,
        state_directory=Path(state.partition(":")[0]) if state else None,
        runtime_directory=Path(runtime.partition(":")[0]) if runtime else None,
        instance=environ.get("PYAGENT_INSTANCE") or "default",
        strict_env=not given.non_strict_env_handling,
        debug=given.debug,
        quiet=given.quiet,
        test=given.test or (given.test_wait != 0 and not given.once),
        once=given.once,
        test_wait=given.test_wait,
        select=_commas(given.select),
        input_filter=tuple(name for name in given.input_filter.split(":") if name),
        output_filter=tuple(name for name in given.output_filter.split(":") if name),
    )


def _commas(values: Sequence[str]) -> tuple[str, ...]:
    """A value is a list separated by commas, as Telegraf's flags are."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())
