"""All series of a server, and the fast way of a line to its own.

What a line says besides its value follows from the text before and behind the value: that text leads to a list, and the value,
still as bytes, is put behind those that wait there. At a gather, or when many wait, each list is read as a whole. A line of
another form, or with a bad value, goes the long way by `read_line`.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyagent_plugins.inputs.statsd.datadog import is_event
from pyagent_plugins.inputs.statsd.lines import Line, Names, Settings, integer, number, read_line
from pyagent_plugins.inputs.statsd.series import Counter, Gauge, Series, Set, State, Timing

__all__ = ["Store"]

_MOST_WAITING = 50_000
"""Lines."""
_MOST_WAYS = 50_000
_MOST_SERIES = 1_000_000
"""Of a kind."""
_MOST_MEMBERS = 1_000_000
"""Of one set."""
_MOST_DISTRIBUTIONS = 1_000_000
_MOST_REPEATS = 100_000
"""Times that a sampled value counts."""
_LONGEST_WAY = 1000
_INTEGERS = re.compile(rb"[+-]?[0-9]{1,18}(?:\n[+-]?[0-9]{1,18})*")
_UNSIGNED = re.compile(rb"[0-9]{1,18}(?:\.[0-9]{1,18})?(?:\n[0-9]{1,18}(?:\.[0-9]{1,18})?)*")

Key = tuple[str, frozenset[tuple[str, str]]]
_KINDS: dict[str, type[State]] = {"counter": Counter, "gauge": Gauge, "set": Set, "timing": Timing, "histogram": Timing}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where values go."""

    kind: type[State]
    name: str
    tags: dict[str, str]
    field: str
    key: Key


class _Way:
    """From the text around a value to its series. Texts that mean the same share one, so that the order stays."""

    __slots__ = ("after", "before", "generation", "place", "rate", "series", "state", "values")

    def __init__(self, before: bytes, after: bytes, place: _Place, rate: float) -> None:
        self.before = before
        self.after = after
        self.place = place
        self.rate = rate
        self.values: list[bytes] = []
        self.generation = -1
        """Of the store when series and state were looked up."""
        self.series: Series
        self.state: State


