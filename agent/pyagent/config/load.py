"""From texts to a plan."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from pyagent.api import ConfigError, Parser, Plugin, SecretStore, Serializer
from pyagent.api.foreign import describe, file_of, message_of
from pyagent.config.agent import AGENT_KEYS, AgentTable
from pyagent.config.common_options import without_mistyped
from pyagent.config.data_format import create_parser, create_serializer, find_plugin
from pyagent.config.filters import Selector, parse_selectors, read_labels
from pyagent.config.options import Policy, build_options, decode_values, suggest
from pyagent.config.plan import (
    AggregatorPlan,
    BrokenPlugin,
    InputPlan,
    OutputPlan,
    ParserPlan,
    Plan,
    PluginKind,
    PluginPlan,
    ProcessorPlan,
    SerializerPlan,
)
from pyagent.config.plugin_plans import PluginTable, aggregator_plan, input_plan, output_plan, processor_plan
from pyagent.config.policy import foreign_hosts
from pyagent.config.registry import PluginBroken, PluginRef, Registry, from_outside
from pyagent.config.secrets import Secrets
from pyagent.config.source import SourceText
from pyagent.config.table_view import Diagnostics, TableView, type_name
from pyagent.config.toml import Document, parse_document, printable_line
from pyagent.plugin_kinds import COMMON_KEYS, PLUGIN_KINDS, TABLES

__all__ = ["create_plugin", "has_plugins", "load_plan", "load_stores"]

_OTHER_TABLES = ("agent", "global_tags", "tags")
_MOST_MISTAKES = 20


def load_plan(
    sources: Sequence[SourceText],
    *,
    environ: Mapping[str, str],
    plugin_directories: Sequence[Path] = (),
    strict_env: bool = True,
    old_env: bool = False,
    testing: bool = False,
    partial: bool = False,
    select: Sequence[str] = (),
    input_filter: Sequence[str] = (),
    output_filter: Sequence[str] = (),
    package: str = "pyagent_plugins",
) -> Plan:
    """Make a plan of one or more texts. Raises ConfigError, in one line "FILE:LINE: ...".

    `strict_env`: environment references are replaced in string values only; `old_env`: `$$` is no escape in them.
    `testing`: no output is needed; `partial`: no input either. `select`: label selectors; `input_filter`,
    `output_filter`: the only names to keep.
    `package`: where the builtin plugins are. It imports the plugins that are named and may take seconds where one from
    outside hangs: call it in a thread from a running loop.
    """
    loader = _Loader(environ, Registry(plugin_directories, package), parse_selectors(select))
    loader.wanted = {"inputs": set(input_filter), "outputs": set(output_filter)}
    for source in sources:
        loader.read(parse_document(source, environ, strict_env=strict_env, old_env=old_env))
    needed = set() if partial else {"inputs"} if testing else {"inputs", "outputs"}
    return loader.plan(needed, tuple(source.where for source in sources))


def load_stores(
    sources: Sequence[SourceText], *, environ: Mapping[str, str], plugin_directories: Sequence[Path] = ()
) -> Mapping[str, SecretStore[Any]]:
    """The secret stores of a configuration, by id; nothing else of it is looked at. Raises ConfigError."""
    loader = _Loader(environ, Registry(plugin_directories), parse_selectors(()))
    for source in sources:
        loader.read(parse_document(source, environ))
    return loader.stores()


def has_plugins(document: Document) -> bool:
    """Whether any table of a text is a plugin's."""
    return any(value for key, value in document.data.items() if key not in _OTHER_TABLES)


