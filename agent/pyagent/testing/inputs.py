"""Running an input without an agent, and checking what it emits against what it declares."""

import asyncio
import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pyagent.api import FieldType, Input, LineOptions, Measurement, Metric, Parser, Plugin, Uint
from pyagent.config.data_format import create_parser, option_names, parser_plan, with_format
from pyagent.config.options import Policy, build_options, decode_values
from pyagent.config.plan import ParserPlan
from pyagent.config.registry import PluginRef, Registry
from pyagent.config.table_view import Diagnostics, TableView
from pyagent.config.toml import Document
from pyagent.lineprotocol import encode
from pyagent.pipeline.inputs.accumulator import InputAccumulator

__all__ = ["assert_declared", "gather", "lines", "make_input", "make_parser", "run_input"]

_TYPE_NAMES: dict[type, FieldType] = {bool: "bool", int: "int", Uint: "uint", float: "float", str: "str"}


def run_input(plugin: type[Input[Any]], options: Mapping[str, Any] | None = None) -> list[Metric]:
    """Make an input from its table of options, gather once, stop it, and return the metrics.

    Raises what the plugin raises, ConfigError for options that it does not take, and AssertionError where a field or a
    metric had to be dropped. Not for use inside a running loop: there, `await gather(make_input(...))`.
    """

    async def run() -> list[Metric]:
        instance = make_input(plugin, options)
        try:
            return await gather(instance)
        finally:
            await instance.stop()

    return asyncio.run(run())


def make_input(
    plugin: type[Input[Any]], options: Mapping[str, Any] | None = None, log: logging.Logger | None = None
) -> Input[Any]:
    """Make an input from a table as it stands in the configuration. Raises ConfigError."""
    name, (made, found, view) = plugin_name(plugin), read_table(plugin, options)
    log = log or logging.getLogger(name)
    parser, _ = parser_plan(found, view, Policy())
    return plugin(made, log) if parser is None else plugin(made, log, partial(create_parser, parser, name, log))


def plugin_name(plugin: type[Plugin[Any]]) -> str:
    """Its module's name; that of a drop-in file is not the file's."""
    return re.sub(r"^pyagent_plugin_(.+)_[0-9a-f]{12}$", r"\1", plugin.__module__.rpartition(".")[2])


def make_options(plugin: type[Plugin[Any]], options: Mapping[str, Any] | None = None) -> Any:
    """A plugin's options from a table as it stands in the configuration. Raises ConfigError."""
    made, _, _ = read_table(plugin, options)
    return made


def read_table(plugin: type[Plugin[Any]], options: Mapping[str, Any] | None) -> tuple[Any, PluginRef, TableView]:
    """A plugin's options from a table, as the engine reads it: with secrets, effects, and the same messages; and what the
    options of its `data_format` are read from."""
    table = dict(options or {})
    view = TableView(
        document=Document("options", table, {}),
        path=(),
        label=plugin_name(plugin),
        table=table,
        diagnostics=Diagnostics(),
    )
    found = with_format(Registry(), PluginRef(plugin, "builtin"), view)
    values, _ = decode_values(view, plugin.options_type, ignored=frozenset().union(*map(option_names, found.formats())))
    return build_options(view, plugin.options_type, values), found, view


def make_parser(
    plugin: type[Parser[Any]], options: Mapping[str, Any] | None = None, *, measurement: str = "test"
) -> Parser[Any]:
    """Make a parser from a table of its options. Raises ConfigError."""
    name = plugin_name(plugin)
    plan = ParserPlan(data_format=name, plugin=plugin, options=make_options(plugin, options))
    return create_parser(plan, measurement, logging.getLogger(name))


async def gather(plugin: Input[Any]) -> list[Metric]:
    """Gather once, a plain `def` in a thread as the engine does, and return the metrics in the order they were added."""
    problems: list[str] = []
    acc = InputAccumulator(plugin.measurements, report=problems.append)
    returned: object
    if inspect.iscoroutinefunction(plugin.gather):
        returned = await plugin.gather(acc)
    else:
        returned = await asyncio.to_thread(plugin.gather, acc)
    if returned is not None:
        problems.append(f"gather returned a {type(returned).__name__}, which is not used; add metrics by acc.add(...)")
    if problems:
        raise AssertionError("; ".join(problems))
    return acc.drain()


def assert_declared(plugin: type[Input[Any]] | Input[Any], metrics: Sequence[Metric]) -> None:
    """Check that there are metrics, and that every measurement, tag, field and field type is one that `plugin` declares.

    An open measurement may have more tags and fields than it names. Raises AssertionError with all that is wrong.
    """
    if not metrics:
        raise AssertionError("there are no metrics")
    if problems := undeclared(plugin, metrics):
        raise AssertionError("not as declared: " + "; ".join(problems))


def undeclared(plugin: type[Input[Any]] | Input[Any], metrics: Sequence[Metric]) -> list[str]:
    """What of the metrics the plugin does not declare, one text for each kind of it."""
    declared: dict[str, list[Measurement]] = {}
    for measurement in plugin.measurements:
        declared.setdefault(measurement.name, []).append(measurement)
    found = (problem for metric in metrics for problem in _undeclared(metric, declared.get(metric.name, [])))
    return list(dict.fromkeys(found))


def _undeclared(metric: Metric, declared: Sequence[Measurement]) -> list[str]:
    if not declared:
        return [f"the measurement {metric.name!r} is unknown"]
    tags = {name for measurement in declared for name in measurement.tags}
    types = {name: field.type for measurement in declared for name, field in measurement.fields.items()}
    is_open = any(measurement.open for measurement in declared)
    problems = []
    if not is_open:
        problems += [f"{metric.name!r} has an unknown tag {name!r}" for name in metric.tags if name not in tags]
        problems += [f"{metric.name!r} has an unknown field {name!r}" for name in metric.fields if name not in types]
    for name, value in metric.fields.items():
        if name in types and _TYPE_NAMES[type(value)] != types[name]:
            given = _TYPE_NAMES[type(value)]
            problems.append(f"the field {name!r} of {metric.name!r} is {given} and declared {types[name]}")
    return problems


def lines(metrics: Sequence[Metric]) -> list[str]:
    """Metrics as sorted line protocol without times, fields sorted, unsigned integers with `u`: made for comparing.

    Raises AssertionError for a metric that cannot be encoded.
    """
    encoded = encode(metrics, LineOptions(uint_support=True, sort_fields=True, omit_timestamp=True))
    if encoded.rejected:
        raise AssertionError("; ".join(f"{metric!r}: {reason}" for metric, reason in encoded.rejected))
    bounds = zip([0, *encoded.ends], encoded.ends, strict=False)
    return sorted(encoded.data[start : end - 1].decode("utf-8", "surrogateescape") for start, end in bounds)
