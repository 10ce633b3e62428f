"""`pyagent plugins`: which plugins there are, and what one of them can do."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pyagent.api import ConfigError, PyagentError, redact
from pyagent.cli.arguments import CommandParser
from pyagent.cli.flags import add_plugin_directory_flag, catalog
from pyagent.cli.terminal import cells, cut, harmless
from pyagent.config.catalog import Catalog
from pyagent.config.declared import declared_options, table_type
from pyagent.config.description import describe_plugin
from pyagent.config.plan import AgentSettings
from pyagent.config.sample import plugin_sample
from pyagent.plugin_kinds import KINDS
from pyagent.runtime.colours import coloured, has_colours

_EPILOG = """\
  pyagent plugins
  pyagent plugins inputs --json
  pyagent plugins show inputs.mem     options, measurements, fields
  pyagent plugins page inputs.mem     the same in Markdown
  pyagent plugins suggest munin       what of it suits this host"""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument(
        "what",
        nargs="?",
        help="list those of a kind; 'show' (or nothing), 'page' or 'suggest' before a name",
        metavar="KIND",
    )
    parser.add_argument("name", nargs="?", help="show what it measures and its options; also NAME", metavar="KIND.NAME")
    parser.add_argument("--deprecated", action="store_true", help="only deprecated options, and what to use instead")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_plugin_directory_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.what in ("show", "page", "suggest"):
        if not arguments.name:
            return _error(f"cannot show a plugin: no name is given; write pyagent plugins {arguments.what} KIND.NAME")
        if arguments.what == "suggest":
            return print_suggestions(arguments, arguments.name)
        if arguments.what == "page":
            return print_page(arguments, arguments.name)
        return show(arguments, arguments.name, as_json=arguments.json)
    if arguments.name:
        return _error(f"cannot list {arguments.name!r}: one kind at a time; write pyagent plugins KIND")
    if arguments.what and arguments.what not in KINDS:
        from pyagent.config.options import suggest

        if "." not in arguments.what and (near := suggest(arguments.what, KINDS)):
            return _error(f"cannot list {arguments.what}: no kind of plugins has this name; did you mean {near}?")
        return show(arguments, arguments.what, as_json=arguments.json)
    kinds = [arguments.what] if arguments.what else []
    if arguments.deprecated:
        return print_deprecated(arguments, kinds, as_json=arguments.json)
    if kinds and not arguments.json and not has_terminal():
        # As Telegraf's `plugins KIND`, for scripts.
        return print_names(arguments, kinds)
    return print_list(arguments, kinds, as_json=arguments.json)


def has_terminal() -> bool:
    return sys.stdout.isatty()


def print_list(arguments: argparse.Namespace, kinds: Sequence[Any], *, as_json: bool = False) -> int:
    """A line for each: its label, what it does, and where it comes from, if not with the agent."""
    plugins = catalog(arguments)
    found = [(entry, plugins.summary(entry)) for entry in plugins.entries(*kinds)]
    if as_json:
        rows = [{"kind": e.kind, "name": e.name, "from": e.origin, "text": text} for e, text in found]
        print(json.dumps(rows, indent=2))
        return 0
    column = max((len(entry.label) for entry, _ in found), default=0) + 2
    # What goes into a file or a pipe is not cut.
    width = shutil.get_terminal_size().columns if has_terminal() else None
    colours = has_colours(sys.stdout)
    for entry, text in found:
        label = coloured(entry.label, "cyan") if colours else entry.label
        origin = "" if entry.origin == "pyagent" else harmless(f"[{entry.origin}]")
        text = harmless(text)
        if width:
            text = cut(text, max(width - column - bool(origin) - cells(origin), 20), "...")
        shown = coloured(origin, "yellow") if colours else origin
        print(f"{label}{' ' * (column - len(entry.label))}{' '.join(part for part in (text, shown) if part)}".rstrip())
    return 0


def print_names(arguments: argparse.Namespace, kinds: Sequence[Any]) -> int:
    """One `kind.name` a line; where it comes from stands behind those that do not come with the agent."""
    entries = list(catalog(arguments).entries(*kinds))
    width = max((len(entry.label) for entry in entries), default=0)
    for entry in entries:
        print(entry.label if entry.origin == "pyagent" else f"{entry.label:<{width}}  {entry.origin}")
    return 0


def print_deprecated(arguments: argparse.Namespace, kinds: Sequence[Any] = (), *, as_json: bool = False) -> int:
    """One `kind.name/option` a line, with what to use instead."""
    found = list(_deprecated(catalog(arguments), kinds))
    if as_json:
        print(json.dumps([{"option": name, "use": instead} for name, instead in found], indent=2))
        return 0
    width = max((len(name) for name, _ in found), default=0)
    for name, instead in found:
        print(f"{name:<{width}}  use {instead}")
    return 0


def _deprecated(plugins: Catalog, kinds: Sequence[Any]) -> Iterator[tuple[str, str]]:
    if not kinds:
        yield from _deprecated_options(AgentSettings, "agent/")
    for entry in plugins.entries(*kinds):
        try:
            yield from _deprecated_options(plugins.load(entry).options_type, f"{entry.label}/")
        except ConfigError as error:
            print(f"W! {redact(str(error))}", file=sys.stderr)


def _deprecated_options(options: type[msgspec.Struct], before: str) -> Iterator[tuple[str, str]]:
    for option in declared_options(options):
        for old in option.renamed_from:
            yield before + old, option.name
        if option.deprecated:
            yield before + option.name, option.deprecated
        elif found := table_type(option.annotation):
            yield from _deprecated_options(found[0], f"{before}{option.name}.")


def usage(arguments: argparse.Namespace, name: str) -> int:
    """The sample configuration of the plugins of that name: what Telegraf's --usage prints."""
    plugins = catalog(arguments)
    try:
        entries = plugins.find(name)
        print("\n".join(plugin_sample(plugins, entry) for entry in entries), end="")
    except ConfigError as error:
        return _error(str(error))
    return 0


def show(arguments: argparse.Namespace, name: str, *, as_json: bool = False) -> int:
    """All that the plugins of that name say about themselves."""
    from pyagent.cli.plugin_text import as_document, as_text

    plugins = catalog(arguments)
    try:
        found = [describe_plugin(plugins, entry) for entry in plugins.find(name)]
    except ConfigError as error:
        return _error(str(error))
    if as_json:
        documents = [as_document(shown) for shown in found]
        print(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
    else:
        print("\n\n".join("\n".join(as_text(shown)) for shown in found))
    return 0


def print_page(arguments: argparse.Namespace, name: str) -> int:
    """The same in Markdown, for the page of a plugin of one's own."""
    from pyagent.config.page import plugin_page

    plugins = catalog(arguments)
    try:
        print("\n".join(plugin_page(plugins, entry) for entry in plugins.find(name)), end="")
    except ConfigError as error:
        return _error(str(error))
    return 0


def print_suggestions(arguments: argparse.Namespace, name: str) -> int:
    """What of a plugin suits this host, one a line, for plugins that find it out themselves."""
    plugins = catalog(arguments)
    try:
        found = [plugins.load(entry) for entry in plugins.find(name)]
        able = [suggest for plugin in found if callable(suggest := getattr(plugin, "suggest", None))]
        if not able:
            return _error(
                f"cannot suggest anything for {name}: it runs nothing of others; see pyagent plugins show {name}"
            )
        for suggest in able:
            for line in suggest():
                print(harmless(line))
    except PyagentError as error:
        return _error(str(error))
    return 0


def _error(message: str) -> int:
    print(f"E! {redact(message)}", file=sys.stderr)
    return 1