def create_plugin(plan: PluginPlan, log: logging.Logger) -> Plugin[Any]:
    """Make the plugin that the plan describes. Raises ConfigError "FILE:LINE: ..." whatever went wrong in its `setup`.

    For an external plugin (`plan.is_external`) the caller may go on without it.
    """
    try:
        if isinstance(plan, InputPlan) and plan.parser is not None:
            return plan.plugin(plan.options, log, partial(_create_parser, plan, plan.parser, log))
        if isinstance(plan, OutputPlan) and plan.serializer is not None:
            return plan.plugin(plan.options, log, partial(_create_serializer, plan, plan.serializer, log))
        if isinstance(plan, ProcessorPlan) and (plan.parser or plan.serializer):
            parser = partial(_create_parser, plan, plan.parser, log) if plan.parser else None
            serializer = partial(_create_serializer, plan, plan.serializer, log) if plan.serializer else None
            return plan.plugin(plan.options, log, parser, serializer)
        return plan.plugin(plan.options, log)
    except _Located:
        raise
    except ConfigError as error:
        raise _located(plan, error) from None
    except BaseException as error:
        if not plan.is_external and not isinstance(error, Exception):
            raise
        reason = f"cannot set up: {describe(error, (file_of(plan.plugin),))}"
        raise ConfigError(printable_line(f"{plan.location}: {plan.label}: {reason}")) from error


def _meant(key: str) -> str | None:
    """The table that a name at the top was probably meant for."""
    word = key.lower().replace("-", "_")
    known = [*_OTHER_TABLES, *TABLES]
    return word if word in known else suggest(word, known)


def _top_level(key: str, value: object) -> str:
    """How what stands at the top, and is no table, is written."""
    if key in TABLES:
        return f"write [[{key}.NAME]]"
    kind, dot, name = key.partition(".")
    if dot and kind in TABLES:
        return f"write [[{kind}.{name}]], without quotes"
    if key in AGENT_KEYS:
        return "write it below [agent]"
    if meant := _meant(key):
        return f"write [{meant}]" if meant in _OTHER_TABLES else f"write [[{meant}.NAME]]"
    return f"write [[inputs.{key}]]" if isinstance(value, list) else "it belongs below a table, such as [agent]"


def _with_notes(mistakes: Sequence[ConfigError]) -> ConfigError:
    """The first of them; the others are its notes, as a check names all."""
    first, *others = mistakes
    for other in others[:_MOST_MISTAKES]:
        first.add_note(str(other))
    if len(others) > _MOST_MISTAKES:
        first.add_note("and more, which are told when these are mended")
    return first


def _first(broken: Sequence[BrokenPlugin], kind: PluginKind) -> str:
    return next((one.reason for one in broken if one.kind == kind), "")


class _Located(ConfigError):
    """Its message has the place already."""


def _located(plan: PluginPlan, error: ConfigError) -> ConfigError:
    return _Located(
        printable_line(f"{plan.locate(error.option)}: {plan.label}: {message_of(error)}"), option=error.option
    )


def _create_parser(plan: InputPlan | ProcessorPlan, parser: ParserPlan, log: logging.Logger) -> Parser[Any]:
    """Called by the plugin, in its setup or later."""
    try:
        return create_parser(parser, plan.name, log)
    except ConfigError as error:
        raise _located(plan, error) from None


def _create_serializer(
    plan: OutputPlan | ProcessorPlan, serializer: SerializerPlan, log: logging.Logger
) -> Serializer[Any]:
    """Called by the plugin, in its setup or later."""
    try:
        return create_serializer(serializer, log)
    except ConfigError as error:
        raise _located(plan, error) from None


