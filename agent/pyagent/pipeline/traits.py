"""What the engine has to know of a plugin before it runs. For an external one all of it is asked, and made plain, where its
`setup` runs: anything of it may be anybody's code."""

from dataclasses import dataclass
from typing import Any

from pyagent.api import (
    Field,
    Input,
    Limits,
    LineOptions,
    Measurement,
    Output,
    Partition,
    Plugin,
    Processor,
    QueueFormat,
    RawMetrics,
    Serialized,
)
from pyagent.api.foreign import file_of, plain_text
from pyagent.api.measurements import Measurements
from pyagent.config import PluginPlan

__all__ = [
    "InputTraits",
    "OutputTraits",
    "ProcessorTraits",
    "Traits",
    "input_traits",
    "output_traits",
    "plugin_files",
    "processor_traits",
    "traits_of",
]


@dataclass(frozen=True, slots=True)
class InputTraits:
    measurements: Measurements
    starts: bool
    """It defines `start`: it listens."""
    gathers: bool
    stops: bool
    compares: bool = False
    keeps_times: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OutputTraits:
    queue_format: QueueFormat
    partition: Partition | None
    limits: Limits
    listens: bool = False
    """It connects before there is anything to write."""


@dataclass(frozen=True, slots=True)
class ProcessorTraits:
    max_in_flight: int
    """Calls at once, at least 1."""
    stops: bool


Traits = InputTraits | OutputTraits | ProcessorTraits


def traits_of(plan: PluginPlan, plugin: Plugin[Any]) -> Traits | None:
    """None for an aggregator. Raises what the plugin raises."""
    if isinstance(plugin, Input):
        return input_traits(plan, plugin)
    if isinstance(plugin, Output):
        return output_traits(plan, plugin)
    return processor_traits(plan, plugin) if isinstance(plugin, Processor) else None


def input_traits(plan: PluginPlan, plugin: Input[Any]) -> InputTraits:
    kind = type(plugin)
    starts = kind.start is not Input.start
    gathers = not starts or kind.gather is not Input.gather
    # One of which this cannot even be asked is left out.
    _check_callable(plugin.gather if kind.gather is not Input.gather else plugin.start)
    measurements = plugin.measurements
    if plan.is_external:
        measurements = [
            Measurement(
                plain_text(one.name),
                fields={plain_text(name): Field(field.type) for name, field in one.fields.items()},
            )
            for one in measurements
        ]
    stops = kind.stop is not Input.stop
    keeps_times = frozenset(map(plain_text, kind.keeps_times))
    return InputTraits(measurements, starts, gathers, stops, compares=bool(kind.compares), keeps_times=keeps_times)


def output_traits(plan: PluginPlan, plugin: Output[Any]) -> OutputTraits:
    wanted, partition, limits = plugin.queue_format(), plugin.partition(), plugin.limits()
    if plan.is_external:
        wanted = _plain_format(wanted)
        partition = (
            None
            if partition is None
            else Partition(
                plain_text(partition.tag),
                bool(partition.exclude),
                measurement=bool(partition.measurement),
                template=plain_text(partition.template),
                leaves_out=tuple(plain_text(key) for key in partition.leaves_out),
            )
        )
        limits = Limits(
            int(limits.concurrent_writes), int(limits.rate_bytes), float(limits.rate_period), int(limits.write_metrics)
        )
    _check_callable(plugin.write)
    return OutputTraits(wanted, partition, limits, listens=bool(plugin.listens))


def processor_traits(plan: PluginPlan, plugin: Processor[Any]) -> ProcessorTraits:
    # Only calls that wait can be several at once.
    most = max(int(plugin.max_in_flight), 1) if plan.is_async else 1
    return ProcessorTraits(most, type(plugin).stop is not Processor.stop)


def _check_callable(method: object) -> None:
    if not callable(method):
        raise TypeError(f"{method!r:.80} is no method")


def _plain_format(wanted: QueueFormat) -> QueueFormat:
    """What code from outside gave, as objects of the engine's own. Raises TypeError."""
    if isinstance(wanted, RawMetrics):
        return RawMetrics()
    if isinstance(wanted, Serialized):
        return Serialized(wanted.serializer, bool(wanted.documents))
    if not isinstance(wanted, LineOptions):
        raise TypeError(
            f"queue_format returned {type(wanted).__name__}; it must return LineOptions, Serialized or RawMetrics"
        )
    return LineOptions(
        uint_support=bool(wanted.uint_support),
        sort_fields=bool(wanted.sort_fields),
        omit_timestamp=bool(wanted.omit_timestamp),
        max_line_bytes=int(wanted.max_line_bytes),
    )


def plugin_files(plan: PluginPlan) -> tuple[str, ...]:
    """Where the plugin's code is, and its format's."""
    formats = (getattr(plan, name, None) for name in ("parser", "serializer"))
    return (file_of(plan.plugin), *[file_of(one.plugin) for one in formats if one is not None])
