"""How a built-in function is declared, and what it gets to work with."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.plan import Plan, concrete, streams_in
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.tables import Stream, in_key_order
from pyagent.sandbox.flux.values import (
    UTC_LOCATION,
    Callee,
    Calls,
    Duration,
    Location,
    Time,
    WrongType,
    add_duration,
    type_name,
)
from pyagent.sandbox.points import Point


@dataclass(slots=True)
class Context:
    """One run of one script."""

    reader: Reader
    now: int
    """ns since the epoch: the same throughout the run."""
    buckets: Callable[[], list[Document]]
    """The buckets of the organisation that the query's token may read; raises InfluxError where there is none."""
    write: Callable[[str, str, list[Point]], None]
    """Store points in a bucket given by name or id; raises InfluxError."""
    results: list[tuple[str, Stream]] = field(default_factory=list)
    location: Location = UTC_LOCATION
    """The option `location`: where the calendar of windows and dates is."""
    calls: Calls = field(default_factory=Calls)
    profilers: Any = None
    """The option `enabledProfilers` of the package `profiler`."""
    plans: list[Plan] = field(default_factory=list)
    """All calls that give tables."""

    def keep(self, name: str, stream: Stream) -> None:
        if any(known == name for known, _ in self.results):
            raise InfluxError(
                "invalid",
                f'error in building plan while starting program: found more than one call to yield() with the name "{name}"',
                final=True,
            )
        if isinstance(stream, Plan):
            stream.uses += 1
        self.results.append((name, stream))


_TYPES = {str: "string", int: "int", float: "float", bool: "bool"}

Registry = dict[str, Callable[[Context], Any]]


def builtin(
    registry: Registry, name: str, pipe: str | None = "tables", *, at_once: bool = False, result: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a function of Flux: a Python function of the context and keyword arguments, whose defaults make them optional.

    A trailing underscore in an argument's name is not part of Flux's name. A function that gives a Stream runs when its tables
    are asked for, unless `at_once`. `result`: the column type of what it gives.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        spelled = {
            parameter.name.rstrip("_"): parameter
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        }
        parameters = {public: parameter.default is inspect.Parameter.empty for public, parameter in spelled.items()}
        takes = pipe if pipe in parameters else None
        typed = {
            public: parameter.annotation for public, parameter in spelled.items() if parameter.annotation in _TYPES
        }
        streams = [public for public, parameter in spelled.items() if parameter.annotation is Stream]
        lazy = function.__annotations__.get("return") is Stream and not at_once
        check: Callable[..., None] | None = getattr(function, "check", None)

        def bind(context: Context) -> Callee:
            def run(arguments: dict[str, Any]) -> Any:
                for public in streams:
                    if public in arguments and not isinstance(arguments[public], Stream):
                        raise WrongType(public, "stream[A]", arguments[public])
                for public, kind in typed.items():
                    value = arguments.get(public)
                    if value is not None and type(value) is not kind:
                        raise WrongType(public, _TYPES[kind], value)
                given = {spelled[public].name: value for public, value in arguments.items()}
                if check is not None:
                    check(**{name: value for name, value in given.items() if name != "fn" and name not in streams})
                if not lazy:
                    return function(context, **given)
                return _planned(context, name, function, given)

            return Callee(name, parameters, takes, run, result)

        registry[name] = bind
        return function

    return declare


def checked(check: Callable[..., None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have a function's plain arguments checked when it is called, before anything is read."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.check = check  # type: ignore[attr-defined]  # a function takes attributes
        return function

    return mark


_SORTED = frozenset((
    "chandeMomentumOscillator", "columns", "count", "covariance", "difference", "distinct", "drop", "duplicate",
    "duration", "elapsed", "exponentialMovingAverage", "first", "histogram", "histogramQuantile", "hourSelection", "increase",
    "integral", "kaufmansAMA", "keep", "keyValues", "keys", "last", "linear", "max", "mean", "median", "min", "mode",
    "quantile", "reduce", "relativeStrengthIndex", "rename", "sample", "set", "skew", "spread", "stddev", "sum", "tail",
    "tripleExponentialDerivative", "union", "unique", "window",
))  # fmt: skip
"""Functions whose tables InfluxDB's engine gives in the order of their keys; the others keep the order that they get."""


def _planned(context: Context, name: str, function: Callable[..., Any], given: dict[str, Any]) -> Plan:
    inputs = [stream for value in given.values() for stream in streams_in(value)]
    for stream in inputs:
        if isinstance(stream, Plan):
            stream.uses += 1

    place = context.calls[-1] if context.calls else ""

    def run() -> Stream:
        calls = context.calls
        calls.append(place)
        calls.running += 1
        try:
            try:
                arguments = {name: concrete(value) for name, value in given.items()}
            except InfluxError as error:
                error.partial = []  # what was made for another call is not answered
                raise
            made: Stream = function(context, **arguments)
        except InfluxError as error:
            if name in _SORTED and not error.final:
                error.partial = []
                if any(concrete(stream).flushed for stream in inputs) and not error.message.startswith("schema coll"):
                    error.final = True  # it comes up at the end of group() and map(), which does not say where
            raise
        finally:
            calls.running -= 1
            calls.pop()
        if made.bounds is None and inputs:
            made.bounds_from(inputs)
        if name in _SORTED and not made.stored:
            return in_key_order(made)
        return made

    plan = Plan(run, place)
    context.plans.append(plan)
    return plan


def to_time(context: Context, value: object, what: str) -> int:
    """A point in time: a time, a duration relative to now, or seconds since the epoch."""
    if isinstance(value, Time):
        return value
    if isinstance(value, Duration):
        return add_duration(context.now, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 10**9
    raise invalid(f"{what}: expected time or duration but found {type_name(value)}")


def text_list(value: object, what: str) -> list[str]:
    """A list of strings.

    Raises:
        InfluxError: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid(f"{what}: expected [string] but found {type_name(value)}")
    return value


def natural(value: object, what: str, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise invalid(f"{what}: expected an int of at least {least}")
    return int(value)


def duration(value: object, what: str) -> Duration:
    if not isinstance(value, Duration):
        raise invalid(f"{what}: expected duration but found {type_name(value)}")
    return value


def place_of(context: Context, location: Any) -> Location:
    """The place of an argument `location`, else that of the option.

    Raises:
        InfluxError: it is not a place.
    """
    if location is None:
        return context.location
    if not isinstance(location, dict) or not isinstance(location.get("zone", "UTC"), str):
        raise invalid("expected {zone: string, offset: duration} as location")
    return Location(location.get("zone", "UTC"), duration(location.get("offset", Duration(0, 0)), "location"))
