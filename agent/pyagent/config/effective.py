"""What a plan means, value by value, and where each comes from. Secrets are masked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyagent.api import redact
from pyagent.api.masking import secret_values
from pyagent.config.declared import COMMON, declared_options, plain
from pyagent.config.plan import Plan, PluginKind, PluginPlan
from pyagent.config.toml import Document
from pyagent.config.toml_text import toml_key, toml_value
from pyagent.kit.foreign_settings import mask_settings
from pyagent.plugin_kinds import RUNNING, TABLES

__all__ = ["Effective", "Table", "Value", "as_json", "as_toml", "effective", "plugin_sources"]

DEFAULT = "default"
_PASSWORD = re.compile(r"(?i)((?:password|passwd|pwd|token|secret)\s*=\s*)('[^']*'|[^\s&;,]+)")


@dataclass(frozen=True, slots=True)
class Value:
    value: Any
    """As TOML has it; None where nothing is set."""
    source: str
    """FILE:LINE, or `default`."""


@dataclass(frozen=True, slots=True)
class Table:
    """`[agent]`, `[global_tags]` or one `[[kind.name]]`."""

    label: str
    source: str = ""
    origin: str = ""
    """Of a plugin: builtin, entry point or file."""
    values: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effective:
    sources: tuple[str, ...]
    agent: Table
    global_tags: Table
    plugins: dict[PluginKind, list[Table]]


def effective(plan: Plan, documents: Sequence[Document], environ: Mapping[str, str]) -> Effective:
    """All values of a plan. `documents`: what it was made of; `environ`: where secrets may have come from."""
    mask = _Mask(environ)
    agent = Table("agent")
    for option in declared_options(type(plan.agent)):
        value = plain(getattr(plan.agent, option.attribute))
        agent.values[option.name] = Value(mask(value), _agent_source(documents, option.name))
    tags = Table("global_tags")
    for name, value in sorted(plan.global_tags.items()):
        source = next((d.at((key, name)) for d in reversed(documents) for key in _tag_tables(d, name)), DEFAULT)
        from_host = name == "host" and not plan.agent.omit_hostname
        tags.values[name] = Value(mask(value), agent.values["hostname"].source if from_host else source)
    tables = [table for document in documents for table in _tables(document)]
    plugins: dict[PluginKind, list[Table]] = {}
    for kind in RUNNING:
        plans: Sequence[PluginPlan] = getattr(plan, kind)
        plugins[kind] = [_plugin(entry, _table_of(entry, tables), agent, mask) for entry in plans]
    return Effective(tuple(plan.sources), agent, tags, plugins)


@dataclass(frozen=True, slots=True)
class _Written:
    """A plugin's table as it stands in a source."""

    kind: PluginKind
    name: str
    document: Document
    path: tuple[str | int, ...]
    table: Mapping[str, Any]


def _plugin(plan: PluginPlan, written: _Written | None, agent: Table, mask: "_Mask") -> Table:
    result = Table(plan.label, plan.location, plan.origin)
    given: Mapping[str, Any] = written.table if written else {}
    for option in (option for kind in COMMON[plan.kind] for option in declared_options(kind)):
        if written and option.name in given:
            source = written.document.at((*written.path, option.name))
            value = getattr(plan, option.attribute, given[option.name])
            result.values[option.name] = Value(mask(plain(_tables_only(value))), source)
        elif option.name in _RESOLVED and hasattr(plan, option.attribute):
            source = agent.values[option.name].source if option.name in agent.values else DEFAULT
            result.values[option.name] = Value(mask(plain(getattr(plan, option.attribute))), source)
    formats = (getattr(plan, name, None) for name in ("parser", "serializer"))
    for options in (plan.options, *[one.options for one in formats if one is not None]):
        for option in declared_options(type(options)):
            source = plan.option_locations.get(option.attribute, DEFAULT)
            if not option.offered and source == DEFAULT:
                continue
            value = plain(getattr(options, option.attribute))
            if option.holds_secrets:
                mask_settings({option.name: value})
            result.values[option.name] = Value(mask(value), source)
    return result


_RESOLVED = frozenset(
    (
        "interval",
        "precision",
        "collection_jitter",
        "collection_offset",
        "flush_interval",
        "flush_jitter",
        "metric_batch_size",
        "metric_buffer_limit",
        "period",
        "delay",
        "grace",
        "drop_original",
        "order",
    )
)
"""Common options that always mean something, given or not."""


