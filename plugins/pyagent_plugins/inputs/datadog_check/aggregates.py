"""What the Datadog Agent computes of what a check submits (docs.datadoghq.com, "Metric submission: Custom Agent check").

A gather is the Agent's flush: gauges keep the last value, counts are summed, rates and monotonic counts are differences to the
value before, of this gather or an earlier one, and histograms become their aggregates.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["COUNT", "COUNTER", "GAUGE", "HISTOGRAM", "HISTORATE", "MONOTONIC_COUNT", "RATE", "Aggregates", "Value"]

GAUGE, RATE, COUNT, MONOTONIC_COUNT, COUNTER, HISTOGRAM, HISTORATE = range(7)
_FORGET = 100
"""Gathers after which what has not been submitted again is forgotten."""


class Value(NamedTuple):
    """One value of a gather. `suffix`: the aggregate of a histogram."""

    name: str
    suffix: str
    value: float
    tags: tuple[str, ...]
    host: str
    is_gauge: bool


class _Context(NamedTuple):
    kind: int
    name: str
    tags: tuple[str, ...]
    host: str


@dataclass(slots=True)
class _State:
    values: list[float] = field(default_factory=list)
    """Of this gather: samples, or what was made of them."""
    previous: float | None = None
    previous_time: float = 0.0
    sampled: bool = False
    idle: int = 0
    """Gathers without a sample."""


class Aggregates:
    """The state of one instance. Thread-safe. `clock`: seconds that never go back."""

    def __init__(
        self, aggregates: Sequence[str], percentiles: Sequence[float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._aggregates = aggregates
        self._percentiles = sorted({round(100 * fraction) for fraction in percentiles})
        self._clock = clock
        self._states: dict[_Context, _State] = {}
        self._known: dict[tuple[int, str, tuple[str, ...], str], _State] = {}
        """The same by what is submitted, with tags in any order."""
        self._lock = threading.Lock()

    def sample(
        self, kind: int, name: str, value: float, tags: Sequence[str], host: str, flush_first: bool = False
    ) -> None:
        """`flush_first`: of a monotonic count whose counter began at 0 after the gather before. What is no finite number is
        left out. Raises TypeError, ValueError or OverflowError for what is no number, and for a name that is none."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of a metric is a text, and not {name!r:.80}")
        value = float(value)
        if not math.isfinite(value):
            return
        key = (kind, name, tuple(tags), host)
        with self._lock:
            state = self._known.get(key)
            if state is None:
                context = _Context(kind, name, tuple(sorted(set(tags))), host)
                state = self._known[key] = self._states.setdefault(context, _State())
            state.sampled = True
            if kind == GAUGE:
                state.values[:] = (value,)
            else:
                self._sample(state, kind, value, flush_first)

    def bucket(
        self,
        name: str,
        count: float,
        bounds: tuple[float, float],
        monotonic: bool,
        tags: Sequence[str],
        host: str,
        flush_first: bool = False,
    ) -> None:
        """How many values of a distribution lie between two bounds."""
        lower, upper = (f"{bound:g}" for bound in bounds)
        own = {*tags, f"lower_bound:{lower}", f"upper_bound:{upper}"}
        kind = MONOTONIC_COUNT if monotonic else COUNT
        self.sample(kind, f"{name}.bucket", count, tuple(own), host, flush_first)

    def flush(self) -> Iterator[Value]:
        """The values of this gather; the next one begins."""
        with self._lock:
            found = [value for context, state in self._states.items() for value in self._flushed(context, state)]
            for context, state in tuple(self._states.items()):
                if context.kind == HISTORATE and state.values:
                    state.previous = None  # as in the Agent: a sample waits for the one with which it makes a rate
                state.values.clear()
                state.idle = 0 if state.sampled else state.idle + 1
                state.sampled = False
                if state.idle > _FORGET or (state.idle and context.kind not in (RATE, MONOTONIC_COUNT, HISTORATE)):
                    del self._states[context]
                    self._known.clear()
            if len(self._known) > 2 * len(self._states):
                self._known.clear()
        return iter(found)

    def _sample(self, state: _State, kind: int, value: float, flush_first: bool) -> None:
        if kind == MONOTONIC_COUNT:
            if state.previous is None:
                if flush_first:
                    state.values.append(value)
            elif value >= state.previous:
                state.values.append(value - state.previous)
            else:
                # The counter began anew: what it has counted since is known only where it says that it began at 0.
                state.values[:] = [value] if flush_first else [*state.values, 0.0]
            state.previous = value
        elif kind in (RATE, HISTORATE):
            now = self._clock()
            if state.previous is not None and now > state.previous_time:
                rate = (value - state.previous) / (now - state.previous_time)
                state.values[:] = [rate] if kind == RATE else [*state.values, rate]
            state.previous, state.previous_time = value, now
        else:
            state.values.append(value)

    def _flushed(self, context: _Context, state: _State) -> Iterator[Value]:
        if not state.values:
            return
        kind, name, tags, host = context
        if kind in (HISTOGRAM, HISTORATE):
            for suffix, value in self._of_histogram(sorted(state.values)):
                yield Value(name, suffix, value, tags, host, suffix != "count")
        elif kind == RATE:
            if state.values[0] >= 0:  # else the counter began anew
                yield Value(name, "", state.values[0], tags, host, True)
        else:
            yield Value(name, "", _sum(state.values), tags, host, kind == GAUGE)

    def _of_histogram(self, values: list[float]) -> Iterator[tuple[str, float]]:
        count, total = len(values), _sum(values)
        known = {
            "max": values[-1],
            "min": values[0],
            "median": values[(count - 1) // 2],
            "avg": total / count,
            "sum": total,
            "count": float(count),
        }
        for name in self._aggregates:
            yield name, known[name]
        for percentile in self._percentiles:
            yield f"{percentile}percentile", values[max(percentile * count - 1, 0) // 100]


def _sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf  # which no metric has
