"""One `[[inputs.NAME]]`, `[[outputs.NAME]]` and so on as a plan (reference: telegraf 1.3 to 1.5)."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypedDict, cast
from urllib.parse import quote

from pyagent.api import Aggregator, Duration, Input, Options, Output, Processor
from pyagent.api.foreign import plain_text
from pyagent.config.annotations import extra_of, fields_by_key
from pyagent.config.common_options import (
    common_bool,
    common_count,
    common_duration,
    common_interval,
    common_table,
    common_text,
    has_no_effect,
)
from pyagent.config.data_format import data_format, format_kind, option_names, parser_plan, serializer_plan
from pyagent.config.filters import read_filters
from pyagent.config.options import Policy, build_options, decode_values
from pyagent.config.plan import (
    AgentSettings,
    AggregatorPlan,
    FilterOptions,
    InputPlan,
    Origin,
    OutputPlan,
    PluginKind,
    ProcessorPlan,
)
from pyagent.config.registry import PluginRef, from_outside
from pyagent.config.table_view import TableView
from pyagent.plugin_kinds import COMMON_KEYS

__all__ = ["PluginTable", "aggregator_plan", "input_plan", "output_plan", "processor_plan"]

_LOG_LEVELS = ("error", "warn", "info", "debug", "trace")
_STARTUP = {
    "inputs": ("error", "retry", "ignore", "probe"),
    "outputs": ("error", "retry", "ignore"),
}
"""Of the other kinds nothing is started."""
_SECOND, _MILLISECOND = Duration("1s"), Duration("1ms")


@dataclass(frozen=True, slots=True)
class PluginTable:
    """A plugin's table while it waits for the settings of all sources."""

    kind: PluginKind
    name: str
    view: TableView
    at_source: AgentSettings
    """The settings that hold at its source: Telegraf takes an output's limits from there."""
    policy: Policy


class _Common(TypedDict):
    """What the plans of all kinds have in common."""

    name: str
    alias: str
    options: Options
    location: str
    option_locations: Mapping[str, str]
    origin: Origin
    log_level: str | None
    name_override: str
    name_prefix: str
    name_suffix: str
    filters: FilterOptions
    always_include_local_tags: bool
    always_include_global_tags: bool
    startup_error_behavior: str


def input_plan(entry: PluginTable, found: PluginRef, settings: AgentSettings, seen: Counter[str]) -> InputPlan:
    """The plan of an input. `seen` counts identities, so that two equal tables do not have one. Raises ConfigError."""
    view = entry.view
    interval = common_interval(view, "interval") or settings.interval
    jitter = common_duration(view, "collection_jitter")
    # Below 0 is as good as 0, as in [agent].
    precision = max(common_duration(view, "precision", negative=True) or Duration(0), Duration(0))
    schedule: dict[str, Any] = {
        "interval": interval,
        "precision": precision or _precision(settings.precision, interval),
        "service_precision": precision,
        "collection_jitter": settings.collection_jitter if jitter is None else jitter,
        "collection_offset": common_duration(view, "collection_offset") or settings.collection_offset,
        "round_interval": settings.round_interval,
    }
    parser, places = parser_plan(found, view, entry.policy)
    common = _common(entry, found)
    common["option_locations"] = {**places, **common["option_locations"]}
    plugin = cast("type[Input[Any]]", found.plugin)
    files = _states(plugin.read_at_start(common["options"])) if found.origin == "builtin" else []
    return InputPlan(
        kind="inputs",
        plugin=plugin,
        identity=_identity(entry, found, {**schedule, "files": files} if files else schedule, seen),
        tags=common_table(view, "tags"),
        parser=parser,
        **schedule,
        **common,
    )


