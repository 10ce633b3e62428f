"""Calls that give tables, run when their tables are asked for.

A script first builds the whole plan, as InfluxDB's does: its arguments are checked before anything is read, and a function
knows whether another one reads the same tables, in which case InfluxDB's storage does not do the work of either.
"""

from collections.abc import Callable
from typing import Any

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux.tables import Stream, Table
from pyagent.sandbox.limits import check


class Plan(Stream):
    """A call that is not run yet. `run` gives what it gives; `place` stands in its errors: `@1:2-3:4: name`."""

    def __init__(self, run: Callable[[], Stream], place: str) -> None:
        super().__init__()
        self._tables = None
        self._run = run
        self._place = place
        self._made: Stream | None = None
        self.uses = 0
        """How many calls and results read it."""

    def made(self) -> Stream:
        """What the call gives.

        Raises:
            InfluxError: it refuses.
        """
        if self._made is None:
            check()
            try:
                self._made = self._run()
            except InfluxError as error:
                if not error.final:
                    place = f" {self._place}" if self._place else ""
                    error.message = f"runtime error{place}: {error.message}"
                    error.final = True
                raise
        return self._made

    def load(self) -> list[Table]:
        return self.made().tables

    def forget(self) -> None:
        """Let go of what the call gave; functions of the script may hold the plan for as long as they like."""
        self._made = self._tables = None

    @property
    def bounds(self) -> tuple[int, int] | None:
        return self.made().bounds


class Shared(Stream):
    """Tables that several calls read: no longer what the storage can work on."""

    def __init__(self, of: Stream) -> None:
        super().__init__()
        self._tables = None
        self._of = of
        self.bounds_from([of])

    def load(self) -> list[Table]:
        return self._of.tables


def streams_in(value: Any) -> list[Stream]:
    """The streams of an argument, also those of its lists and records."""
    check()  # values may share their parts: there can be many more ways to them than parts
    if isinstance(value, Stream):
        return [value]
    if isinstance(value, dict):
        return [stream for part in value.values() for stream in streams_in(part)]
    if isinstance(value, list):
        return [stream for part in value for stream in streams_in(part)]
    return []


def concrete(value: Any) -> Any:
    """An argument with the calls in it run."""
    if isinstance(value, Plan):
        made = value.made()
        return made if value.uses < 2 else Shared(made)
    if isinstance(value, dict) and streams_in(value):
        return {name: concrete(part) for name, part in value.items()}
    if isinstance(value, list) and streams_in(value):
        return [concrete(part) for part in value]
    return value
