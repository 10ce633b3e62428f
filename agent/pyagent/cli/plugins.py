"""`pyagent plugins`: which plugins there are, and what one of them can do."""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pyagent.api import ConfigError, Input, redact
from pyagent.cli.arguments import Parser
from pyagent.cli.flags import add_plugin_directory_flag, catalog
from pyagent.cli.terminal import cells, cut, harmless
from pyagent.config.catalog import KINDS, Catalog, Entry, about
from pyagent.config.declared import Declared, declared_options, table_type
from pyagent.config.plan import AgentSettings
from pyagent.config.sample import plugin_sample
from pyagent.config.toml_text import toml_value
from pyagent.runtime.colours import coloured, has_colours

_EPILOG = """\
  pyagent plugins
  pyagent plugins inputs --json
  pyagent plugins show inputs.mem     options, measurements, fields"""


LISTED = sorted({*KINDS, "serializers"})
"""The kinds that can be listed."""


def configure(parser: Parser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument(
        "what", nargs="?", help="list those of a kind; 'show', or nothing, before a name", metavar="KIND"
    )
    parser.add_argument("name", nargs="?", help="show what it measures and its options; also NAME", metavar="KIND.NAME")
    parser.add_argument("--deprecated", action="store_true", help="only deprecated options, and what to use instead")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_plugin_directory_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.what == "show":
        if not arguments.name:
            return _error("cannot show a plugin: no name is given; write pyagent plugins show KIND.NAME")
        return show(arguments, arguments.name, as_json=arguments.json)
    if arguments.name:
        return _error(f"cannot list {arguments.name!r}: one kind at a time; write pyagent plugins KIND")
    if arguments.what and arguments.what not in LISTED:
        from pyagent.config.options import suggest

        if "." not in arguments.what and (near := suggest(arguments.what, LISTED)):
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
    plugins = catalog(arguments)
    try:
        documents = [_document(plugins, entry) for entry in plugins.find(name)]
    except ConfigError as error:
        return _error(str(error))
    if as_json:
        print(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
    else:
        print("\n\n".join("\n".join(_page(document)) for document in documents))
    return 0


def _document(plugins: Catalog, entry: Entry) -> dict[str, Any]:
    plugin = plugins.load(entry)
    measurements = plugin.measurements if issubclass(plugin, Input) else ()
    return {
        "kind": entry.kind,
        "name": entry.name,
        "from": entry.origin,
        "text": about(plugin),
        "options": [_option(declared) for declared in declared_options(plugin.options_type)],
        "measurements": [
            {
                "name": measurement.name,
                "text": measurement.text,
                "open": measurement.open,
                "tags": dict(measurement.tags),
                "fields": {
                    name: {"type": field.type, "unit": field.unit, "text": field.text}
                    for name, field in measurement.fields.items()
                },
            }
            for measurement in measurements
        ],
    }


def _option(declared: Declared) -> dict[str, Any]:
    default = {} if declared.default is None else {"default": declared.default}
    more: dict[str, Any] = {"deprecated": declared.deprecated} if declared.deprecated else {}
    return {
        "name": declared.name,
        "type": declared.type,
        "required": declared.required,
        **default,
        "text": declared.text,
        **more,
        **dict.fromkeys(declared.effects, True),
    }


def _page(document: dict[str, Any]) -> Iterator[str]:
    yield _title(f"{document['kind']}.{document['name']}") + f" (from {document['from']})"
    yield ""
    yield document["text"] or "It says nothing about itself."
    options, measurements = document["options"], document["measurements"]
    yield ""
    yield _title("Options") if options else "It has no options of its own."
    rows = [(o["name"], o["type"], _default(o), _effect(o)) for o in options]
    yield from _table([("option", "type", "default", "meaning"), *rows] if rows else [])
    for measurement in measurements:
        yield ""
        more = " (and further fields and tags)" if measurement["open"] else ""
        yield _title(f"Measurement {measurement['name']}") + more
        yield from textwrap.wrap(measurement["text"], 118, initial_indent="  ", subsequent_indent="  ")
        yield from _table([(f"tag {name}", "", "", text) for name, text in measurement["tags"].items()])
        yield from _table(
            [(name, field["type"], field["unit"], field["text"]) for name, field in measurement["fields"].items()]
        )


def _title(text: str) -> str:
    return coloured(text, "bold") if has_colours(sys.stdout) else text


def _default(option: dict[str, Any]) -> str:
    if option["required"]:
        return "(required)"
    return toml_value(option["default"]) if "default" in option else ""


def _effect(option: dict[str, Any]) -> str:
    text: str = option["text"]
    return f"{text} (deprecated: use {option['deprecated']})" if "deprecated" in option else text


def _table(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [min(max((len(row[column]) for row in rows), default=0), 40) for column in range(3)]
    for row in rows:
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False) if width)
        yield f"  {cells}  {row[3]}".rstrip()


def _error(message: str) -> int:
    print(f"E! {redact(message)}", file=sys.stderr)
    return 1