def output_plan(entry: PluginTable, found: PluginRef, settings: AgentSettings, seen: Counter[str]) -> OutputPlan:
    """The plan of an output. `seen` counts identities and queues. Raises ConfigError."""
    view, at_source = entry.view, entry.at_source
    flushing: dict[str, Any] = {
        "flush_interval": common_interval(view, "flush_interval") or settings.flush_interval,
        "flush_jitter": common_duration(view, "flush_jitter") or settings.flush_jitter,
        "metric_batch_size": _positive(view, "metric_batch_size", at_source.metric_batch_size),
        "metric_buffer_limit": _positive(view, "metric_buffer_limit", at_source.metric_buffer_limit),
        "on_disk": at_source.buffer_strategy.startswith("disk"),
        "buffer_directory": at_source.buffer_directory,
        "buffer_disk_sync": at_source.buffer_disk_sync,
    }
    serializer, places = serializer_plan(found, view, entry.policy)
    common = _common(entry, found)
    common["option_locations"] = {**places, **common["option_locations"]}
    return OutputPlan(
        kind="outputs",
        plugin=cast("type[Output[Any]]", found.plugin),
        identity=_identity(entry, found, flushing, seen),
        queue_id=_queue_id(entry, common["alias"], serializer.data_format if serializer else "", seen),
        serializer=serializer,
        **flushing,
        **common,
    )


def processor_plan(entry: PluginTable, found: PluginRef, seen: Counter[str]) -> ProcessorPlan:
    """The plan of a processor. Raises ConfigError."""
    order = entry.view.table.get("order", 0)
    if isinstance(order, bool) or not isinstance(order, int):
        raise entry.view.error(f"the option 'order' must be an integer, not {order!r}", "order")
    kind = format_kind(found.plugin.options_type)
    parser, of_parser = parser_plan(found, entry.view, entry.policy) if kind == "parsers" else (None, {})
    serializer, of_serializer = (
        serializer_plan(found, entry.view, entry.policy) if found.plugin.options_type.serializes else (None, {})
    )
    common = _common(entry, found)
    common["option_locations"] = {**of_parser, **of_serializer, **common["option_locations"]}
    return ProcessorPlan(
        kind="processors",
        plugin=cast("type[Processor[Any]]", found.plugin),
        identity=_identity(entry, found, {}, seen),
        order=order,
        parser=parser,
        serializer=serializer,
        **common,
    )


def aggregator_plan(
    entry: PluginTable, found: PluginRef, settings: AgentSettings, seen: Counter[str]
) -> AggregatorPlan:
    """The plan of an aggregator. Raises ConfigError."""
    view = entry.view
    delay = common_duration(view, "delay", negative=True)
    window: dict[str, Any] = {
        "period": common_interval(view, "period") or Duration("30s"),
        "delay": Duration("100ms") if delay is None else delay,
        "grace": common_duration(view, "grace", negative=True) or Duration(0),
        "precision": _precision(settings.precision, settings.interval),
        "round_interval": settings.round_interval,
    }
    return AggregatorPlan(
        kind="aggregators",
        plugin=cast("type[Aggregator[Any]]", found.plugin),
        identity=_identity(entry, found, window, seen),
        drop_original=common_bool(view, "drop_original"),
        tags=common_table(view, "tags"),
        **window,
        **_common(entry, found),
    )


def _common(entry: PluginTable, found: PluginRef) -> _Common:
    kind, view, at_source = entry.kind, entry.view, entry.at_source
    # A key is unknown where the plugin and its format both do not know it.
    others = frozenset().union(*map(option_names, found.formats()))
    values, places = decode_values(view, found.plugin.options_type, ignored=COMMON_KEYS | others, policy=entry.policy)
    own = option_names(found) | others
    for key in view.table:
        if key not in own and has_no_effect(kind, key):
            view.warn(f"the option {key!r} has no effect here", key)
    startup = common_text(view, "startup_error_behavior") or "error"
    if startup not in _STARTUP.get(kind, (startup,)):
        choices = ", ".join(_STARTUP[kind])
        message = f"invalid 'startup_error_behavior' setting {startup!r}; use one of {choices}"
        raise view.error(message, "startup_error_behavior")

    def make() -> tuple[Options, list[tuple[str, str]]]:
        options = build_options(view, found.plugin.options_type, values)
        # It may be an option's name.
        remarks = options.remarks() if callable(options.remarks) else ()
        return options, [(plain_text(name), plain_text(text)) for name, text in remarks]

    options, remarks = from_outside(found, make, f"{view.location}: {view.label}: cannot read its options")
    for name, text in remarks:
        view.warn(f"the option {name!r} {text}", name)
    return _Common(
        name=entry.name,
        alias=common_text(view, "alias"),
        options=options,
        location=view.location,
        option_locations=places,
        # External code is treated as such also where only the format is.
        origin=found.format.origin if found.format and found.origin == "builtin" else found.origin,
        log_level=_log_level(view, found),
        name_override=common_text(view, "name_override"),
        name_prefix=common_text(view, "name_prefix"),
        name_suffix=common_text(view, "name_suffix"),
        filters=read_filters(view),
        always_include_local_tags=at_source.always_include_local_tags,
        always_include_global_tags=at_source.always_include_global_tags,
        startup_error_behavior=startup,
    )


