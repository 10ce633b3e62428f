"""Running a processor or an aggregator without an agent."""

import asyncio
import inspect
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pyagent.api import Aggregator, Metric, Processor
from pyagent.config.data_format import create_parser, create_serializer, format_kind, parser_plan, serializer_plan
from pyagent.config.options import Policy
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.pipeline.isolation import copies, usable
from pyagent.testing.inputs import make_options, plugin_name, read_table

__all__ = [
    "make_aggregator",
    "make_processor",
    "process",
    "process_async",
    "run_aggregator",
    "run_processor",
    "summed_up",
]


def run_processor(
    plugin: type[Processor[Any]], metrics: Sequence[Metric], options: Mapping[str, Any] | None = None
) -> list[Metric]:
    """Make a processor from its table of options, and return what becomes of `metrics`, which stay as they are. One that is
    `async` is stopped as well.

    Raises what the plugin raises, TypeError where it returns what the engine cannot use, and ConfigError for options that it
    does not take. Not for an `async` one inside a running loop: there, `await process_async(make_processor(...), metrics)`.
    """
    processor = make_processor(plugin, options)
    if not inspect.iscoroutinefunction(processor.process):
        return process(processor, metrics)

    async def run() -> list[Metric]:
        held: list[Metric] | None = None
        try:
            result = await process_async(processor, metrics)
        finally:
            held = await processor.stop()
        return result + (held or [])

    return asyncio.run(run())


def make_processor(plugin: type[Processor[Any]], options: Mapping[str, Any] | None = None) -> Processor[Any]:
    """Make a processor from a table as it stands in the configuration. Raises ConfigError."""
    name, (made, found, view) = plugin_name(plugin), read_table(plugin, options)
    log, kind = logging.getLogger(name), format_kind(plugin.options_type)
    parser = parser_plan(found, view, Policy())[0] if kind == "parsers" else None
    serializer = serializer_plan(found, view, Policy())[0] if plugin.options_type.serializes else None
    return plugin(
        made,
        log,
        partial(create_parser, parser, name, log) if parser else None,
        partial(create_serializer, serializer, log) if serializer else None,
    )


def process(processor: Processor[Any], metrics: Sequence[Metric]) -> list[Metric]:
    """One call, as the engine does it; for one that remembers something, as often as you like."""
    return usable(processor.process(copies(metrics)), 10_000 + 10 * len(metrics))


async def process_async(processor: Processor[Any], metrics: Sequence[Metric]) -> list[Metric]:
    """The same for one whose `process` is `async def`; `await processor.stop()` at the end."""
    returned = processor.process(copies(metrics))
    if not inspect.isawaitable(returned):
        raise TypeError(f"{type(processor).__name__}.process is a plain `def`; call `process`")
    return usable(await returned, 10_000 + 10 * len(metrics))


def run_aggregator(
    plugin: type[Aggregator[Any]], metrics: Sequence[Metric], options: Mapping[str, Any] | None = None
) -> list[Metric]:
    """Make an aggregator from its table of options, and return what it pushes at the end of a period with `metrics`.

    Raises what the plugin raises, AssertionError where a field or a metric had to be dropped, and ConfigError for options that
    it does not take.
    """
    return summed_up(make_aggregator(plugin, options), metrics)


def make_aggregator(plugin: type[Aggregator[Any]], options: Mapping[str, Any] | None = None) -> Aggregator[Any]:
    """Make an aggregator from a table as it stands in the configuration. Raises ConfigError."""
    return plugin(make_options(plugin, options), logging.getLogger(plugin_name(plugin)))


def summed_up(aggregator: Aggregator[Any], metrics: Sequence[Metric]) -> list[Metric]:
    """One period, as the engine does it."""
    problems: list[str] = []
    acc = InputAccumulator(report=problems.append)
    aggregator.add(copies(metrics))
    aggregator.push(acc)
    aggregator.reset()
    if problems:
        raise AssertionError("; ".join(problems))
    return acc.drain()
