"""The parser behind an option `data_format`: found by name, its options from the same table (reference: telegraf 3.7)."""

import dataclasses
import logging
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import msgspec

from pyagent.api import ConfigError, Parser
from pyagent.config.annotations import about_of, fields_by_key, platform_names
from pyagent.config.options import Policy, build_options, decode_values
from pyagent.config.plan import ParserPlan, PluginKind
from pyagent.config.registry import Found, Registry, from_outside
from pyagent.config.section import Section

__all__ = ["create_parser", "data_format", "find_plugin", "option_names", "parser_plan", "with_parser"]

_MOST_METRICS = 1 << 30
"""Bytes of memory that the metrics of one text may take."""


def find_plugin(registry: Registry, kind: PluginKind, name: str, section: Section) -> Found:
    """The plugin of a table, and the parser that it wants. Raises PluginBroken and ConfigError, with the place."""
    found = _find(registry, kind, name, section)
    platforms = about_of(found.plugin).platforms
    if platforms and sys.platform not in platforms:
        section.warn(f"it is for {platform_names(platforms)}, and may not work here ({sys.platform})")
    return with_parser(registry, found, section)


def with_parser(registry: Registry, found: Found, section: Section) -> Found:
    """The plugin with the parser of its `data_format`, if its options say that it parses. Raises as `find_plugin`."""
    if not found.plugin.options_type.parses:
        return found
    parser = _find(registry, "parsers", data_format(found, section), section, "data_format")
    return dataclasses.replace(found, parser=parser)


def parser_plan(found: Found, section: Section, policy: Policy) -> tuple[ParserPlan | None, Mapping[str, str]]:
    """The parser of a plugin that parses, and the places of its options. Raises ConfigError."""
    if found.parser is None:
        return None, {}
    kind = found.parser.plugin.options_type
    values, places = decode_values(section, kind, ignored=section.table, policy=policy)
    plugin = cast("type[Parser[Any]]", found.parser.plugin)
    name = data_format(found, section)
    options = from_outside(
        found.parser,
        lambda: build_options(section, kind, values),
        f"{section.location}: {section.label}: cannot read the options of parsers.{name}",
    )
    return ParserPlan(data_format=data_format(found, section), plugin=plugin, options=options), places


def create_parser(plan: ParserPlan, measurement: str, log: logging.Logger) -> Parser[Any]:
    """Make the parser that the plan describes, for a plugin whose metrics are called `measurement`. Raises ConfigError."""
    from pyagent.lineprotocol import parse

    return plan.plugin(plan.options, log, measurement=measurement, parse_lines=partial(parse, most=_MOST_METRICS))


def option_names(found: Found | None) -> frozenset[str]:
    """The options that a plugin has of its own, without its parser's; none for None."""
    return frozenset(fields_by_key(found.plugin.options_type)) if found else frozenset()


def data_format(found: Found, section: Section) -> str:
    """That of a plugin that parses: what its table says, else what it takes for granted."""
    given = section.table.get("data_format")
    if isinstance(given, str) and given:
        return given
    fields = msgspec.structs.fields(found.plugin.options_type)
    return str(next(info.default for info in fields if info.name == "data_format"))


def _find(registry: Registry, kind: PluginKind, name: str, section: Section, *keys: str) -> Found:
    try:
        return registry.find(kind, name)
    except ConfigError as error:
        raise type(error)(str(section.error(str(error), *keys))) from None
