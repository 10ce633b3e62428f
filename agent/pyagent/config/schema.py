"""A JSON Schema of the configuration, for editors: completion, texts and mistakes while one types."""

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from pyagent import __version__
from pyagent.api import ConfigError, Duration, Secret, Size
from pyagent.config.catalog import Catalog, about
from pyagent.config.declared import COMMON, OptionSpec, declared_options, table_type
from pyagent.config.plan import AgentSettings
from pyagent.plugin_kinds import TABLES

__all__ = ["json_schema"]

_REFERENCE = "#/$defs/"
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_TAGS = {"type": "object", "additionalProperties": {"type": "string"}}


def json_schema(catalog: Catalog) -> dict[str, Any]:
    """Draft 2020-12. Of the plugins on this host; one whose library is missing may have any options."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {
        "agent": {**_table([AgentSettings]), "description": "Settings of the agent itself."},
        "global_tags": {**_TAGS, "description": "Tags that every metric gets."},
        "tags": {**_TAGS, "description": "The old name of global_tags.", "deprecated": True},
    }
    for kind in dict.fromkeys(TABLES.values()):
        plugins: dict[str, Any] = {}
        for entry in catalog.entries(kind):
            try:
                text = about(catalog.load(entry)).partition("\n\n")[0].replace("\n", " ")
                table = _table([*catalog.option_types(entry), *COMMON[kind]])
            except ConfigError as error:
                text, table = str(error), {"type": "object"}
            definitions[entry.label] = table | {"description": text}
            reference = {"$ref": _REFERENCE + entry.label}
            plugins[entry.name] = {"type": "array", "items": reference, "description": text}
            if kind in ("inputs", "outputs"):
                # [inputs.mem] is as good as [[inputs.mem]].
                plugins[entry.name] = {"description": text, "anyOf": [{"type": "array", "items": reference}, reference]}
        properties[kind] = {"type": "object", "properties": plugins, "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Configuration of pyagent {__version__}",
        "type": "object",
        "properties": properties,
        "$defs": definitions,
    }


def _table(kinds: Iterable[type[msgspec.Struct]]) -> dict[str, Any]:
    """A table that holds the options of all these types. The first that declares one has the say."""
    properties: dict[str, Any] = {}
    required = []
    for kind in kinds:
        for option in declared_options(kind):
            if option.name in properties:
                continue
            properties[option.name] = _option(option)
            for old in option.renamed_from:
                properties.setdefault(old, _old(option))
            if option.required:
                required.append(option.name)
    table: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return table | ({"required": required} if required else {})


def _option(option: OptionSpec) -> dict[str, Any]:
    found = dict(_type(option.annotation))
    if option.text:
        found["description"] = option.text
    if option.default is not None:
        found["default"] = option.default
    if option.deprecated:
        found |= {"deprecated": True, "description": f"{option.text} (deprecated: use {option.deprecated})"}
    if option.no_effect:
        found["description"] = f"without effect: {option.text}"
    for name, word in _BOUNDS.items():
        # Of a duration and a size only what is no text can be compared, and a duration's bound may be in another unit.
        if isinstance(bound := option.limits.get(name), int | float) and option.annotation is not Duration:
            found[word] = bound
    return found


def _old(option: OptionSpec) -> dict[str, Any]:
    return {**_type(option.annotation), "deprecated": True, "description": f"the old name of {option.name}"}


def _type(annotation: Any) -> Mapping[str, Any]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if table_type(annotation) is None:
        return msgspec.json.schema(annotation, schema_hook=_own_type)
    # msgspec cannot say what the default of a secret is, so tables inside of options are written here.
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list:
        return {"type": "array", "items": _type(arguments[0])}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type(item) for item in arguments if item is not type(None)]}
    return _table([annotation])


def _own_type(annotation: type) -> dict[str, Any]:
    if annotation is Duration:
        return {"type": ["string", "number"], "examples": ["10s", "1m30s", "250ms"]}
    if annotation is Size:
        return {"type": ["string", "integer"], "examples": ["10MB", "1MiB", 4096]}
    if annotation is Secret:
        return {"type": "string", "examples": ["$NAME", "@{store:key}"]}
    raise NotImplementedError(f"an option cannot be of type {annotation!r}")
