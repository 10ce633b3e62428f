"""How a built-in function is declared, and what it gets to work with."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.tables import Stream
from pyagent.sandbox.flux.values import Callee, Duration, Time, add_duration, type_name
from pyagent.sandbox.points import Point


@dataclass(slots=True)
class Context:
    """One run of one script."""

    reader: Reader
    now: int
    """ns since the epoch: the same throughout the run."""
    buckets: Callable[[], list[Document]]
    """The buckets of the organisation that the query's token may read."""
    write: Callable[[str, str, list[Point]], None]
    """Store points in a bucket given by name or id; raises InfluxError."""
    results: list[tuple[str, Stream]] = field(default_factory=list)

    def keep(self, name: str, stream: Stream) -> None:
        if any(known == name for known, _ in self.results):
            raise invalid(f'tried to produce more than one result with the name "{name}"')
        self.results.append((name, stream))


_TYPES = {str: "string", int: "int", float: "float", bool: "bool"}

Registry = dict[str, Callable[[Context], Callee]]


def builtin(
    registry: Registry, name: str, pipe: str | None = "tables"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a function of Flux: a Python function of the context and keyword arguments, whose defaults make them optional.

    A trailing underscore in an argument's name is not part of Flux's name.
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

        def bind(context: Context) -> Callee:
            def run(arguments: dict[str, Any]) -> Any:
                if takes is not None and pipe == "tables" and not isinstance(arguments.get("tables"), Stream):
                    raise invalid(
                        f"type conflict: {name}: expected stream but found {type_name(arguments.get('tables'))}"
                    )
                for public, kind in typed.items():
                    value = arguments.get(public)
                    if value is not None and type(value) is not kind:
                        found, wanted = type_name(value), _TYPES[kind]
                        raise invalid(
                            f"type conflict: expected {wanted} but found {found} (argument {public} of {name})"
                        )
                return function(context, **{spelled[public].name: value for public, value in arguments.items()})

            return Callee(name, parameters, takes, run)

        registry[name] = bind
        return function

    return declare


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