class _Loader:
    def __init__(self, environ: Mapping[str, str], registry: Registry, selected: Selector) -> None:
        self.wanted: dict[str, set[str]] = {}
        self._diagnostics = Diagnostics()
        self._agent = AgentTable(self._diagnostics)
        self._secrets = Secrets()
        self._local_policy = Policy(secrets=self._secrets)
        self._remote_policy = Policy.for_remote(environ, self._secrets)
        self._registry = registry
        self._selected = selected
        self._entries: list[PluginTable] = []

    def read(self, document: Document) -> None:
        """Take over a source: its settings at once, its plugins when all sources are known. Raises ConfigError."""
        policy = self._remote_policy if document.remote else self._local_policy
        self._diagnostics.warnings.extend(document.warnings)
        self._agent.add(document, policy)
        settings = self._agent.settings()
        for kind, name, view in self._plugin_tables(document):
            if self._selected(read_labels(view)) and (not self.wanted.get(kind) or name in self.wanted[kind]):
                self._entries.append(PluginTable(kind, name, view, settings, policy))

    def plan(self, needed: set[str], sources: tuple[str, ...]) -> Plan:
        settings = self._agent.final()
        inputs: list[InputPlan] = []
        outputs: list[OutputPlan] = []
        processors: list[tuple[PluginTable, ProcessorPlan]] = []
        aggregators: list[AggregatorPlan] = []
        broken: list[tuple[PluginTable, str]] = []
        mistakes: list[ConfigError] = []
        seen: Counter[str] = Counter()
        self.stores()
        for entry in self._entries:
            if entry.kind == "secretstores":
                continue
            try:
                found = self._found(entry)
                if entry.kind == "inputs":
                    inputs.append(input_plan(entry, found, settings, seen))
                elif entry.kind == "outputs":
                    self._look_at_hosts(entry)
                    outputs.append(output_plan(entry, found, settings, seen))
                elif entry.kind == "processors":
                    processors.append((entry, processor_plan(entry, found, seen)))
                else:
                    aggregators.append(aggregator_plan(entry, found, settings, seen))
            except PluginBroken as error:
                broken.append((entry, str(error)))
            except ConfigError as error:
                mistakes.append(error)
                if len(mistakes) > _MOST_MISTAKES + 1:  # what each was meant for takes a while to find
                    break
        if mistakes:
            raise _with_notes(mistakes)
        left_out = tuple(self._left_out(entry, reason, processors) for entry, reason in broken)
        self._diagnostics.warnings.extend(self._registry.drop_ins.warnings)
        where = " and ".join(sources) or "no source"
        if not inputs and "inputs" in needed:
            raise ConfigError(
                _first(left_out, "inputs") or f"no inputs found in {where}; add one, such as [[inputs.mem]]"
            )
        if not outputs and "outputs" in needed:
            raise ConfigError(
                _first(left_out, "outputs") or f"no outputs found in {where}; add one, such as [[outputs.influxdb_v2]]"
            )
        return Plan(
            agent=settings,
            global_tags=dict(self._agent.global_tags),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            processors=tuple(plan for _, plan in sorted(processors, key=self._position)),
            aggregators=tuple(aggregators),
            broken=left_out,
            warnings=tuple(self._diagnostics.warnings),
            errors=tuple(self._diagnostics.errors),
            sources=sources,
        )

    def _found(self, entry: PluginTable) -> PluginRef:
        """Its plugin. A table at the top that no input is called as was probably meant to be another one."""
        view = entry.view
        try:
            return find_plugin(self._registry, entry.kind, entry.name, view)
        except PluginBroken:
            raise
        except ConfigError:
            if len(view.path) != 1 or not (meant := _meant(entry.name)):
                raise
        table = f"[{meant}]" if meant in _OTHER_TABLES else f"[[{meant}.{next(iter(view.table), 'NAME')}]]"
        raise view.error(f"undefined but requested input: {entry.name}; did you mean {table}?")

    def stores(self) -> Mapping[str, SecretStore[Any]]:
        """Those of all sources, opened."""
        for entry in self._entries:
            if entry.kind == "secretstores":
                self._open_store(entry)
        return self._secrets.stores

    def _open_store(self, entry: PluginTable) -> None:
        view = entry.view
        if entry.policy.restricted and (entry.name != "systemd" or {"path", "prefix"} & view.table.keys()):
            raise view.error(
                "a configuration from a URL may only use the store systemd, without path and prefix: what this host's "
                "administrator hands to this agent; set PYAGENT_ALLOW_REMOTE_EXEC=1 on this host to allow others"
            )
        found = find_plugin(self._registry, "secretstores", entry.name, view)
        kind = found.plugin.options_type
        values, _ = decode_values(view, kind, ignored=COMMON_KEYS | {"id"}, policy=entry.policy)
        where, log = f"{view.location}: {view.label}", logging.getLogger(f"secretstores.{entry.name}")
        options = from_outside(found, lambda: build_options(view, kind, values), f"{where}: cannot read its options")
        try:
            store = from_outside(found, lambda: found.plugin(options, log), f"{where}: cannot set up")
        except PluginBroken:
            raise
        except ConfigError as error:
            raise view.error(str(error), *([error.option] if error.option else [])) from None
        self._secrets.add(view, cast("SecretStore[Any]", store))

    def _look_at_hosts(self, entry: PluginTable) -> None:
        """Where an output of a text from a URL writes to another host, with whatever the text put into a metric."""
        document, allowed = entry.view.document, entry.policy.output_hosts
        if not document.remote:
            return
        hosts, own = foreign_hosts(entry.view.table, document.where, allowed)
        if hosts and allowed is not None:
            raise entry.view.error(
                f"writes to {', '.join(hosts)}, which is not allowed here; "
                "add it to PYAGENT_REMOTE_OUTPUT_HOSTS on this host to allow it"
            )
        if hosts:
            # Without the line, so that it is the same after an edit, and told once.
            self._diagnostics.warnings.append(
                f"{document.where}: {entry.view.label} writes to {', '.join(hosts)}, another host than the "
                f"configuration's ({own}); PYAGENT_REMOTE_OUTPUT_HOSTS says which are allowed"
            )

    def _left_out(
        self, entry: PluginTable, reason: str, processors: Sequence[tuple[PluginTable, ProcessorPlan]]
    ) -> BrokenPlugin:
        alias, order = entry.view.table.get("alias"), entry.view.table.get("order")
        place = (order if isinstance(order, int) else 0, *self._place(entry))
        return BrokenPlugin(
            kind=entry.kind,
            name=entry.name,
            alias=alias if isinstance(alias, str) else "",
            location=entry.view.location,
            reason=reason,
            before=sum(self._position(one) < place for one in processors) if entry.kind == "processors" else 0,
        )

    def _position(self, item: tuple[PluginTable, ProcessorPlan]) -> tuple[int, int, int]:
        """By `order`; those of the same by file and line."""
        entry, plan = item
        return plan.order, *self._place(entry)

    def _place(self, entry: PluginTable) -> tuple[int, int]:
        documents = list(dict.fromkeys(id(e.view.document) for e in self._entries))
        return documents.index(id(entry.view.document)), entry.view.line

    def _plugin_tables(self, document: Document) -> Iterator[tuple[PluginKind, str, TableView]]:
        for key, value in document.data.items():
            if key in _OTHER_TABLES:
                continue
            if not isinstance(value, dict):
                reason = f"invalid configuration: {key!r} is {type_name(value)} at the top, not a table"
                raise document.error((key,), f"{reason}; {_top_level(key, value)}", key)
            if key in TABLES:
                for name, tables in value.items():
                    for view in self._instances(document, (key, name), f"{TABLES[key]}.{name}", tables):
                        yield TABLES[key], name, view
            else:
                # Before there were kinds, an input was a table of its own name.
                yield "inputs", key, self._view(document, (key,), f"inputs.{key}", value)

    def _instances(self, document: Document, path: tuple[str, ...], label: str, tables: Any) -> Iterator[TableView]:
        if isinstance(tables, dict) and PLUGIN_KINDS[TABLES[path[0]]].single_table:
            yield self._view(document, path, label, tables)
            return
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            name = ".".join(path)
            raise document.error(
                path, f"unsupported format: {label} must be a table in double brackets; write [[{name}]]", path[-1]
            )
        for index, table in enumerate(tables):
            yield self._view(document, (*path, index), label, table)

    def _view(self, document: Document, path: tuple[str | int, ...], label: str, table: dict[str, Any]) -> TableView:
        view = TableView(document=document, path=path, label=label, table=table, diagnostics=self._diagnostics)
        return without_mistyped(view, "data_format")
