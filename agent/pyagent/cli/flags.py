"""The flags that say which configuration is meant, for the agent and for the commands that read one."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyagent.api.masking import secret_values
from pyagent.api.units import Secret
from pyagent.cli.arguments import CommandParser
from pyagent.runtime.settings import PLUGIN_DIRECTORY, RunSettings

if TYPE_CHECKING:
    from pyagent.config.catalog import Catalog
from pyagent.plugin_kinds import SECTIONS

__all__ = [
    "add_filter_flags",
    "add_instance_flag",
    "add_plugin_directory_flag",
    "add_sample_filter_flags",
    "add_source_flags",
    "catalog",
    "commas",
    "health_address",
    "names",
    "plugin_directories",
    "source_settings",
]


def add_source_flags(parser: CommandParser) -> None:
    """Those that say which configuration is meant. They and those after them stand below `Configuration` in the help."""

    def several(name: str, metavar: str, text: str) -> None:
        parser.add_argument(name, action="append", default=[], metavar=metavar, help=text)

    parser.group("Configuration")
    several("--config", "FILE_OR_URL", "configuration file or URL; may be repeated")
    several("--config-directory", "DIR", "directory of *.conf files; may be repeated")
    several("--select", "SELECTOR", "label selector 'key=value;...'; may be repeated")
    for name, text in (
        ("--strict-env-handling", "replace ${VARIABLES} in strings only (default)"),
        ("--non-strict-env-handling", "replace them everywhere in the text"),
        ("--old-env-behavior", "$$ is two dollar signs, as before Telegraf 1.27"),
    ):
        parser.add_argument(name, action="store_true", help=text)
    parser.add_argument(
        "--remote-environment",
        metavar="NAMES",
        help="variables that a text from a URL may use, separated by commas (default all; PYAGENT_REMOTE_ENVIRONMENT)",
    )
    parser.add_argument(
        "--remote-output-hosts",
        metavar="HOSTS",
        help="hosts besides its own that it may write to (default all, with a warning; PYAGENT_REMOTE_OUTPUT_HOSTS)",
    )
    add_plugin_directory_flag(parser)


def add_instance_flag(parser: CommandParser) -> None:
    parser.add_argument(
        "--instance", default="", metavar="INSTANCE", help="with the settings of pyagent@INSTANCE, as the unit has them"
    )


def add_plugin_directory_flag(parser: CommandParser) -> None:
    parser.add_argument(
        "--plugin-directory",
        help=f"folder of your own plugins; may be repeated (default {PLUGIN_DIRECTORY}; PYAGENT_PLUGIN_DIRECTORY)",
        action="append",
        default=[],
        metavar="DIR",
    )


def add_filter_flags(parser: CommandParser) -> None:
    """Of the kinds that a run can leave out."""
    for kind in ("input", "output"):
        parser.add_argument(f"--{kind}-filter", default="", metavar="NAMES", help=f"{kind}s to use, separated by ':'")


def add_sample_filter_flags(parser: CommandParser) -> None:
    """Of what is printed in a sample configuration, besides inputs and outputs."""
    for kind in ("aggregator", "processor", "secretstore"):
        text = f"{kind}s in a sample configuration"
        parser.add_argument(f"--{kind}-filter", default="", metavar="NAMES", help=text)
    text = f"sections in a sample configuration, of {', '.join(SECTIONS)}"
    parser.add_argument("--section-filter", default="", metavar="NAMES", help=text)


def source_settings(parser: CommandParser, given: argparse.Namespace) -> RunSettings:
    """What the flags of the functions above ask for. Ends the program where they contradict each other."""
    if given.strict_env_handling and given.non_strict_env_handling:
        parser.error("--strict-env-handling and --non-strict-env-handling exclude each other; give one of them")
    flags = {
        "PYAGENT_REMOTE_ENVIRONMENT": given.remote_environment,
        "PYAGENT_REMOTE_OUTPUT_HOSTS": given.remote_output_hosts,
        # A text from a URL is kept from these folders, however they are named.
        "PYAGENT_STATE_DIRECTORY": getattr(given, "state_directory", None),
        "PYAGENT_RUNTIME_DIRECTORY": getattr(given, "runtime_directory", None),
    }
    environ = {**os.environ, **{name: value for name, value in flags.items() if value is not None}}
    for value in secret_values(environ, 8):
        Secret(value)  # known from here on, so that no message shows it, wherever the text of a configuration puts it
    return RunSettings(
        configs=commas(given.config),
        config_directories=commas(given.config_directory),
        environ=environ,
        plugin_directories=plugin_directories(given, environ),
        strict_env=not given.non_strict_env_handling,
        old_env=given.old_env_behavior,
        select=commas(given.select),
        input_filter=names(getattr(given, "input_filter", "")),
        output_filter=names(getattr(given, "output_filter", "")),
    )


def plugin_directories(given: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders of plugins of one's own. Ends the program where one that is named cannot be read; the default one need not
    be there."""
    named = given.plugin_directory or environ.get("PYAGENT_PLUGIN_DIRECTORY", "").split(os.pathsep)
    for directory in filter(None, named):
        try:
            os.listdir(directory)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            name = "--plugin-directory" if given.plugin_directory else "PYAGENT_PLUGIN_DIRECTORY"
            print(f"E! cannot read the folder of plugins {directory}: {reason}; correct {name}", file=sys.stderr)
            raise SystemExit(1) from None
    found = named if given.plugin_directory or "PYAGENT_PLUGIN_DIRECTORY" in environ else [PLUGIN_DIRECTORY]
    return tuple(Path(directory) for directory in found if directory)


def catalog(given: argparse.Namespace) -> "Catalog":
    """The plugins of this host. A folder that cannot be read is a warning on standard error."""
    from pyagent.config.catalog import Catalog

    found = Catalog(plugin_directories(given, os.environ))
    for warning in found.warnings:
        print(f"W! {warning}", file=sys.stderr)
    return found


def commas(values: Sequence[str]) -> tuple[str, ...]:
    """A value is a list separated by commas, as Telegraf's flags are."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def names(value: str) -> tuple[str, ...]:
    """The names of a filter."""
    return tuple(name.strip() for name in value.split(":") if name.strip())


def health_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT`, or `:PORT` for this host alone. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address; give one like 127.0.0.1:8888")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if host != "localhost":
        import ipaddress

        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{host!r} is no IP address of this host; give one like 127.0.0.1:8888") from None
    return host, int(port)
