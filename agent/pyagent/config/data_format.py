"""The parser or serializer behind an option `data_format`: found by name, its options from the same table (reference:
telegraf 3.7)."""

import dataclasses
import logging
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import msgspec

from pyagent.api import ConfigError, Options, Parser, Serializer
from pyagent.config.annotations import about_of, fields_by_key, platform_names
from pyagent.config.options import Policy, build_options, decode_values
from pyagent.config.plan import ParserPlan, PluginKind, SerializerPlan
from pyagent.config.registry import PluginRef, Registry, from_outside
from pyagent.config.table_view import TableView

__all__ = [
    "create_parser",
    "create_serializer",
    "data_format",
    "find_plugin",
    "format_kind",
    "option_names",
    "parser_plan",
    "serializer_plan",
    "with_format",
]

_MOST_METRICS = 1 << 30
"""Bytes of memory that the metrics of one text may take."""


def format_kind(options: type[Options]) -> PluginKind | None:
    """The kind of plugin that a `data_format` in these options names (parsers where it names both); None if they have none."""
    if options.parses:
        return "parsers"
    return "serializers" if options.serializes else None


def find_plugin(registry: Registry, kind: PluginKind, name: str, view: TableView) -> PluginRef:
    """The plugin of a table, and the format that it wants. Raises PluginBroken and ConfigError, with the place."""
    found = _find(registry, kind, name, view)
    platforms = about_of(found.plugin).platforms
    if platforms and sys.platform not in platforms:
        view.warn(f"it is for {platform_names(platforms)}, and may not work here ({sys.platform})")
    return with_format(registry, found, view)


def with_format(registry: Registry, found: PluginRef, view: TableView) -> PluginRef:
    """The plugin with the parser or serializer of its `data_format`, if its options have one. Raises as `find_plugin`."""
    kind = format_kind(found.plugin.options_type)
    if kind is None:
        return found
    name = data_format(found, view)
    both = kind == "parsers" and found.plugin.options_type.serializes
    return dataclasses.replace(
        found,
        format=_find(registry, kind, name, view, "data_format"),
        serializer=_find(registry, "serializers", name, view, "data_format") if both else None,
    )


def parser_plan(found: PluginRef, view: TableView, policy: Policy) -> tuple[ParserPlan | None, Mapping[str, str]]:
    """The parser of a plugin that parses, and the places of its options. Raises ConfigError."""
    if found.format is None:
        return None, {}
    options, places = _options(found.format, "parsers", found, view, policy)
    plugin = cast("type[Parser[Any]]", found.format.plugin)
    return ParserPlan(data_format=data_format(found, view), plugin=plugin, options=options), places


def serializer_plan(
    found: PluginRef, view: TableView, policy: Policy
) -> tuple[SerializerPlan | None, Mapping[str, str]]:
    """The serializer of an output or a processor that has one, and the places of its options. Raises ConfigError."""
    wanted = found.serializer or found.format
    if wanted is None:
        return None, {}
    options, places = _options(wanted, "serializers", found, view, policy)
    plugin, origin = cast("type[Serializer[Any]]", wanted.plugin), wanted.origin
    name = data_format(found, view)
    return SerializerPlan(data_format=name, plugin=plugin, options=options, origin=origin), places


def _options(
    format_found: PluginRef, kind: PluginKind, found: PluginRef, view: TableView, policy: Policy
) -> tuple[Options, Mapping[str, str]]:
    options_type = format_found.plugin.options_type
    values, places = decode_values(view, options_type, ignored=view.table, policy=policy)
    options = from_outside(
        format_found,
        lambda: build_options(view, options_type, values),
        f"{view.location}: {view.label}: cannot read the options of {kind}.{data_format(found, view)}",
    )
    return options, places


def create_parser(plan: ParserPlan, measurement: str, log: logging.Logger) -> Parser[Any]:
    """Make the parser that the plan describes, for a plugin whose metrics are called `measurement`. Raises ConfigError."""
    from pyagent.lineprotocol import parse

    return plan.plugin(
        plan.options, log, measurement=measurement, parse_lines=partial(parse, apart=True, most=_MOST_METRICS)
    )


def create_serializer(plan: SerializerPlan, log: logging.Logger) -> Serializer[Any]:
    """Make the serializer that the plan describes. Raises ConfigError."""
    from pyagent.lineprotocol import encode

    return plan.plugin(plan.options, log, encode_lines=encode)


def option_names(found: PluginRef | None) -> frozenset[str]:
    """The options that a plugin has of its own, without its format's; none for None."""
    return frozenset(fields_by_key(found.plugin.options_type)) if found else frozenset()


def data_format(found: PluginRef, view: TableView) -> str:
    """That of a plugin that has one: what its table says, else what it takes for granted."""
    given = view.table.get("data_format")
    if isinstance(given, str) and given:
        return given
    fields = msgspec.structs.fields(found.plugin.options_type)
    return str(next(info.default for info in fields if info.name == "data_format"))


def _find(registry: Registry, kind: PluginKind, name: str, view: TableView, *keys: str) -> PluginRef:
    try:
        return registry.find(kind, name)
    except ConfigError as error:
        raise type(error)(str(view.error(str(error), *keys)), option=keys[0] if keys else None) from None
