"""The modules, called as collectd would call them."""

import collections
import importlib
import logging
import time
from collections.abc import Callable
from math import isfinite, nan
from threading import get_ident
from typing import Any

from pyagent.api.errors import PyagentError
from pyagent.api.foreign import describe
from pyagent.kit.guest_modules import GuestModules
from pyagent.kit.guests import GuestAccumulator
from pyagent_plugins.inputs.collectd_python.module import Callback, CollectdModule, Config
from pyagent_plugins.inputs.collectd_python.series import Series
from pyagent_plugins.inputs.collectd_python.types import Source

__all__ = ["Modules", "make"]

_MOST_PENDING = 100_000
"""Lists of values that wait for the next gather."""
_MOST_SERIES = 100_000
"""Of those whose last value is kept, for rates."""
_EARLY = 0.5
"""Seconds by which a callback may be called before its time: gathers are not exactly one interval apart."""


def make(given: dict[str, Any], log: logging.Logger) -> "Modules":
    return Modules(given, log)


class Modules:
    """Those of one input. They share one module `collectd`, which no other input's modules see."""

    def __init__(self, given: dict[str, Any], log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._given = given
        self._log = log
        self._clock = clock
        self._joins, self._rates = given["joins"], given["rates"]
        types: dict[str, list[Source]] = {
            name: [(str(one[0]), str(one[1]), one[2], one[3]) for one in sources]
            for name, sources in given["types"].items()
        }
        self._pending: collections.deque[tuple[Series, list[float], float]] = collections.deque(maxlen=_MOST_PENDING)
        self._acc: GuestAccumulator | None = None
        self._thread: int | None = None
        self._last: collections.OrderedDict[tuple[str, ...], tuple[float, list[float]]] = collections.OrderedDict()
        self._due: dict[str, float] = {}
        self._broken: list[str] = []
        self._began = False
        self._collectd = CollectdModule(types, log, self._take)
        self._modules = GuestModules(given["module_path"], own=given["modules"], alone=given["isolated"])
        self._modules.add("collectd", self._collectd)

    def gather(self, acc: GuestAccumulator) -> None:
        """Raises PyagentError that names the callbacks which failed; the others are called all the same."""
        with self._modules.finds():
            self._gather(acc)

    def _gather(self, acc: GuestAccumulator) -> None:
        self._acc, self._thread = acc, get_ident()
        problems: list[str] = []
        try:
            if not self._began:
                self._began = True
                self._begin()
            while self._pending:
                self._add(acc, *self._pending.popleft())
            problems += self._broken
            registered = self._collectd.registered["read"]
            for name in [name for name in self._due if name not in registered]:
                del self._due[name]
            for name, callback in list(registered.items()):
                now = self._clock()
                due = self._due.get(name, now)
                if now + _EARLY < due:
                    continue
                # One that is late by more than its interval is not called once more for what was missed.
                self._due[name] = due + callback.interval if due + callback.interval > now else now + callback.interval
                self._call(callback, problems)
        finally:
            self._acc = None
        if problems:
            more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
            raise PyagentError("; ".join(problems[:5]) + more)

    def stop(self) -> None:
        problems: list[str] = []
        for callback in list(self._collectd.registered["shutdown"].values()):
            self._call(callback, problems)
        for problem in problems:
            self._log.error("%s", problem)

    def _begin(self) -> None:
        with self._modules.imports(*self._given["modules"]):
            for name in self._given["modules"]:
                try:
                    importlib.import_module(name)
                except BaseException as error:
                    lost = isinstance(error, ModuleNotFoundError) and error.name == name
                    advice = "; name its folder in `module_path`" if lost else ""
                    self._broken.append(f"the module {name} cannot be imported: {describe(error)}{advice}")
        configured = {str(callback.module).lower() for callback in self._collectd.registered["config"].values()}
        for key, values, children in self._given["blocks"]:
            name = str(values[0]).lower()
            if name not in configured:
                self._log.warning("the block <Module %s> is left out: no module has registered for it", values[0])
            for callback in list(self._collectd.registered["config"].values()):
                if str(callback.module).lower() == name:
                    self._call(callback, self._broken, _config((key, values, children), None))
        for callback in list(self._collectd.registered["init"].values()):
            self._call(callback, self._broken)
        if not any(self._collectd.registered[kind] for kind in ("read", "write", "notification", "log")):
            self._log.warning("no module has registered anything to be called")

    def _call(self, callback: Callback, problems: list[str], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except BaseException as error:
            problems.append(f"the {callback.kind} callback {callback.name!r} failed: {describe(error)}")

    def _take(self, series: Series, numbers: list[float], when: float) -> None:
        if (acc := self._acc) is not None and get_ident() == self._thread:
            self._add(acc, series, numbers, when)
        else:
            if len(self._pending) == _MOST_PENDING:
                self._log.warning("values are dropped: more than %d wait for a gather", _MOST_PENDING)
            self._pending.append((series, numbers, when))

    def _add(self, acc: GuestAccumulator, series: Series, numbers: list[float], when: float) -> None:
        if self._rates and not series.is_gauge:
            numbers = self._rated(series, numbers, when)
        moment = when or None
        if not self._joins:
            for at, number in enumerate(numbers):
                if isfinite(number):
                    acc.add(series.measurements[at], {"value": float(number)}, series.tags, moment)
            return
        names = (name for name, _, _, _ in series.sources)
        found = {name: float(number) for name, number in zip(names, numbers, strict=True) if isfinite(number)}
        if found:
            acc.add(series.plugin, found, series.tags, moment)

    def _rated(self, series: Series, numbers: list[float], when: float) -> list[float]:
        """Gauges as they are, counters per second; NaN where there is no rate."""
        key = tuple(series.identity.values())
        now = when or time.time()
        before, old = self._last.pop(key, (None, []))
        self._last[key] = (now, numbers)
        if len(self._last) > _MOST_SERIES:
            self._last.popitem(last=False)
        passed = now - before if before is not None else 0.0
        rates = []
        for at, (number, (_, kind, least, most)) in enumerate(zip(numbers, series.sources, strict=True)):
            rate = float(number) if kind == "gauge" else nan
            if kind != "gauge" and passed > 0:
                change = number if kind == "absolute" else number - old[at]
                if kind == "counter" and change < 0:
                    change += 1 << (32 if old[at] < 1 << 32 else 64)
                rate = change / passed
                if (least is not None and rate < least) or (most is not None and rate > most):
                    rate = nan
            rates.append(rate)
        return rates


def _config(block: Any, parent: Config | None) -> Config:
    key, values, children = block
    config = Config(key, parent, tuple(values), ())
    config.children = tuple(_config(child, config) for child in children)
    return config
