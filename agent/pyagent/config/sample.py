"""Sample configurations, made of the declarations of the options. What is commented out shows the default."""

import itertools
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from pyagent.api import ConfigError, Duration, Size
from pyagent.config.catalog import Catalog, CatalogEntry, about
from pyagent.config.data_format import format_kind
from pyagent.config.declared import OptionSpec, declared_options, table_type
from pyagent.config.plan import AgentSettings, PluginKind
from pyagent.config.toml_text import toml_value
from pyagent.plugin_kinds import SECTIONS

__all__ = ["plugin_sample", "sample"]

_ACTIVE: Mapping[str, tuple[str, ...]] = {
    "inputs": ("cpu", "disk", "diskio", "kernel", "mem", "processes", "swap", "system"),
    "outputs": ("influxdb_v2",),
}
"""What is not commented out where nobody chooses: Telegraf's inputs, those that are there, and an output for them."""

_HEAD = """\
# A configuration of pyagent, in Telegraf's TOML. What is commented out shows the default.
# In strings, $NAME and ${NAME:-default} stand for environment variables.
# Besides its own options every plugin takes filters: namepass, namedrop, tagpass, tagdrop, metricpass (an expression such as
# '"load" in fields && fields.load > 5.0'), fieldinclude, fieldexclude, taginclude, tagexclude.
"""
_GLOBAL_TAGS = """\
# Tags that every metric gets.
[global_tags]
  # room = "lab"
"""


def sample(catalog: Catalog, *, sections: Sequence[str] = (), chosen: Mapping[str, Sequence[str]] | None = None) -> str:
    """The sections named, or all: of a kind the plugins chosen, else all of them, most commented out.

    `chosen`: names by kind. Raises ConfigError for a section or a plugin that is not known.
    """
    chosen = {kind: names for kind, names in (chosen or {}).items() if names}
    for section in sections:
        if section not in SECTIONS:
            raise ConfigError(f"cannot print the section {section!r}: it is not one of {', '.join(SECTIONS)}")
    parts = [_HEAD]
    for section in SECTIONS:
        if sections and section not in sections:
            continue
        if section == "global_tags":
            parts.append(_GLOBAL_TAGS)
        elif section == "agent":
            parts.append("\n".join(["# Settings of the agent itself.", "[agent]", *_options(AgentSettings)]) + "\n")
        else:
            parts += _plugins(catalog, section, chosen.get(section, ()))  # type: ignore[arg-type]  # a kind it is
    return "\n".join(parts)


def _plugins(catalog: Catalog, kind: PluginKind, chosen: Sequence[str]) -> Iterator[str]:
    if chosen:
        for name in chosen:
            for entry in catalog.find(f"{kind}.{name}"):
                yield plugin_sample(catalog, entry)
        return
    for entry in catalog.entries(kind):
        try:
            text = plugin_sample(catalog, entry)
        except ConfigError as error:
            text = f"# {entry.label}: {error}\n"
        yield text if entry.name in _ACTIVE.get(kind, ()) else _commented(text)


def plugin_sample(catalog: Catalog, entry: CatalogEntry, given: Mapping[str, Any] | None = None) -> str:
    """One plugin's table. Raises ConfigError where it cannot be imported.

    `given`: values of options by name, which then are not commented out; those that all plugins have come first.
    """
    given = given or {}
    plugin = catalog.load(entry)
    text = about(plugin).partition("\n\n")[0].replace("\n", " ")
    head = [f"# {text}"] if text else []
    if entry.kind in ("parsers", "serializers"):
        user = "an input" if entry.kind == "parsers" else "an output"
        head.append(f'# Options of {user} with data_format = "{entry.name}".')
        return "\n".join([*head, *_options(plugin.options_type)]) + "\n"
    lines = [*head, f"[[{entry.label}]]"]
    if entry.kind == "secretstores":
        lines += ["  ## name of the store in references @{id:key} (string)", f'  id = "{entry.name}"']
    own = {option.name for option in declared_options(plugin.options_type)}
    lines += [f"  {name} = {toml_value(value)}" for name, value in given.items() if name not in own]
    lines += _options(plugin.options_type, entry.label, given)
    if kind := format_kind(plugin.options_type):
        lines.append(f"  ## further options are those of the format: pyagent plugins show {kind}.NAME")
    return "\n".join(lines) + "\n"


def _options(
    kind: type[msgspec.Struct], label: str = "", given: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[str]:
    """The lines of a table's options; those that are tables themselves come last, as TOML wants it."""
    declared = [option for option in declared_options(kind) if option.offered]
    plain, tables = (
        [o for o in declared if not table_type(o.annotation)],
        [(o, found) for o in declared if (found := table_type(o.annotation))],
    )
    for option in plain:
        value = _placeholder(option.annotation) if option.default is None else option.default
        is_active = option.required or option.name in given
        yield f"  ## {_meaning(option)}"
        yield f"  {'' if is_active else '# '}{option.name} = {toml_value(given.get(option.name, value))}"
    for option, (inner, several) in tables:
        name = f"{label}.{option.name}" if label else option.name
        yield f"  ## {_meaning(option)}"
        yield f"  # {f'[[{name}]]' if several else f'[{name}]'}"
        yield from (f"  # {line}" for line in _options(inner, name))


def _meaning(option: OptionSpec) -> str:
    kind = f"{option.type}, {option.bounds}" if option.bounds else option.type
    return f"{option.text} ({kind})" if option.text else kind


def _placeholder(annotation: Any) -> Any:
    """A value of the type, for an option without a default."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return arguments[0]
    if origin in (Union, types.UnionType):
        return _placeholder(next(item for item in arguments if item is not type(None)))
    values: dict[Any, Any] = {bool: False, int: 0, float: 0.0, Duration: "0s", Size: 0, list: [], dict: {}}
    return values.get(origin or annotation, "")


def _commented(text: str) -> str:
    """A table that is switched off as a whole: its own comments stay comments when it is switched on."""
    return "".join(itertools.chain.from_iterable(_comment(line) for line in text.splitlines(keepends=True)))


def _comment(line: str) -> Iterable[str]:
    return (line,) if line.startswith("# ") else ("# ", line)