def _tables_only(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _agent_source(documents: Sequence[Document], name: str) -> str:
    for document in reversed(documents):
        table = document.data.get("agent", {})
        for key in table if isinstance(table, dict) else ():
            if key == name or key.replace("_", "").lower() == name.replace("_", ""):
                return document.at(("agent", key))
    return DEFAULT


def _tag_tables(document: Document, name: str) -> Iterator[str]:
    return (key for key in ("global_tags", "tags") if name in document.data.get(key, {}))


def _tables(document: Document) -> Iterator[_Written]:
    for key, value in document.data.items():
        if key in ("agent", "global_tags", "tags", "secretstores") or not isinstance(value, dict):
            continue
        if key not in TABLES:
            yield _Written("inputs", key, document, (key,), value)
            continue
        for name, tables in value.items():
            if isinstance(tables, dict):
                yield _Written(TABLES[key], name, document, (key, name), tables)
            for index, table in enumerate(tables if isinstance(tables, list) else ()):
                yield _Written(TABLES[key], name, document, (key, name, index), table)


def _table_of(plan: PluginPlan, tables: list[_Written]) -> _Written | None:
    """The table that a plan was made of. It is taken out: two may stand on one line."""
    for written in tables:
        if (written.kind, written.name) == (plan.kind, plan.name) and written.document.at(
            written.path
        ) == plan.location:
            tables.remove(written)
            return written
    return None


class _Mask:
    """Hides what is secret by its type, by where it came from, or by how it looks."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._hidden = sorted(set(secret_values(environ)), key=len, reverse=True)

    def __call__(self, value: Any) -> Any:
        match value:
            case str():
                for hidden in self._hidden:
                    value = value.replace(hidden, "***")
                return _PASSWORD.sub(r"\1***", redact(value))
            case int() | float() if redact(str(value)) == "***":
                return "***"
            case dict():
                return {key: self(item) for key, item in value.items()}
            case list():
                return [self(item) for item in value]
        return value


def as_json(found: Effective) -> dict[str, Any]:
    """For programs: `{"agent": {"interval": {"value": "10s", "from": "telegraf.conf:2"}}, "inputs": [...], ...}`."""

    def values(table: Table) -> dict[str, Any]:
        return {name: {"value": item.value, "from": item.source} for name, item in table.values.items()}

    plugins: dict[str, Any] = {
        kind: [
            {
                "name": table.label.partition(".")[2],
                "from": table.source,
                "origin": table.origin,
                "options": values(table),
            }
            for table in tables
        ]
        for kind, tables in found.plugins.items()
    }
    return {
        "sources": list(found.sources),
        "agent": values(found.agent),
        "global_tags": values(found.global_tags),
        **plugins,
    }


def as_toml(found: Effective) -> str:
    """For people: the configuration with all its values, and behind each where it comes from."""
    parts = ["\n".join(_lines("[global_tags]", found.global_tags)), "\n".join(_lines("[agent]", found.agent))]
    for tables in found.plugins.values():
        for table in tables:
            parts.append("\n".join(_lines(f"[[{table.label.partition('::')[0]}]]", table)))
    return "\n\n".join(parts)


def _lines(header: str, table: Table) -> Iterator[str]:
    rows = [(header, table.source)] if table.source else []
    for name, item in table.values.items():
        if item.value is not None:
            rows.append((f"  {toml_key(name)} = {toml_value(item.value)}", item.source))
    if not table.source:
        yield header
    width = min(max((len(text) for text, _ in rows), default=0), 60)
    yield from (f"{text:<{width}}  # {source}" for text, source in rows)


def plugin_sources(plans: Sequence[PluginPlan]) -> str:
    """A table of plugins and the sources that name them, as --print-plugin-config-source asks for; empty without any."""
    sources: dict[str, list[str]] = {}
    for plan in plans:
        where = plan.location.rpartition(":")[0]
        if where not in sources.setdefault(plan.name, []):
            sources[plan.name].append(where)
    if not sources:
        return ""
    rows = [("NAME", "SOURCE(S)"), *((name, ", ".join(where)) for name, where in sorted(sources.items()))]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    rule = f"+-{'-' * first}-+-{'-' * second}-+\n"
    head, *body = (f"| {name:<{first}} | {where:<{second}} |\n" for name, where in rows)
    return rule + head + rule + "".join(body) + rule