class Store:
    """`complain(line, cause)` is called for lines that cannot be used."""

    def __init__(
        self,
        names: Names,
        settings: Settings,
        complain: Callable[[bytes, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._names = names
        self._settings = settings
        self._complain = complain
        self._put_value: dict[bytes, Callable[[bytes], None]] = {}
        """By the text around a value."""
        self._ways: dict[tuple[type[State], Key, str, float], _Way] = {}
        self._series: dict[type[State], dict[Key, Series]] = {kind: {} for kind in (Timing, Gauge, Counter, Set)}
        self._generation = 0
        """How often series were forgotten."""
        self._distributions: list[tuple[str, dict[str, str], float]] = []
        self._waiting = 0

    def take(self, data: bytes, events: bool) -> list[bytes]:
        """Read lines. With `events` the lines that are Datadog's events and service checks are given back."""
        put_value = self._put_value
        lines = data.split(b"\n")
        found: list[bytes] = []
        for line in lines:
            try:
                colon = line.index(b":")
                bar = line.index(b"|", colon)
                put_value[line[:colon] + line[bar:]](line[colon + 1 : bar])
            except (KeyError, ValueError):
                line = line.strip()
                if events and is_event(line):
                    found.append(line)
                elif line:
                    self._read(line)
        self._waiting += len(lines)
        if self._waiting > _MOST_WAITING:
            self.flush()
        return found

    def flush(self) -> None:
        """Bring all that waits into the series."""
        self._waiting = 0
        now = self._clock()
        for way in self._ways.values():
            if way.values:
                self._flush(way, now)
        if len(self._put_value) > _MOST_WAYS:
            self._put_value.clear()
            self._ways.clear()

    def of(self, kind: type[State], *, forget: bool) -> list[Series]:
        """The series of a kind, which are forgotten then, or not. Call `flush` before."""
        found = list(self._series[kind].values())
        if forget:
            self._series[kind].clear()
            self._generation += 1
        return found

    def take_distributions(self) -> list[tuple[str, dict[str, str], float]]:
        found, self._distributions = self._distributions, []
        return found

    def expire(self, seconds: float) -> None:
        """Forget the series that were not updated for so long."""
        before = self._clock() - seconds
        for series in self._series.values():
            for key in [key for key, one in series.items() if one.updated < before]:
                del series[key]
                self._generation += 1

    def _flush(self, way: _Way, now: float) -> None:
        values = way.values[:]
        way.values.clear()
        try:
            if way.generation != self._generation:
                way.series, way.state = self._lookup(way.place)
                way.generation = self._generation
            way.series.updated = now
            if self._add(way.state, values, way.rate):
                return
        except ValueError:
            pass  # it is found out again, for each of them
        for value in values:
            self._read(way.before + b":" + value + way.after, learn=False)

    def _add(self, state: State, values: list[bytes], rate: float) -> bool:
        """All of them at once; False, and nothing done, where one is out of the ordinary. Raises ValueError likewise."""
        joined = b"\n".join(values)
        if isinstance(state, Counter):
            if not _INTEGERS.fullmatch(joined):
                return False
            state.add(sum([integer(value, rate) for value in values] if rate else map(int, values)))
        elif isinstance(state, Set):
            if b":" in joined or joined.startswith((b"+", b"-")) or b"\n+" in joined or b"\n-" in joined:
                return False
            self._join(state, values)
        elif not _UNSIGNED.fullmatch(joined):
            return False
        elif isinstance(state, Gauge):
            state.value = float(values[-1])
        else:
            numbers = list(map(float, values))
            times = _times(rate)
            state.add(numbers if times == 1 else [number for number in numbers for _ in range(times)])
        return True

    @staticmethod
    def _join(state: Set, values: list[bytes]) -> None:
        if len(state.members) + len(values) > _MOST_MEMBERS:
            raise ValueError(f"a set has {_MOST_MEMBERS} members")
        state.members.update(values)

    def _read(self, line: bytes, *, learn: bool = True) -> None:
        """The long way. `learn`: the short one for the next line of its form."""
        single: tuple[Line, _Place] | None = None
        count = 0
        try:
            for found in read_line(line, self._settings):
                count += 1
                place = self._put(found)
                single = (found, place) if place is not None and count == 1 else None
        except ValueError as error:
            self._complain(line, str(error))
            return
        if learn and single is not None and len(line) < _LONGEST_WAY:
            self._learn(line, *single)

    def _learn(self, line: bytes, found: Line, place: _Place) -> None:
        colon = line.find(b":")
        bar = line.find(b"|", colon)
        if line[colon + 1 : bar] != found.value:
            return  # it has another form
        before, after = line[:colon], line[bar:]
        rate = found.rate if place.kind in (Counter, Timing) else 0.0
        way = self._ways.setdefault((place.kind, place.key, place.field, rate), _Way(before, after, place, rate))
        self._put_value[before + after] = way.values.append

    def _put(self, line: Line) -> _Place | None:
        """None: there is no short way to it. Raises ValueError."""
        value, whole = 0.0, 0
        if line.kind == "counter":
            whole = integer(line.value, line.rate)
        elif line.kind != "set":
            value = number(line.value)
        name, field, tags = self._names.read(line.bucket, line.kind, line.tags)
        if line.kind == "distribution":
            if self._settings.distributions and name:
                if len(self._distributions) >= _MOST_DISTRIBUTIONS:
                    raise ValueError(f"{_MOST_DISTRIBUTIONS} values of distributions have come since the last gather")
                self._distributions.append((name, tags, value))
            return None
        if not name:
            return None
        place = _Place(_KINDS[line.kind], name, tags, field, (name, frozenset(tags.items())))
        series, state = self._lookup(place)
        series.updated = self._clock()
        if isinstance(state, Counter):
            state.add(whole)
        elif isinstance(state, Timing):
            state.add([value] * _times(line.rate))
        elif isinstance(state, Set):
            self._join(state, [line.value])
        else:
            way = self._ways.get((Gauge, place.key, field, 0.0))
            if way is not None and way.values:
                self._flush(way, series.updated)  # what came before goes before
            state.value = state.value + value if line.value[:1] in (b"+", b"-") else value
        return place

    def _lookup(self, place: _Place) -> tuple[Series, State]:
        """The series and its state, new where there is none. Raises ValueError where there are too many."""
        all_of_kind = self._series[place.kind]
        series = all_of_kind.get(place.key)
        if series is None:
            if len(all_of_kind) >= _MOST_SERIES:
                raise ValueError(f"there are {_MOST_SERIES} series of its kind")
            series = all_of_kind[place.key] = Series(place.name, place.tags)
        state = series.fields.get(place.field)
        if state is None:
            limit = self._settings.percentile_limit if self._settings.percentiles else 0
            kind = place.kind
            state = series.fields[place.field] = Timing(limit) if kind is Timing else kind()  # type: ignore[call-arg]
        return series, state


def _times(rate: float) -> int:
    """How often a value counts that was sent at this rate."""
    return int(min(1.0 / rate, _MOST_REPEATS)) if rate > 0 else 1
