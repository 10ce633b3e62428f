"""Running an input without an agent, and checking what it emits against what it declares."""

import asyncio
import inspect
import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from pyagent.api import ConfigError, FieldType, FieldValue, Input, Measurement, Metric, Uint
from pyagent.api.options import decode_option
from pyagent.pipeline.accumulator import Accumulator

__all__ = ["assert_declared", "gather", "lines", "make_input", "run_input"]

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
    kind = plugin.options_type
    table = dict(options or {})
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    if unknown := sorted(table.keys() - known):
        raise ConfigError(f"{plugin.__name__} has no option {unknown[0]!r}; it has {sorted(known)}", option=unknown[0])
    try:
        converted = msgspec.convert(table, kind, dec_hook=decode_option)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from None
    return plugin(converted, log or logging.getLogger(plugin.__module__.rpartition(".")[2]))


async def gather(plugin: Input[Any]) -> list[Metric]:
    """Gather once, a plain `def` in a thread as the engine does, and return the metrics in the order they were added."""
    problems: list[str] = []
    acc = Accumulator(plugin.measurements, report=problems.append)
    if inspect.iscoroutinefunction(plugin.gather):
        await plugin.gather(acc)
    else:
        await asyncio.to_thread(plugin.gather, acc)
    if problems:
        raise AssertionError("; ".join(problems))
    return acc.drain()


def assert_declared(plugin: type[Input[Any]] | Input[Any], metrics: Sequence[Metric]) -> None:
    """Check that there are metrics, and that every measurement, tag, field and field type is one that `plugin` declares.

    An open measurement may have more tags and fields than it names. Raises AssertionError with all that is wrong.
    """
    if not metrics:
        raise AssertionError("there are no metrics")
    declared: dict[str, list[Measurement]] = {}
    for measurement in plugin.measurements:
        declared.setdefault(measurement.name, []).append(measurement)
    problems = [problem for metric in metrics for problem in _undeclared(metric, declared.get(metric.name, []))]
    if problems:
        raise AssertionError("not as declared: " + "; ".join(dict.fromkeys(problems)))


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
    """Metrics as sorted line protocol without times, fields sorted, unsigned integers with `u`: made for comparing."""
    return sorted(map(_line, metrics))


def _line(metric: Metric) -> str:
    name = _escape(metric.name, ", ")
    tags = [f",{_escape(key, ',= ')}={_escape(value, ',= ')}" for key, value in sorted(metric.tags.items()) if value]
    values = [f"{_escape(key, ',= ')}={_value(value)}" for key, value in sorted(metric.fields.items())]
    return f"{name}{''.join(tags)} {','.join(values)}"


def _escape(text: str, characters: str) -> str:
    for character in characters:
        text = text.replace(character, "\\" + character)
    return text


def _value(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{int(value)}{'u' if isinstance(value, Uint) else 'i'}"
    if isinstance(value, float):
        # Without an exponent, and whole numbers without a point.
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
