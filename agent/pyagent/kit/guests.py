"""Code of others that is called at each gather: in a thread of the agent, or in a process of its own.

    guests = Guests("pyagent_plugins.inputs.thing.guest:make", {"path": path}, log, what="the plugin 'thing'", isolate=True)
    guests.gather(acc)
    guests.stop()

`make(given, log)` returns a Guest: what is to be called. It is made at the first gather, where the guest is at home: in the
plugin's thread, or in a Python of its own, so that nothing of others is imported here. With `isolate`, a guest that hangs,
takes too much memory, ends its process or changes what all of Python shares harms nobody else: its process is ended with all
that it started, and another one is started at a later gather. What it prints is logged.

`pyagent.kit.guest_input` has the input around it. An option that says which code runs is declared with `executes=True`: a
configuration from a URL may not set it then.
"""

import contextlib
import importlib
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from pyagent.api.accumulator import Accumulator
from pyagent.api.errors import PyagentError
from pyagent.api.foreign import describe
from pyagent.api.metric import MetricType
from pyagent.kit.guest_link import GuestEnded, GuestLink
from pyagent.kit.libraries import how_to_install

__all__ = ["Guest", "GuestAccumulator", "Guests", "MakeGuest"]

_START = 30.0
"""Seconds more for the first gather of a process, in which a guest imports what it needs."""
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0
"""Seconds before a process is started again: doubled each time, until a gather succeeds."""
_STOP = 1.0
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


class GuestAccumulator(Protocol):
    """The part of an Accumulator that a guest has."""

    def add(
        self,
        measurement: str,
        fields: Mapping[str, Any],
        tags: Mapping[str, Any] | None = None,
        time: Any = None,
        kind: MetricType = MetricType.UNTYPED,
    ) -> None: ...


class Guest(Protocol):
    def gather(self, acc: GuestAccumulator) -> None:
        """Measure once. Raises for a failure."""

    def stop(self) -> None:
        """Called once, after the last gather."""


MakeGuest = Callable[[dict[str, Any], logging.Logger], Guest]


class Guests:
    """One guest at a time; its methods are called from one thread, but for `stop`.

    `entry`: "module:function" of a MakeGuest; `given`: what JSON can hold. `what` it is, for messages. `timeout`: seconds for a
    gather, with `isolate`; `most_memory`: bytes that the process may hold in memory, 0 for no bound. `clock`: seconds that
    never go back.
    """

    def __init__(
        self,
        entry: str,
        given: dict[str, Any],
        log: logging.Logger,
        *,
        what: str,
        isolate: bool = False,
        timeout: float = 10.0,
        most_memory: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entry = entry
        self._given = given
        self._log = log
        self._what = what
        self._isolate = isolate
        self._timeout = timeout
        self._most_memory = most_memory
        self._clock = clock
        self._guest: Guest | None = None
        self._process: GuestLink | None = None
        self._lock = threading.Lock()
        """Of `_process`, `_stopped` and `_cut_short`."""
        self._stopped = self._cut_short = False
        self._delay = 0.0
        self._not_before = 0.0
        self._cause = ""
        """Why the last process ended."""

    @property
    def pid(self) -> int | None:
        """Of the process, where one runs."""
        process = self._process
        return process.pid if process is not None else None

    def gather(self, acc: Accumulator) -> None:
        """What the guest adds goes to `acc`. Raises PyagentError, with what the guest raised as one line."""
        if self._isolate:
            self._gather_isolated(acc)
            return
        try:
            if self._guest is None:
                self._guest = made(self._entry, self._given, self._log)
            self._guest.gather(acc)
        except BaseException as error:  # nothing of the guest's own may go on from here
            raise PyagentError(f"cannot run {self._what}: {_with_remedy(describe(error))}") from None

    def cut_short(self) -> None:
        """A gather that runs in a process has a second more: then the process is ended. From any thread."""
        with self._lock:
            self._cut_short = True
            if self._process is not None:
                self._process.cut_short(_STOP)

    def stop(self) -> None:
        """End it. Harmless when it never ran, and twice."""
        with self._lock:
            self._stopped = True
            process, self._process = self._process, None
        guest, self._guest = self._guest, None
        if process is not None:
            process.end(_STOP)
        if guest is not None:
            with contextlib.suppress(Exception, SystemExit):
                guest.stop()

    def _gather_isolated(self, acc: Accumulator) -> None:
        process, extra = self._process, 0.0
        if process is None:
            wait = self._not_before - self._clock()
            if wait > 0:
                raise self._ended(wait)
            process, extra = self._started(), _START
        try:
            failure = process.gather(acc, self._timeout, extra)
        except GuestEnded as error:
            process.end(0)
            with self._lock:
                if self._stopped or self._cut_short:
                    self._process = None
                    raise PyagentError(f"cannot run {self._what}: the agent does not wait for it any more") from None
                self._process = None
            self._delay = min(max(2 * self._delay, _FIRST_DELAY), _LONGEST_DELAY)
            self._not_before = self._clock() + self._delay
            self._cause = str(error)
            raise self._ended(self._delay) from None
        if failure:
            raise PyagentError(f"cannot run {self._what}: {_with_remedy(failure)}")
        self._delay = 0.0

    def _ended(self, wait: float) -> PyagentError:
        # The same words at each gather of a pause, but for the number: it is one failure.
        return PyagentError(
            f"cannot run {self._what}: {_with_remedy(self._cause)}; it is started again in {math.ceil(wait)} s"
        )

    def _started(self) -> GuestLink:
        with self._lock:
            if self._stopped or self._cut_short:
                raise PyagentError(f"cannot run {self._what}: it is stopped")
            try:
                self._process = GuestLink(self._entry, self._given, self._log, self._most_memory, self._clock)
            except OSError as error:
                raise PyagentError(f"cannot start a process for {self._what}: {error.strerror or error}") from None
            return self._process


def made(entry: str, given: dict[str, Any], log: logging.Logger) -> Guest:
    """The guest that `entry` makes; raises what it raises."""
    module, _, name = entry.partition(":")
    make: MakeGuest = getattr(importlib.import_module(module), name)
    return make(given, log)


def _with_remedy(failure: str) -> str:
    """A failure and, where a library is missing, how to install it. It may have been caught by what told of it."""
    found = _MISSING.search(failure)
    library = found[1].partition(".")[0] if found is not None else ""
    if not library or library.startswith("pyagent") or find_spec(library) is not None:
        return failure
    return f"{failure}; {how_to_install(library)}"