def _log_level(view: TableView, found: PluginRef) -> str | None:
    level = common_text(view, "log_level")
    if not level or (level.lower() in _LOG_LEVELS and level in (level.lower(), level.upper())):
        return level.lower() or None
    also = f", also for {format_kind(found.plugin.options_type)}.{data_format(found, view)}" if found.format else ""
    choices = ", ".join(_LOG_LEVELS)
    view.complain(f"invalid log level {level!r} is ignored{also}; use one of {choices}", "log_level")
    return None


def _precision(agent: Duration, interval: Duration) -> Duration:
    if agent > 0:
        return agent
    return _SECOND if interval >= _SECOND else _MILLISECOND


def _positive(view: TableView, key: str, default: int) -> int:
    value = common_count(view, key)
    return value if value is not None and value > 0 else default


def _identity(entry: PluginTable, found: PluginRef, resolved: Mapping[str, Any], seen: Counter[str]) -> str:
    """Of all that the plugin is made of, what it has from `[agent]` included."""
    at_source = entry.at_source
    parts = [
        (entry.kind, entry.name, found.plugin.__module__, found.version),
        *([(one.plugin.__module__, one.version) for one in found.formats()] or ((),)),
        entry.view.table,
        dict(resolved),
        entry.policy.secrets.digest(entry.view.table),
        (at_source.always_include_local_tags, at_source.always_include_global_tags),
        _files_of(entry, found),
    ]
    text = json.dumps(parts, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _files_of(entry: PluginTable, found: PluginRef) -> list[tuple[int, ...]]:
    """What says that a file which a processor or an aggregator reads once, such as its script, is another one."""
    if entry.kind not in ("processors", "aggregators") or found.origin != "builtin":
        return []
    table = entry.view.table
    paths: list[str] = []
    for name, field in fields_by_key(found.plugin.options_type).items():
        if name in table and extra_of(field.type).get("reads_path"):
            paths += map(str, table[name] if isinstance(table[name], list) else [table[name]])
    return _states(paths)


def _states(paths: Iterable[str]) -> list[tuple[int, ...]]:
    states: list[tuple[int, ...]] = []
    for path in paths:
        with suppress(OSError, ValueError):
            state = os.stat(path)
            states.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return states


def _queue_id(entry: PluginTable, alias: str, data_format: str, seen: Counter[str]) -> str:
    """Made of what says where the metrics belong, never of URL, token or timeout: those change, and the queue stays.

    A queue holds one format: that of line protocol has no name, as queues had it before there were others."""
    place = [entry.view.table.get(key, "") for key in ("organization", "bucket")]
    parts = [alias] if alias else [entry.name, *(part if isinstance(part, str) else "" for part in place)]
    queue = ":".join(quote(part, safe="") for part in parts)
    if data_format not in ("", "influx"):
        queue += "=" + quote(data_format, safe="")
    seen[f"queue {queue}"] += 1
    ordinal = seen[f"queue {queue}"] - 1
    return f"{queue}:{ordinal}" if ordinal or not alias else queue
